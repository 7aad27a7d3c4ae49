//! Whether reading a shard succeeds, when a change of that is reported, and when the lease is left
//! to another worker.
//!
//! | result of a call | the shard | for giving up the lease |
//! |---|---|---|
//! | a page or an event | is being read | progress |
//! | `Throttled` | is not being read | progress: the service has answered, and would throttle another worker too |
//! | `Unreachable` | is not being read | no progress: another worker may be able to reach the service |
//! | any other failure | is not being read | neither progress nor a reason to give up: another worker would get the same answer |
//!
//! A lease is given up if calls have made no progress, but were `Unreachable`, for [`PATIENCE`]
//! failover times while another worker is alive. Only the time between failures counts: a shard
//! that waits for memory after one is not failing.

use std::time::Duration;

use crate::model::Moment;
use crate::stream::ErrorKind;

/// For how many failover times a worker that is not alone may fail to reach a shard before it
/// leaves the shard to others. A service that is out of reach for everybody for a shorter time must
/// not make the leases of a fleet go round.
pub const PATIENCE: u32 = 3;

/// How many failures it takes at least to give up a lease: a single one may be a call that was in
/// flight when a connection broke. After a suspension the first failure may be far from the next
/// one.
const LEAST: u32 = 2;

/// The progress of reading one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// `None` while the last call was answered.
    failing: Option<Failing>,
    /// The first and the last call that could not reach the service since one was answered, and how
    /// many there were. A throttled call ends it, as it was answered; a failure inside the service
    /// does not.
    unreached: Option<(Moment, Moment, u32)>,
}

/// A shard that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first call failed after the last page or event.
    pub since: Moment,
    /// When the last call failed.
    pub last: Moment,
    /// How many calls have failed.
    pub attempts: u32,
    /// Each run of failures is reported once.
    told: bool,
}

impl Failing {
    /// Whether it was reported that the shard is not being read.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.told
    }
}

/// A change to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingChange {
    /// The shard has not been read for longer than the failover time.
    Fails(Failing),
    /// It is being read again, after the failure was reported.
    GoesOn(Failing),
}

impl Reading {
    /// Notes that a page or an event was received. Returns what to report: nothing, if the failure
    /// was too short to be reported itself.
    pub fn answered(&mut self) -> Option<ReadingChange> {
        self.unreached = None;
        self.failing
            .take()
            .filter(|failing| failing.told)
            .map(ReadingChange::GoesOn)
    }

    /// Notes that a call failed at `now`. The time of the first failure stays until a call is
    /// answered.
    pub fn failed(
        &mut self,
        kind: ErrorKind,
        now: Moment,
        failover: Duration,
    ) -> Option<ReadingChange> {
        match kind {
            ErrorKind::Unreachable => {
                let (since, _, count) = self.unreached.unwrap_or((now, now, 0));
                self.unreached = Some((since, now, count.saturating_add(1)));
            }
            ErrorKind::Throttled => self.unreached = None,
            // Shows neither that the service stays reachable, nor that another worker would get
            // another answer.
            _ => {}
        }
        let failing = self.failing.get_or_insert(Failing {
            since: now,
            last: now,
            attempts: 0,
            told: false,
        });
        failing.last = now;
        failing.attempts = failing.attempts.saturating_add(1);
        let is_news = !failing.told && now.since(failing.since) > failover;
        failing.told |= is_news;
        is_news.then_some(ReadingChange::Fails(*failing))
    }

    /// The current failure, if there is one.
    #[must_use]
    pub const fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    /// Whether to leave the lease to another worker. `others` says whether there are other live
    /// workers; a lone worker keeps trying.
    #[must_use]
    pub fn gives_up(&self, failover: Duration, others: bool) -> bool {
        others
            && self.unreached.is_some_and(|(first, last, count)| {
                count >= LEAST && last.since(first) >= failover * PATIENCE
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILOVER: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    /// Failures of these kinds at these seconds.
    fn after(failures: &[(ErrorKind, u64)]) -> Reading {
        let mut reading = Reading::default();
        for (kind, seconds) in failures {
            reading.failed(*kind, at(*seconds), FAILOVER);
        }
        reading
    }

    #[test]
    fn a_shard_out_of_reach_is_left_to_others_after_three_failovers() {
        use ErrorKind::{Busy, Denied, Expired, Gone, Throttled, Transient, Unreachable};
        type Case = (&'static str, &'static [(ErrorKind, u64)], bool);
        let cases: &[Case] = &[
            (
                "out of reach for long",
                &[(Unreachable, 0), (Unreachable, 30)],
                true,
            ),
            (
                "not long enough",
                &[(Unreachable, 0), (Unreachable, 29)],
                false,
            ),
            ("a single failure", &[(Unreachable, 30)], false),
            (
                "throttled is an answer",
                &[(Unreachable, 0), (Throttled, 29), (Unreachable, 30)],
                false,
            ),
            (
                "throttled for ever",
                &[(Throttled, 0), (Throttled, 600)],
                false,
            ),
            (
                "the service's own trouble",
                &[(Transient, 0), (Transient, 600)],
                false,
            ),
            (
                "refused in each other way",
                &[(Busy, 0), (Gone, 60), (Expired, 120), (Denied, 180)],
                false,
            ),
            (
                "its trouble in between is no progress",
                &[(Unreachable, 0), (Transient, 15), (Unreachable, 30)],
                true,
            ),
        ];
        for (name, failures, gives_up) in cases {
            assert_eq!(
                after(failures).gives_up(FAILOVER, true),
                *gives_up,
                "{name}"
            );
            assert!(
                !after(failures).gives_up(FAILOVER, false),
                "{name}: a lone worker keeps trying"
            );
        }
    }

    #[test]
    fn an_answer_ends_what_led_to_giving_up() {
        let mut reading = after(&[(ErrorKind::Unreachable, 0), (ErrorKind::Unreachable, 30)]);
        reading.answered();
        assert!(!reading.gives_up(FAILOVER, true));
        reading.failed(ErrorKind::Unreachable, at(31), FAILOVER);
        assert!(!reading.gives_up(FAILOVER, true));
    }

    /// They are reported after the failover time.
    #[test]
    fn failing_reads_are_reported_once_and_so_is_their_end() {
        let mut reading = Reading::default();
        assert_eq!(reading.answered(), None);
        assert_eq!(reading.failed(ErrorKind::Transient, at(5), FAILOVER), None);
        assert_eq!(reading.answered(), None, "it was not told");
        for seconds in [20, 25, 30] {
            assert_eq!(
                reading.failed(ErrorKind::Throttled, at(seconds), FAILOVER),
                None,
                "{seconds}"
            );
        }
        let Some(ReadingChange::Fails(failing)) =
            reading.failed(ErrorKind::Unreachable, at(31), FAILOVER)
        else {
            panic!("not told")
        };
        assert_eq!(
            (failing.since, failing.last, failing.attempts),
            (at(20), at(31), 4)
        );
        assert_eq!(
            reading.failed(ErrorKind::Unreachable, at(60), FAILOVER),
            None,
            "told already"
        );
        assert_eq!(reading.failing().map(|failing| failing.last), Some(at(60)));
        let Some(ReadingChange::GoesOn(failing)) = reading.answered() else {
            panic!("not told")
        };
        assert_eq!((failing.since, failing.attempts), (at(20), 5));
        assert_eq!(reading.failing(), None);
    }
}
