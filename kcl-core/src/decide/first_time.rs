//! The time at which a lease begins: how long it counts, and what is kept of it.
//!
//! ```text
//!                    made           first checkpoint        somebody writes LATEST      next checkpoint
//!   checkpoint      LATEST ----------> position --------------> LATEST ------------------> position
//!   start_at        made at               -                  read again at                    -
//!   began_at          -                made at                  made at                    made at
//! ```
//!
//! The shard is opened at `start_at` until there is a checkpoint, also after a restart: records
//! would be skipped otherwise. Once there is one, nothing is opened at that time again: who then
//! writes `LATEST` or `AT_TIMESTAMP` into the row does not mean it. The leases of other shards need
//! it still ([`shards`](super::shards)), so it is kept.

use crate::model::{Checkpoint, Facts, InitialPosition, Timestamp};

/// A time that a row does not say, and that has to be found and kept in it before the shard is
/// opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is this one, of the configuration.
    Configured(Timestamp),
    /// It is the service's present time.
    Present,
}

/// Whether the time at which the shard is opened has to be found first. So it is in a row that
/// somebody else made (the KCL keeps none), and in one that was set to `LATEST` or `AT_TIMESTAMP`
/// after it had a checkpoint.
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
