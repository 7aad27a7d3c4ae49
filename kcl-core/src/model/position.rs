use std::fmt;

use super::{SequenceNumber, Timestamp};

/// A place in a shard: a user record's sequence number and its place within the aggregate that carried it.
///
/// A record that was put by itself has the sub-sequence number 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The sequence number of the Kinesis record.
    pub sequence: SequenceNumber,
    /// The zero-based place among the user records of an aggregate.
    pub sub_sequence: u64,
}

impl Position {
    /// The position of this user record.
    #[must_use]
    pub const fn new(sequence: SequenceNumber, sub_sequence: u64) -> Self {
        Self { sequence, sub_sequence }
    }
}

impl From<SequenceNumber> for Position {
    fn from(sequence: SequenceNumber) -> Self {
        Self::new(sequence, 0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub_sequence {
            0 => write!(f, "{}", self.sequence),
            sub => write!(f, "{}.{sub}", self.sequence),
        }
    }
}

/// Where an application begins on a shard that it has no checkpoint for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InitialPosition {
    /// At the oldest record that the stream still has.
    TrimHorizon,
    /// At what arrives from now on. "Now" is the service's time when the lease is made, and it is kept in the lease: a restart
    /// before the first checkpoint begins at the same place.
    Latest,
    /// At the first record that arrived at this time or later.
    AtTimestamp(Timestamp),
}

impl fmt::Display for InitialPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::AtTimestamp(at) => write!(f, "AT_TIMESTAMP {at}"),
        }
    }
}
