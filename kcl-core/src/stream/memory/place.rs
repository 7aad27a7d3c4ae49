//! Sequence numbers, and positions between records.

use std::fmt;
use std::str::FromStr;

use crate::model::{RawRecord, SequenceNumber};

/// The first digits of every sequence number here: together with the counter they make numbers as
/// long as the service's, 56 digits.
const HEAD: &str = "495903382714902566";

/// The sequence number of the stream's event number `count`.
pub(super) fn sequence_number(count: u64) -> SequenceNumber {
    // The 18 digits of the head and the 38 of the counter are a valid decimal number without a
    // leading zero.
    format!("{HEAD}{count:038}")
        .parse()
        .unwrap_or_else(|_| SequenceNumber::from_u128(count.into()))
}

/// A position between the records of a shard, and its text form in a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogPosition {
    /// Before this sequence number.
    Before(SequenceNumber),
    /// After it.
    After(SequenceNumber),
}

impl LogPosition {
    /// The sequence number at which a reader continues from this position. With
    /// `AT_SEQUENCE_NUMBER` it may read one record again.
    pub(super) const fn sequence(&self) -> &SequenceNumber {
        match self {
            Self::Before(sequence) | Self::After(sequence) => sequence,
        }
    }

    /// Whether a reader at this position has passed the record.
    pub(super) fn is_past(&self, record: &RawRecord) -> bool {
        match self {
            Self::Before(sequence) => record.sequence < *sequence,
            Self::After(sequence) => record.sequence <= *sequence,
        }
    }
}

/// The contents of a cursor: a position, and how many times all cursors had been expired when it
/// was created. It is all that a cursor is, so reading needs no table of open iterators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CursorText {
    pub(super) generation: u64,
    pub(super) place: LogPosition,
}

impl fmt::Display for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            LogPosition::Before(sequence) => write!(f, "{}/before/{sequence}", self.generation),
            LogPosition::After(sequence) => write!(f, "{}/after/{sequence}", self.generation),
        }
    }
}

impl FromStr for CursorText {
    /// The text is not a cursor; there is nothing more to say.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let (Some(generation), Some(side), Some(sequence), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let sequence = sequence.parse().map_err(|_| ())?;
        let place = match side {
            "before" => LogPosition::Before(sequence),
            "after" => LogPosition::After(sequence),
            _ => return Err(()),
        };
        Ok(Self {
            generation: generation.parse().map_err(|_| ())?,
            place,
        })
    }
}
