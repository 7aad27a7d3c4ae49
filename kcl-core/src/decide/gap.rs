//! Whether records between a checkpoint and the oldest retained record were lost to retention.
//!
//! A shard is opened AT its checkpoint, not after it: if the checkpointed record is returned first,
//! nothing is missing. If another record is returned first, the checkpointed one has expired, and
//! records between the two may have expired unread with it. The service's answers do not show
//! whether there were any, so this gap is *uncertain*. If a shard has been removed from the stream
//! with its lease unfinished, the gap is *certain*: the position of the checkpoint can never be
//! read again.

use std::fmt;

use crate::model::{Checkpoint, Position, SequenceNumber};

/// A range of records of a shard that expired before it was read, or may have. It is reported once,
/// by the worker that finds it, as [`Event::DataGap`](crate::worker::Event::DataGap); whether the
/// worker goes on is a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataGap {
    /// The stored checkpoint: everything up to here was processed. A sentinel if nothing of the
    /// shard was processed.
    pub after: Checkpoint,
    /// The first record after the gap. `None` if the shard has no more records.
    pub before: Option<Position>,
    /// Whether it is certain that the range can no longer be read. If not, the range may also have
    /// been empty: the last record of a quiet shard expires like any other.
    pub certain: bool,
}

impl fmt::Display for DataGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.certain {
            "records are lost"
        } else {
            "records may be lost"
        };
        write!(f, "{what} after {}", self.after)?;
        match &self.before {
            Some(before) => write!(f, " and before {before}"),
            None => f.write_str(" to the end of the shard"),
        }
    }
}

/// Judges the first record that a shard returns after it was opened AT `checkpoint`. `None` as
/// `first` means that the shard ended without a record. An empty page proves nothing: call this
/// with the next page.
///
/// A record with the checkpoint's sequence number is the checkpointed one, whatever the
/// sub-sequence number: the aggregate is there, and so are the user records in it after the
/// checkpointed one. A record *before* the checkpoint shows that nothing up to the checkpoint has
/// expired.
#[must_use]
pub fn judge_first(checkpoint: &Position, first: Option<&SequenceNumber>) -> Option<DataGap> {
    match first {
        Some(first) if *first <= checkpoint.sequence => None,
        first => Some(DataGap {
            after: Checkpoint::At(checkpoint.clone()),
            before: first.map(|sequence| Position::from(sequence.clone())),
            certain: false,
        }),
    }
}

/// The gap of a lease at `checkpoint` whose shard has been removed from the stream. `None` if the
/// shard was finished.
#[must_use]
pub fn shard_gone(checkpoint: &Checkpoint) -> Option<DataGap> {
    (!checkpoint.is_shard_end()).then(|| DataGap {
        after: checkpoint.clone(),
        before: None,
        certain: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u128) -> SequenceNumber {
        SequenceNumber::from_u128(value)
    }

    fn at(sequence: u128, sub: u64) -> Position {
        Position::new(number(sequence), sub)
    }

    #[test]
    fn the_checkpointed_record_first_shows_that_nothing_is_missing() {
        assert_eq!(judge_first(&at(7, 0), Some(&number(7))), None);
    }

    #[test]
    fn an_aggregate_is_found_by_its_sequence_number_alone() {
        assert_eq!(judge_first(&at(7, 3), Some(&number(7))), None);
    }

    #[test]
    fn another_record_first_is_an_uncertain_gap_up_to_it() {
        let gap = judge_first(&at(7, 3), Some(&number(9)));
        assert_eq!(
            gap,
            Some(DataGap {
                after: Checkpoint::At(at(7, 3)),
                before: Some(at(9, 0)),
                certain: false
            })
        );
    }

    #[test]
    fn numbers_are_compared_not_texts() {
        assert!(judge_first(&at(9, 0), Some(&number(10))).is_some());
    }

    #[test]
    fn an_end_without_the_checkpointed_record_is_an_uncertain_gap() {
        let gap = judge_first(&at(7, 0), None);
        assert_eq!(
            gap,
            Some(DataGap {
                after: Checkpoint::At(at(7, 0)),
                before: None,
                certain: false
            })
        );
    }

    #[test]
    fn a_record_before_the_checkpoint_shows_that_nothing_aged_out() {
        assert_eq!(judge_first(&at(7, 0), Some(&number(6))), None);
    }

    #[test]
    fn a_shard_that_left_unfinished_is_a_certain_gap() {
        for checkpoint in [
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            Checkpoint::At(at(7, 3)),
        ] {
            assert_eq!(
                shard_gone(&checkpoint),
                Some(DataGap {
                    after: checkpoint.clone(),
                    before: None,
                    certain: true
                })
            );
        }
        assert_eq!(shard_gone(&Checkpoint::ShardEnd), None);
    }

    #[test]
    fn a_gap_says_what_is_lost() {
        let gap = judge_first(&at(7, 3), Some(&number(9))).map(|gap| gap.to_string());
        assert_eq!(
            gap.as_deref(),
            Some("records may be lost after 7.3 and before 9")
        );
        let gone = shard_gone(&Checkpoint::TrimHorizon).map(|gap| gap.to_string());
        assert_eq!(
            gone.as_deref(),
            Some("records are lost after TRIM_HORIZON to the end of the shard")
        );
    }
}
