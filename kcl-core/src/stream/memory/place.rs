use std::fmt;
use std::str::FromStr;

use crate::model::{RawRecord, SequenceNumber};

/// The head of every sequence number here: with the counter it makes numbers as long as the
/// service's, 56 digits.
const HEAD: &str = "495903382714902566";

/// The sequence number of the stream's `count`th event.
pub(super) fn sequence_number(count: u64) -> SequenceNumber {
    // 18 digits of head and 38 of counter are a decimal number without a leading zero.
    format!("{HEAD}{count:038}")
        .parse()
        .unwrap_or_else(|_| SequenceNumber::from_u128(count.into()))
}

/// A place between the records of a shard, and the text that a cursor carries it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogPosition {
    /// Before this sequence number.
    Before(SequenceNumber),
    /// After it.
    After(SequenceNumber),
}

impl LogPosition {
    /// The sequence number AT which a reader goes on from this place; it may be given one record
    /// again.
    pub(super) const fn sequence(&self) -> &SequenceNumber {
        match self {
            Self::Before(sequence) | Self::After(sequence) => sequence,
        }
    }

    /// Whether a reader at this place has the record behind it.
    pub(super) fn is_past(&self, record: &RawRecord) -> bool {
        match self {
            Self::Before(sequence) => record.sequence < *sequence,
            Self::After(sequence) => record.sequence <= *sequence,
        }
    }
}

/// What a cursor says: a place, and how often all cursors had been expired when it was made.
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
    /// That it is none: there is nothing more to say.
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
