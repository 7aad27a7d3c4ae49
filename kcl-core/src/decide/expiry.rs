//! Who is alive, judged by nothing but counters and a clock of one's own.
//!
//! An owner's deadline counts from the moment it *sent* its last settled write. The expiry of another's lease counts from when its
//! counter was last *seen to change*. Between the two lies a margin, so that the owner has stopped before anybody takes over:
//!
//! | | share of the failover time F | |
//! |---|---|---|
//! | look period P | 1/5 | every observer looks that often |
//! | D_obs | 4/5 | F - P: what a counter may stand still before its lease is taken; with the look that makes F |
//! | D_own | 18/25 | 0.9 D_obs: what an owner may go on after it sent its last settled write |
//! | renewal | 1/3 | as the KCL does |
//! | call limit | 9/50 | D_own / 4: a call that hangs leaves room for others |

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Lease, LeaseKey, Moment, Token};

/// The times that follow from the failover time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// The failover time itself. The KCL's default is 10 s.
    pub failover: Duration,
    /// How often an observer looks at the table.
    pub look: Duration,
    /// How long a counter may stand still before its lease counts as expired.
    pub expires_after: Duration,
    /// How long an owner may hand out records after it sent its last settled write.
    pub valid_for: Duration,
    /// How often an owner gives a sign of life.
    pub renew_every: Duration,
    /// How long one call on the lease table may take.
    pub call_limit: Duration,
}

impl Timing {
    /// The times for this failover time.
    #[must_use]
    pub fn for_failover(failover: Duration) -> Self {
        let look = failover / 5;
        let expires_after = failover - look;
        let valid_for = expires_after * 9 / 10;
        Self { failover, look, expires_after, valid_for, renew_every: failover / 3, call_limit: valid_for / 4 }
    }
}

/// What an observer has seen of one lease.
#[derive(Clone, Debug)]
struct Sight {
    counter: u64,
    token: Option<Token>,
    /// When the counter was first seen at this value.
    since: Moment,
}

/// What an observer has seen of the leases of others.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    sights: BTreeMap<LeaseKey, Sight>,
    last_look: Option<Moment>,
}

impl Observations {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a look at the whole table that was begun and ended at these moments.
    ///
    /// A new counter may have been written as late as the look *ended*: its age begins there. Judge with the moment at which the look
    /// *began*: so long ago an unchanged counter was certainly read.
    ///
    /// An age counts only over looks less than half a failover time apart: after a longer gap (a pause of the observer, a table out
    /// of reach) every age starts anew, or one who wakes up would find the whole fleet expired.
    pub fn look(&mut self, rows: &[Lease], begun: Moment, ended: Moment, timing: &Timing) {
        let gap = self.last_look.is_none_or(|last| ended.since(last) >= timing.failover / 2);
        self.last_look = Some(begun);
        let mut seen = BTreeMap::new();
        for row in rows {
            let sight = match self.sights.remove(&row.key) {
                Some(sight) if sight.counter == row.counter && sight.token == row.token || is_stale(&sight, row) => {
                    // A lower counter under the same token is a stale read, no sign of life.
                    Sight { since: if gap { ended } else { sight.since }, ..sight }
                }
                _ => Sight { counter: row.counter, token: row.token.clone(), since: ended },
            };
            seen.insert(row.key.clone(), sight);
        }
        self.sights = seen;
    }

    /// A look failed: what happened meanwhile is not known, so every age starts anew with the next one.
    pub const fn failed(&mut self) {
        self.last_look = None;
    }

    /// How long the counter of this lease has stood still. Nothing when it was never seen.
    #[must_use]
    pub fn age(&self, key: &LeaseKey, now: Moment) -> Option<Duration> {
        self.sights.get(key).map(|sight| now.since(sight.since))
    }

    /// Whether the owner of this lease has shown no life for long enough, as of the last look.
    #[must_use]
    pub fn is_expired(&self, key: &LeaseKey, now: Moment, timing: &Timing) -> bool {
        self.age(key, now).is_some_and(|age| age >= timing.expires_after)
    }
}

/// A lower counter under the same token is an old read. Without a token it may be a row that another framework made anew.
fn is_stale(sight: &Sight, row: &Lease) -> bool {
    sight.token.is_some() && sight.token == row.token && row.counter < sight.counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Checkpoint;

    const F: Duration = Duration::from_secs(10);

    fn moment(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    fn row(counter: u64) -> Lease {
        let mut row = Lease::new(LeaseKey::single("s"), Checkpoint::TrimHorizon).owned_by("other".into(), "t".into());
        row.counter = counter;
        row
    }

    fn expired_at(looks: &[(u64, u64)]) -> Option<u64> {
        let (timing, mut seen) = (Timing::for_failover(F), Observations::new());
        looks.iter().find_map(|&(at, counter)| {
            seen.look(&[row(counter)], moment(at), moment(at), &timing);
            seen.is_expired(&LeaseKey::single("s"), moment(at), &timing).then_some(at)
        })
    }

    #[test]
    fn the_margins_of_the_protocol_hold() {
        let timing = Timing::for_failover(F);
        assert!(timing.look <= F / 5);
        assert!(timing.expires_after + timing.look <= F);
        assert!(timing.valid_for.as_secs_f64() <= 0.9 * timing.expires_after.as_secs_f64() + 1e-9);
        assert!(timing.call_limit <= timing.valid_for / 4);
        assert!(timing.renew_every + timing.call_limit < timing.valid_for);
    }

    #[test]
    fn a_counter_that_stands_still_expires_within_the_failover_time() {
        let looks: Vec<_> = (0..10).map(|look| (look * 2000, 5)).collect();
        assert_eq!(expired_at(&looks), Some(8000));
    }

    #[test]
    fn a_counter_that_moves_never_expires() {
        let looks: Vec<_> = (0..40).map(|look| (look * 2000, look / 2)).collect();
        assert_eq!(expired_at(&looks), None);
    }

    #[test]
    fn a_stale_read_does_not_restart_the_age() {
        assert_eq!(expired_at(&[(0, 5), (2000, 6), (4000, 5), (6000, 6), (8000, 5), (10_000, 6)]), Some(10_000));
    }

    #[test]
    fn the_age_of_a_new_counter_begins_when_the_look_that_showed_it_ended() {
        let (timing, mut seen) = (Timing::for_failover(F), Observations::new());
        seen.look(&[row(5)], moment(0), moment(1800), &timing);
        for at in [2000, 4000, 6000, 8000] {
            seen.look(&[row(5)], moment(at), moment(at), &timing);
            assert!(!seen.is_expired(&LeaseKey::single("s"), moment(at), &timing), "at {at}");
        }
        seen.look(&[row(5)], moment(9800), moment(9800), &timing);
        assert!(seen.is_expired(&LeaseKey::single("s"), moment(9800), &timing));
    }

    #[test]
    fn a_failed_look_starts_every_age_anew() {
        let (timing, mut seen) = (Timing::for_failover(F), Observations::new());
        for at in [0, 2000, 4000] {
            seen.look(&[row(5)], moment(at), moment(at), &timing);
        }
        seen.failed();
        for at in [8000, 10_000, 12_000, 14_000] {
            seen.look(&[row(5)], moment(at), moment(at), &timing);
            assert!(!seen.is_expired(&LeaseKey::single("s"), moment(at), &timing), "at {at}");
        }
    }

    #[test]
    fn an_observer_that_slept_starts_every_age_anew() {
        assert_eq!(expired_at(&[(0, 5), (2000, 5), (60_000, 5), (62_000, 5)]), None);
        assert_eq!(expired_at(&[(0, 5), (60_000, 5), (62_000, 5), (64_000, 5), (66_000, 5), (68_000, 5)]), Some(68_000));
    }
}
