//! Which worker compares the shards with the leases, and when: one does it for the whole fleet, and
//! another takes its place if it does not.

use std::time::Duration;

use crate::decide::rendezvous::score;
use crate::model::{Moment, WorkerId};

/// When this worker audits next, unless it sees another worker do it before. The worker of rank 0
/// audits `every` after the last audit that was seen, and each further rank a quarter of `every`
/// later, or a scan later if they are further apart: it is a scan that shows an audit. The first rank has no privilege: if it does not audit, the next one does. A fleet that
/// works makes one audit per interval, whatever its size, so it does not use up the limit of calls
/// to `ListShards`, which all applications of the stream share.
#[must_use]
pub fn next_audit(
    last_seen: Moment,
    every: Duration,
    scans_every: Duration,
    rank: usize,
) -> Moment {
    let step = scans_every.max(every / 4);
    last_seen + every + step * u32::try_from(rank).unwrap_or(u32::MAX)
}

/// How many of the `live` workers come before this one. The order has nothing to do with that for
/// leases: it is by the score of the word `audit`.
#[must_use]
pub fn rank(live: &[WorkerId], me: &WorkerId) -> usize {
    let place = |worker: &WorkerId| (score(&["audit", worker.as_str()]), worker.clone());
    let mine = place(me);
    live.iter().filter(|worker| place(worker) > mine).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(count))
    }

    #[test]
    fn one_worker_audits_first_and_the_others_follow_apart() {
        let live: Vec<WorkerId> = ["a", "b", "c", "d"].map(WorkerId::from).to_vec();
        let mut ranks: Vec<_> = live.iter().map(|worker| rank(&live, worker)).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2, 3]);
        let first = live
            .iter()
            .max_by_key(|worker| score(&["audit", worker.as_str()]))
            .unwrap();
        assert_eq!(rank(&live, first), 0);
        let times: Vec<_> = ranks
            .iter()
            .map(|rank| {
                let every = Duration::from_secs(120);
                next_audit(second(100), every, Duration::from_secs(2), *rank)
            })
            .collect();
        assert_eq!(times, [second(220), second(250), second(280), second(310)]);
        let (every, scans_every) = (Duration::from_secs(60), Duration::from_secs(30));
        let second_rank = next_audit(second(100), every, scans_every, 1);
        assert_eq!(second_rank, second(190), "in a quiet fleet");
    }

    #[test]
    fn when_the_first_is_dead_the_second_is_first() {
        let live: Vec<WorkerId> = ["a", "b", "c", "d"].map(WorkerId::from).to_vec();
        let (first, others): (Vec<_>, Vec<_>) = live
            .iter()
            .cloned()
            .partition(|worker| rank(&live, worker) == 0);
        assert_eq!(first.len(), 1);
        assert_eq!(
            others
                .iter()
                .filter(|worker| rank(&others, worker) == 0)
                .count(),
            1
        );
    }

    #[test]
    fn a_worker_that_does_not_see_itself_yet_has_a_rank_too() {
        assert_eq!(rank(&[], &"a".into()), 0);
    }
}
