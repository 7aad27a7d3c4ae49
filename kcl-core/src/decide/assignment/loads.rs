//! How many leases each worker has in the eyes of a plan.
//!
//! Counts include what is on its way. If a requested lease still counted for its owner, every
//! worker would ask that owner for more, until it had too few.

use crate::model::{LeaseKey, WorkerId};

use super::fleet::Fleet;
use super::load::{LIGHT, SAME, Share};
use super::planned_lease::PlannedLease;
use super::standing::LeaseStanding;

/// How many leases each live worker has, or will have when all pending moves are finished; by the
/// places of the workers.
#[derive(Clone, Debug)]
pub(super) struct Loads<'a> {
    /// For the places of the workers.
    fleet: &'a Fleet<'a>,
    /// As long as [`Fleet::live`].
    loads: Vec<usize>,
    /// What their leases carry; all 0 in a fleet that balances by count.
    carried: Vec<u64>,
    /// How many leases they have now, and what those carry.
    has: Vec<(usize, u64)>,
    /// The scores of one lease, which the next one overwrites.
    scores: Vec<u64>,
    /// The same of its ranks.
    ranks: Vec<u64>,
}

/// Who should take a lease. A free lease is reserved for nobody. The order only keeps workers from
/// taking it at the same moment: a worker of rank `k` waits `k` times 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TakeOrder {
    /// The first in the order. The lease counts as that worker's for the rest of the plan.
    pub(super) first: usize,
    /// How many come before this worker, if it is in the order. `None` if this worker is leaving,
    /// or is the one that the lease is taken from.
    pub(super) my_rank: Option<usize>,
}

impl<'a> Loads<'a> {
    /// Counts each lease for the worker that will have it.
    pub(super) fn new(leases: &[PlannedLease<'_>], fleet: &'a Fleet<'a>) -> Self {
        let mut loads = vec![0; fleet.live.len()];
        let mut carried = vec![0; fleet.live.len()];
        for lease in leases {
            if let Some(place) = lease.counted_by.filter(|place| *place < loads.len()) {
                loads[place] += lease.weight(fleet);
                carried[place] += lease.load;
            }
        }
        Self {
            fleet,
            has: loads.iter().copied().zip(carried.iter().copied()).collect(),
            loads,
            carried,
            scores: Vec::new(),
            ranks: Vec::new(),
        }
    }

    /// 0 for a worker that is not alive.
    pub(super) fn count(&self, worker: &WorkerId) -> usize {
        self.fleet
            .place(worker)
            .and_then(|place| self.loads.get(place).copied())
            .unwrap_or_default()
    }

    /// The counts in the order of [`Fleet::live`].
    pub(super) fn by_place(&self) -> &[usize] {
        &self.loads
    }

    /// What each worker has, in the order of [`Fleet::live`]. `None` if the fleet balances by count.
    pub(super) fn shares(&self) -> Option<Vec<Share>> {
        let weights = self.fleet.weights.as_ref()?;
        let share = |(place, weight): (usize, &f64)| Share {
            count: self.loads[place],
            load: self.carried[place],
            to_come: self.loads[place].saturating_sub(self.has[place].0),
            load_to_come: self.carried[place].saturating_sub(self.has[place].1),
            weight: *weight,
        };
        Some(weights.iter().enumerate().map(share).collect())
    }

    /// Whether `from` has so much more than `to` that a lease that counts for it and carries `load`
    /// should go there.
    pub(super) fn gives(&self, from: &WorkerId, to: &WorkerId, load: u64) -> bool {
        let places = self.fleet.place(from).zip(self.fleet.place(to));
        let (Some(shares), Some((from, to))) = (self.shares(), places) else {
            return self.count(from) >= self.count(to) + 2;
        };
        let (from, to) = (&shares[from], &shares[to]);
        let is_relieved = from.is_unlike(to) && from.is_relieved_by(to, load);
        is_relieved || from.is_spread_to(to, load)
    }

    /// Counts one more lease, which carries `load`, for the worker at this place.
    pub(super) fn add(&mut self, place: usize, load: u64) {
        if let Some(count) = self.loads.get_mut(place) {
            *count += 1;
            self.carried[place] += load;
        }
    }

    /// Moves one lease, which carries `load`, from one worker to another. A worker that is not alive
    /// neither loses nor gets one.
    pub(super) fn move_one(&mut self, from: &WorkerId, to: &WorkerId, load: u64) {
        if let Some(from) = self.fleet.place(from) {
            self.loads[from] = self.loads[from].saturating_sub(1);
            self.carried[from] = self.carried[from].saturating_sub(load);
        }
        if let Some(to) = self.fleet.place(to) {
            self.add(to, load);
        }
    }

    /// The order in which the live workers except `without` should take a lease that carries `load`:
    /// the one with the fewest leases first, and of several such the one with the highest score, or
    /// the first by name. In a fleet that balances by load, workers that would then carry more than
    /// others come after them. `None` if there is no worker.
    ///
    /// Thousands of leases may be free at a time, so it goes over all workers without a branch that
    /// depends on their loads. `without` is the former owner: its lease expires because it does not
    /// write, so it would not take it either.
    pub(super) fn order(
        &mut self,
        key: &LeaseKey,
        load: u64,
        without: Option<&WorkerId>,
    ) -> Option<TakeOrder> {
        let without = without.and_then(|worker| self.fleet.place(worker));
        let me = self.fleet.my_place.filter(|me| Some(*me) != without);
        let scored = &self.fleet.scored;
        scored.score_workers(scored.hash(key), &mut self.scores);
        self.rank(load);
        if let Some(place) = without {
            self.ranks[place] = LAST;
        }
        first_of(&self.ranks, &self.scores).map(|first| TakeOrder {
            first,
            my_rank: me.map(|me| count_before(me, &self.ranks, &self.scores)),
        })
    }

    /// Ranks the workers for a lease that carries `load`, the least first: by count those that would
    /// carry about the least, or next to nothing; then the others by what they would carry. So what
    /// is given out is never moved again at once.
    fn rank(&mut self, load: u64) {
        self.ranks.clear();
        let by_count = |count: &usize| *count as u64;
        let Some(weights) = &self.fleet.weights else {
            self.ranks.extend(self.loads.iter().map(by_count));
            return;
        };
        let carries = |(carried, weight): (&u64, &f64)| (carried + load) as f64 * weight;
        let all = || self.carried.iter().zip(weights).map(carries);
        let least = all().fold(f64::MAX, f64::min);
        let about_the_least = (least * SAME).max(LIGHT / 2.0);
        let ranks = all().zip(&self.loads).map(|(carries, count)| {
            if carries <= about_the_least {
                by_count(count)
            } else {
                HEAVIER | whole(carries)
            }
        });
        self.ranks.extend(ranks);
    }

    /// Counts the leases of dead and leaving workers, which will be free, for the workers that will
    /// take them: those workers need no leases from others now. Without this, a live worker would
    /// first get leases from the others, and then those of the dead worker on top, which would have
    /// to move again.
    pub(super) fn place_orphans(&mut self, leases: &[PlannedLease<'_>]) {
        for lease in leases
            .iter()
            .filter(|lease| lease.standing == LeaseStanding::Orphan)
        {
            let row = lease.seen.row;
            if let Some(order) = self.order(&row.key, lease.load, row.actual_owner()) {
                self.add(order.first, lease.load);
            }
        }
    }
}

/// The rank of a worker that comes before none.
const LAST: u64 = u64::MAX;
/// Above every count: such a worker is ranked by what it would carry.
const HEAVIER: u64 = 1 << 62;

/// What a worker carries as a whole number, which can be ordered.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and far below the range"
)]
pub(super) fn whole(relative: f64) -> u64 {
    relative as u64
}

/// The place with the highest score of those with the lowest rank.
fn first_of(ranks: &[u64], scores: &[u64]) -> Option<usize> {
    let least = ranks.iter().copied().min().filter(|rank| *rank < LAST)?;
    let mut first: Option<(usize, u64)> = None;
    for (place, (rank, score)) in ranks.iter().zip(scores).enumerate() {
        // The score of the others is below every score.
        let score = if *rank == least { Some(*score) } else { None };
        if score > first.map(|(_, highest)| highest) {
            first = score.map(|score| (place, score));
        }
    }
    first.map(|(place, _)| place)
}

/// How many places come before this one.
fn count_before(me: usize, ranks: &[u64], scores: &[u64]) -> usize {
    let (my_rank, my_score) = (ranks[me], scores[me]);
    let before = ranks
        .iter()
        .zip(scores)
        .enumerate()
        .map(|(place, (rank, score))| {
            let is_equal = *rank == my_rank;
            let is_higher = *score > my_score;
            let is_earlier = *score == my_score && place < me;
            usize::from(*rank < my_rank) + usize::from(is_equal & (is_higher | is_earlier))
        });
    before.sum()
}

/// How many unfinished leases count for each live worker, by their places. The second count that a
/// request from a KCL worker has to pass: the KCL counts finished leases as well.
pub(super) fn unfinished(leases: &[PlannedLease<'_>], fleet: &Fleet<'_>) -> Vec<usize> {
    let mut counts = vec![0; fleet.live.len()];
    for lease in leases.iter().filter(|lease| !lease.is_finished()) {
        if let Some(count) = lease.counted_by.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_and_the_rank_are_those_of_a_sort(
            workers in prop::collection::vec(
                (prop_oneof![8 => 0_u64..4, 1 => Just(LAST)], 0_u64..4),
                1..12,
            ),
            me in any::<prop::sample::Index>(),
        ) {
            let (ranks, scores): (Vec<u64>, Vec<u64>) = workers.iter().copied().unzip();
            let mut order: Vec<usize> = (0..workers.len())
                .filter(|place| ranks[*place] < LAST)
                .collect();
            order.sort_by_key(|place| (ranks[*place], Reverse(scores[*place]), *place));
            prop_assert_eq!(first_of(&ranks, &scores), order.first().copied());
            let me = me.index(workers.len());
            if let Some(rank) = order.iter().position(|place| *place == me) {
                prop_assert_eq!(count_before(me, &ranks, &scores), rank);
            }
        }
    }
}
