use std::fmt;

use bytes::Bytes;

use super::{InitialPosition, Position};

/// How far a shard has been processed: the value that a lease stores.
///
/// The variants are declared in the order in which they compare, which is the KCL's order: the
/// sentinels of a shard without progress, then positions, then the shard's end.
///
/// ```
/// use kcl_core::model::{Checkpoint, Position};
///
/// let position: Position = "49590338271490256608559692538361571095921575989136588898".parse()?;
/// let done = Checkpoint::from(position);
/// assert!(Checkpoint::TrimHorizon < done && done < Checkpoint::ShardEnd);
/// assert!(!done.is_shard_end());
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checkpoint {
    /// Nothing has been processed; start at the time of the initial position.
    AtTimestamp,
    /// Nothing has been processed; start at the oldest retained record.
    TrimHorizon,
    /// Nothing has been processed; start with the records that arrived after the lease was created.
    Latest,
    /// Every user record up to and including this one has been processed.
    At(Position),
    /// The whole shard has been processed. Final: no checkpoint follows it.
    ShardEnd,
}

impl Checkpoint {
    /// The position, or `None` for a sentinel.
    #[must_use]
    pub const fn position(&self) -> Option<&Position> {
        match self {
            Self::At(position) => Some(position),
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest | Self::ShardEnd => None,
        }
    }

    /// Whether the whole shard has been processed.
    #[must_use]
    pub const fn is_shard_end(&self) -> bool {
        matches!(self, Self::ShardEnd)
    }
}

impl From<InitialPosition> for Checkpoint {
    fn from(initial: InitialPosition) -> Self {
        match initial {
            InitialPosition::TrimHorizon => Self::TrimHorizon,
            InitialPosition::Latest => Self::Latest,
            InitialPosition::AtTimestamp(_) => Self::AtTimestamp,
        }
    }
}

impl From<Position> for Checkpoint {
    fn from(position: Position) -> Self {
        Self::At(position)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtTimestamp => f.write_str("AT_TIMESTAMP"),
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::At(position) => position.fmt(f),
            Self::ShardEnd => f.write_str("SHARD_END"),
        }
    }
}

/// The first half of a two-phase checkpoint: stored, but not yet committed.
///
/// The next committed checkpoint, at whatever position, removes it. After a failover the new owner
/// receives it, and reads again from the *committed* checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The checkpoint that the application intends to commit.
    pub at: Checkpoint,
    /// Whatever the application needs to finish or undo its work, opaque to this crate. `None` if
    /// it gave no state.
    pub state: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SequenceNumber;

    #[test]
    fn the_order_is_that_of_the_kcl() {
        let at =
            |sequence, sub| Checkpoint::At(Position::new(SequenceNumber::from_u128(sequence), sub));
        let order = [
            Checkpoint::AtTimestamp,
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            at(0, 0),
            at(9, 7),
            at(10, 0),
            at(10, 1),
            Checkpoint::ShardEnd,
        ];
        assert!(order.is_sorted());
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
