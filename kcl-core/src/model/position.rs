use std::fmt;
use std::str::FromStr;

use super::{InvalidValue, SequenceNumber, Timestamp};

/// The position of a user record in a shard: the sequence number of the Kinesis record, and the
/// user record's index in it if that is an aggregate.
///
/// A record that is not part of an aggregate has the sub-sequence number 0.
///
/// The text form is `SEQUENCE`, or `SEQUENCE.SUB` if the sub-sequence number is not 0:
///
/// ```
/// use kcl_core::model::Position;
///
/// let third: Position = "49590338271490256608559692538361571095921575989136588898.2".parse()?;
/// assert_eq!(third.sub_sequence, 2);
/// assert_eq!(third.to_string().parse::<Position>()?, third);
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The sequence number of the Kinesis record.
    pub sequence: SequenceNumber,
    /// The zero-based index among the user records of an aggregate. A checkpoint in the middle of
    /// an aggregate is why it is stored: the records before it are not delivered again.
    pub sub_sequence: u64,
}

impl Position {
    /// Creates a position.
    #[must_use]
    pub const fn new(sequence: SequenceNumber, sub_sequence: u64) -> Self {
        Self {
            sequence,
            sub_sequence,
        }
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

/// How much of an invalid text an error repeats, in characters.
const REPEATED: usize = 20;

impl FromStr for Position {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sequence, sub) = text.split_once('.').unwrap_or((text, "0"));
        let wrong = || {
            let expected = "a decimal number below 2^64";
            InvalidValue::text("sub-sequence number", sub, REPEATED + 1, expected)
        };
        // `u64` also parses a leading `+`, which is not valid here.
        let sub_sequence = if sub.starts_with('+') {
            Err(wrong())
        } else {
            sub.parse().map_err(|_| wrong())
        };
        Ok(Self::new(sequence.parse()?, sub_sequence?))
    }
}

/// Where an application starts to read a shard for which it has no checkpoint.
///
/// ```
/// use kcl_core::InitialPosition;
/// use kcl_core::model::Timestamp;
///
/// let opened: Timestamp = "2026-01-31T08:00:00Z".parse()?;
/// let position = InitialPosition::AtTimestamp(opened);
/// assert_eq!(position.to_string(), "AT_TIMESTAMP 2026-01-31T08:00:00.000Z");
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InitialPosition {
    /// At the oldest record that the stream still retains.
    TrimHorizon,
    /// With the records that arrive from now on. "Now" is the service's time when the lease is
    /// created. It is kept in the lease, so a restart before the first checkpoint starts at the
    /// same place.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_is_read_back_from_its_text(sequence: u128, sub: u64) {
            let position = Position::new(SequenceNumber::from_u128(sequence), sub);
            prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
        }
    }

    #[test]
    fn what_is_no_position_is_refused_with_what_is_expected() {
        assert_eq!(
            "7".parse::<Position>(),
            Ok(SequenceNumber::from_u128(7).into())
        );
        for wrong in [
            "",
            ".",
            ".1",
            "07",
            "7.",
            "7.x",
            "7.-1",
            "7.+1",
            "7.1.1",
            " 7",
            "LATEST",
            "7.18446744073709551616",
        ] {
            let error = wrong.parse::<Position>().unwrap_err().to_string();
            assert!(error.contains("expected"), "{wrong}: {error}");
        }
    }
}
