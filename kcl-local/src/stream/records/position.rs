//! Sequence numbers, and the positions in a shard that they stand for.
//!
//! A sequence number contains the shard, the time of the shard's creation and the index of the
//! record. So a position needs no table, survives a restart, and cannot be mistaken for one of
//! another shard.

use ferrokinesis::sequence::{SeqObj, parse_sequence, stringify_sequence};
use ferrokinesis::types::Shard;

/// What the sequence numbers of one shard have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) struct Origin {
    /// The shard's index in its stream.
    pub(in crate::stream) shard: i64,
    /// When the shard was created, in milliseconds since the Unix epoch, rounded to whole seconds.
    /// Every sequence number of the shard begins with it.
    pub(in crate::stream) created_ms: u64,
}

/// A position between the records of a shard, given by the index of the record after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) struct Position {
    /// The shard of the position.
    pub(in crate::stream) origin: Origin,
    /// The index of the first record at or after the position.
    pub(in crate::stream) index: u64,
}

impl Origin {
    /// The origin of a shard, from its description; `None` if its first sequence number is not one
    /// of this server.
    pub(in crate::stream) fn of(shard: &Shard) -> Option<Self> {
        let first = parse_sequence(&shard.sequence_number_range.starting_sequence_number).ok()?;
        Some(Self {
            shard: first.shard_ix,
            created_ms: first.shard_create_time,
        })
    }

    /// The sequence number of the record at `index` that arrived at `arrival_ms`.
    pub(in crate::stream) fn sequence(self, index: u64, arrival_ms: u64) -> String {
        stringify_sequence(&SeqObj {
            shard_create_time: self.created_ms,
            seq_ix: Some(index),
            byte1: None,
            seq_time: Some(arrival_ms.max(self.created_ms)),
            seq_rand: None,
            shard_ix: self.shard,
            version: 2,
        })
    }
}

impl Position {
    /// The position AT the record that a sequence number names; `None` if it is not a sequence
    /// number.
    pub(in crate::stream) fn at(sequence: &str) -> Option<Self> {
        let parsed = parse_sequence(sequence).ok()?;
        let origin = Origin {
            shard: parsed.shard_ix,
            created_ms: parsed.shard_create_time,
        };
        Some(Self {
            origin,
            index: parsed.seq_ix?,
        })
    }

    /// The position right after the record at this position.
    pub(in crate::stream) fn after(self) -> Self {
        Self {
            index: self.index.saturating_add(1),
            ..self
        }
    }

    /// The position as a sequence number, for a token that only this server reads.
    pub(in crate::stream) fn to_token(self) -> String {
        self.origin.sequence(self.index, self.origin.created_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin {
        shard: 3,
        created_ms: 1_700_000_000_000,
    };

    #[test]
    fn a_sequence_number_gives_back_its_place() {
        let position = Position::at(&ORIGIN.sequence(41, 1_700_000_123_456)).expect("own number");
        assert_eq!(
            position,
            Position {
                origin: ORIGIN,
                index: 41
            }
        );
        assert_eq!(
            Position::at(&position.after().to_token()),
            Some(Position {
                origin: ORIGIN,
                index: 42
            })
        );
    }

    #[test]
    fn later_records_have_greater_sequence_numbers_as_text_too() {
        let numbers: Vec<String> = [1, 9, 10, 255, 70_000]
            .map(|index| ORIGIN.sequence(index, 1_700_000_123_456))
            .into();
        assert!(numbers.is_sorted());
        assert!(
            numbers
                .iter()
                .all(|number| number.len() == numbers[0].len())
        );
    }

    #[test]
    fn a_text_that_is_no_sequence_number_is_no_place() {
        assert_eq!(Position::at("TRIM_HORIZON"), None);
        assert_eq!(Position::at(""), None);
    }
}
