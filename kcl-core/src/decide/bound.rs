//! A reading that ends: which records belong to it, and when a shard and a worker are done with it.
//!
//! ```text
//!                      bound
//!   ---r----r----r-------|------r----r--->  a shard's records, by their time of arrival
//!                    ^          ^
//!                    |          the first one after the bound: the shard is done
//!                    nothing more, and the tip was asked for after the bound: the shard is done
//! ```
//!
//! A shard that has ended by then is done as always. One that is done otherwise is given up with
//! its checkpoint, and not taken again in this run of the worker. Its children are not read: they
//! begin after it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{Lease, LeaseKey, Timestamp};

/// The time up to which is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound(Timestamp);

/// How long after the bound the tip of a shard must have been asked for, for its silence to say
/// that nothing has arrived by then: a record shows a moment after its arrival, and clocks differ.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

impl Bound {
    /// Up to and with this time.
    #[must_use]
    pub const fn new(time: Timestamp) -> Self {
        Self(time)
    }

    /// How many of a shard's next records come before the first that arrived after the bound;
    /// nothing when all of them may belong to the reading. A record without a time does.
    pub fn cut(self, arrivals: impl IntoIterator<Item = Option<Timestamp>>) -> Option<usize> {
        arrivals
            .into_iter()
            .position(|arrived| arrived.is_some_and(|arrived| arrived > self.0))
    }

    /// Whether an answer without records says that nothing more has arrived by the bound: the tip
    /// of the shard, `asked` for after it.
    #[must_use]
    pub fn is_passed_at_tip(self, millis_behind_latest: Option<u64>, asked: Timestamp) -> bool {
        let shown = self
            .0
            .as_millis()
            .saturating_add(i64::try_from(SHOWN_AFTER.as_millis()).unwrap_or(i64::MAX));
        millis_behind_latest == Some(0) && asked.as_millis() > shown
    }
}

/// What a worker has to do with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseDuty {
    /// It was read up to the bound here.
    Done,
    /// It is held, being taken, or still to be taken here.
    Mine,
    /// A live worker has it, and sees to it.
    Others,
}

/// Whether a worker has nothing left to read: of the unfinished leases each is done, somebody
/// else's, or waits for a parent that is done and so does not end in this run. Not when there is no
/// lease at all.
pub fn is_read(leases: &[Lease], part: impl Fn(&Lease) -> LeaseDuty) -> bool {
    let unfinished = || {
        leases
            .iter()
            .filter(|lease| !lease.checkpoint.is_shard_end())
    };
    // What is done does not end, nor does what waits for it; both are the same to their children.
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
        is_read(&leases, |lease| {
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
