//! The time at which a lease begins: how long it is used, and what is kept of it.
//!
//! ```text
//!                   created         first checkpoint        an edit writes LATEST       next checkpoint
//!   checkpoint      LATEST ----------> position --------------> LATEST ------------------> position
//!   start_at      created at              -                  read again at                    -
//!   began_at          -              created at               created at                 created at
//! ```
//!
//! The shard is opened at `start_at` until there is a checkpoint, also after a restart: otherwise
//! records would be skipped. After the first checkpoint, the shard is never opened at that time
//! again: an operator who then writes `LATEST` or `AT_TIMESTAMP` into the row does not mean that
//! old time. The leases of other shards still need it ([`shards`](super::shards)), so it is kept.

use crate::model::{Checkpoint, Facts, InitialPosition, Timestamp};

/// A time that is missing in a row, and that has to be determined and stored there before the shard
/// is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// This time, from the configuration.
    Configured(Timestamp),
    /// The service's current time.
    Present,
}

/// Whether the time at which to open the shard has to be determined first. This is so for a row
/// that the KCL has created (it stores no time), and for one that was set to `LATEST` or
/// `AT_TIMESTAMP` after it had a checkpoint.
#[must_use]
pub const fn missing(
    checkpoint: &Checkpoint,
    facts: &Facts,
    initial: InitialPosition,
) -> Option<Missing> {
    if facts.start_at.is_some() {
        return None;
    }
    match (checkpoint, initial) {
        (Checkpoint::AtTimestamp, InitialPosition::AtTimestamp(at)) => {
            Some(Missing::Configured(at))
        }
        (Checkpoint::AtTimestamp | Checkpoint::Latest, _) => Some(Missing::Present),
        (Checkpoint::TrimHorizon | Checkpoint::At(_) | Checkpoint::ShardEnd, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SequenceNumber;

    fn time(millis: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(millis))
    }

    fn facts(start_at: Option<Timestamp>, began_at: Option<Timestamp>) -> Facts {
        Facts {
            start_at,
            began_at,
            stream_arn: Some("arn".into()),
            ..Facts::default()
        }
    }

    fn at(sequence: u128) -> Checkpoint {
        Checkpoint::At(SequenceNumber::from_u128(sequence).into())
    }

    #[test]
    fn the_first_checkpoint_passes_the_time_and_keeps_it() {
        for progress in [at(1), Checkpoint::ShardEnd] {
            assert_eq!(
                facts(time(7), None).passed_by(&progress),
                Some(facts(None, time(7))),
                "{progress}"
            );
            assert_eq!(
                facts(None, time(7)).passed_by(&progress),
                None,
                "{progress}: it is passed already"
            );
            assert_eq!(
                facts(None, None).passed_by(&progress),
                None,
                "{progress}: it never began at a time"
            );
        }
        for nothing_done in [
            Checkpoint::Latest,
            Checkpoint::AtTimestamp,
            Checkpoint::TrimHorizon,
        ] {
            assert_eq!(
                facts(time(7), None).passed_by(&nothing_done),
                None,
                "{nothing_done}"
            );
        }
    }

    #[test]
    fn a_later_start_is_passed_too_and_the_first_one_is_kept() {
        assert_eq!(
            facts(time(9), time(7)).passed_by(&at(1)),
            Some(facts(None, time(7)))
        );
        assert_eq!(facts(time(9), time(7)).first_time(), time(7));
    }

    #[test]
    fn a_lease_that_is_set_back_begins_now() {
        let (latest, configured) = (
            InitialPosition::Latest,
            InitialPosition::AtTimestamp(Timestamp::from_millis(3)),
        );
        let done = facts(None, time(7));
        assert_eq!(
            missing(&Checkpoint::Latest, &done, latest),
            Some(Missing::Present)
        );
        assert_eq!(
            missing(&Checkpoint::AtTimestamp, &done, latest),
            Some(Missing::Present)
        );
        assert_eq!(
            missing(&Checkpoint::Latest, &done, configured),
            Some(Missing::Present)
        );
        assert_eq!(
            missing(&Checkpoint::AtTimestamp, &done, configured),
            Some(Missing::Configured(Timestamp::from_millis(3))),
            "that is the time which the word means"
        );
    }

    #[test]
    fn nothing_is_missing_where_the_row_says_where_to_begin() {
        let latest = InitialPosition::Latest;
        assert_eq!(
            missing(&Checkpoint::Latest, &facts(time(7), None), latest),
            None
        );
        for checkpoint in [at(1), Checkpoint::TrimHorizon, Checkpoint::ShardEnd] {
            assert_eq!(
                missing(&checkpoint, &facts(None, None), latest),
                None,
                "{checkpoint}"
            );
        }
    }
}
