//! A run with an end (a bound in time): which records belong to it, and when a shard and a worker
//! are done.
//!
//! ```text
//!                      bound
//!   ---r----r----r-------|------r----r--->  a shard's records, by their time of arrival
//!                    ^          ^
//!                    |          the first record after the bound: the shard is done
//!                    no more records, and the tip was read after the bound: the shard is done
//! ```
//!
//! A shard that ends before the bound is completed as always. Any other shard is released with its
//! checkpoint once it is done, and not taken again in this run of the worker. Its children are not
//! read, because they begin after it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{Lease, LeaseKey, Timestamp};

/// The time up to which records are read, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound(Timestamp);

/// How long after the bound the tip of a shard must be read for an empty answer to prove that no
/// more records arrived before the bound: a record becomes readable a moment after its arrival, and
/// clocks differ.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

impl Bound {
    /// Reads up to and including this time.
    #[must_use]
    pub const fn new(time: Timestamp) -> Self {
        Self(time)
    }

    /// How many of a shard's next records come before the first one that arrived after the bound.
    /// `None` if none of them arrived after it. A record without a time belongs to the run.
    pub fn cut(self, arrivals: impl IntoIterator<Item = Option<Timestamp>>) -> Option<usize> {
        arrivals
            .into_iter()
            .position(|arrived| arrived.is_some_and(|arrived| arrived > self.0))
    }

    /// Whether an answer without records proves that nothing more has arrived before the bound: it
    /// is from the tip of the shard, and was `asked` for after the bound.
    #[must_use]
    pub fn is_passed_at_tip(self, millis_behind_latest: Option<u64>, asked: Timestamp) -> bool {
        let shown = self
            .0
            .as_millis()
            .saturating_add(i64::try_from(SHOWN_AFTER.as_millis()).unwrap_or(i64::MAX));
        millis_behind_latest == Some(0) && asked.as_millis() > shown
    }
}

/// What a worker still has to do with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseDuty {
    /// This worker has read it up to the bound. Its lease is released, and not taken again in this
    /// run.
    Done,
    /// This worker holds it, is taking it, or still has to take it.
    Mine,
    /// Another live worker holds it and will read it. If it dies, the lease expires and becomes
    /// this worker's to read.
    Others,
}

/// Whether a worker has nothing left to read: each unfinished lease is done, belongs to another
/// worker, or waits for a parent that is done and therefore does not end in this run. False if
/// there are no leases at all.
pub fn is_read(leases: &[&Lease], part: impl Fn(&Lease) -> LeaseDuty) -> bool {
    let unfinished = || {
        leases
            .iter()
            .copied()
            .filter(|lease| !lease.checkpoint.is_shard_end())
    };
    // A shard that is done does not end in this run, and neither does one that waits for it: both
    // block their children.
    let mut over: BTreeSet<&LeaseKey> = unfinished()
        .filter(|lease| part(lease) == LeaseDuty::Done)
        .map(|lease| &lease.key)
        .collect();
    loop {
        let before = over.len();
        let waits = |lease: &&Lease| {
            lease
                .parents
                .iter()
                .any(|parent| over.contains(&lease.key.sibling(parent.clone())))
        };
        let waiting: Vec<&LeaseKey> = unfinished().filter(waits).map(|lease| &lease.key).collect();
        over.extend(waiting);
        if over.len() == before {
            break;
        }
    }
    !leases.is_empty()
        && unfinished().all(|lease| over.contains(&lease.key) || part(lease) == LeaseDuty::Others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Checkpoint;

    const BOUND: Bound = Bound::new(Timestamp::from_millis(10_000));

    fn time(millis: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(millis))
    }

    #[test]
    fn records_up_to_the_first_that_arrived_later_belong_to_it() {
        assert_eq!(BOUND.cut([time(1), time(10_000), None]), None);
        // A later one that arrived before is behind one that is not read.
        assert_eq!(BOUND.cut([time(1), None, time(10_001), time(5)]), Some(2));
        assert_eq!(BOUND.cut([time(10_001)]), Some(0));
        assert_eq!(BOUND.cut([]), None);
    }

    #[test]
    fn only_a_tip_requested_after_the_bound_shows_that_nothing_came() {
        let asked = Timestamp::from_millis;
        assert!(BOUND.is_passed_at_tip(Some(0), asked(11_001)));
        for (behind, at) in [
            (Some(0), 11_000),
            (Some(0), 9_000),
            (Some(1), 20_000),
            (None, 20_000),
        ] {
            assert!(
                !BOUND.is_passed_at_tip(behind, asked(at)),
                "{behind:?} {at}"
            );
        }
        assert!(!Bound::new(asked(i64::MAX)).is_passed_at_tip(Some(0), asked(i64::MAX)));
    }

    /// `name`, what is to do with it, its parents; a name in capitals is at its end.
    fn read(rows: &[(&str, LeaseDuty, &[&str])]) -> bool {
        let lease = |(name, _, parents): &(&str, LeaseDuty, &[&str])| {
            let end = if name.to_uppercase() == *name {
                Checkpoint::ShardEnd
            } else {
                Checkpoint::TrimHorizon
            };
            let mut lease = Lease::new(LeaseKey::single(*name), end);
            lease.parents = parents.iter().map(|parent| (*parent).into()).collect();
            lease
        };
        let leases: Vec<Lease> = rows.iter().map(lease).collect();
        is_read(&leases.iter().collect::<Vec<_>>(), |lease| {
            rows.iter()
                .find(|(name, ..)| lease.key.shard.as_str() == *name)
                .expect("a row")
                .1
        })
    }

    #[test]
    fn a_worker_is_done_when_every_lease_is_done_or_in_good_hands() {
        use LeaseDuty::{Done, Mine, Others};
        assert!(read(&[
            ("a", Done, &[]),
            ("b", Others, &[]),
            ("C", Mine, &[])
        ]));
        assert!(
            !read(&[("a", Done, &[]), ("b", Mine, &[])]),
            "one is held, or free"
        );
        assert!(!read(&[]), "nothing is known yet");
    }

    #[test]
    fn what_waits_for_a_shard_that_does_not_end_is_not_waited_for() {
        use LeaseDuty::{Done, Mine, Others};
        assert!(read(&[
            ("p", Done, &[]),
            ("c", Mine, &["p"]),
            ("g", Mine, &["c", "X"]),
            ("X", Mine, &[])
        ]));
        assert!(
            !read(&[("p", Others, &[]), ("c", Mine, &["p"])]),
            "its parent may still end"
        );
        assert!(
            !read(&[("P", Mine, &[]), ("c", Mine, &["P"])]),
            "its parent has ended"
        );
    }
}
