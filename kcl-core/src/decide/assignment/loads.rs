//! How many leases each worker has in the eyes of a plan.
//!
//! Counts include what is on its way. If a requested lease still counted for its owner, every
//! worker would ask that owner for more, until it had too few.

use crate::model::{LeaseKey, WorkerId};

use super::fleet::Fleet;
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
    /// The scores of one lease, which the next one overwrites.
    scores: Vec<u64>,
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
        for lease in leases {
            if let Some(load) = lease.counted_by.and_then(|place| loads.get_mut(place)) {
                *load += lease.weight(fleet);
            }
        }
        Self {
            fleet,
            loads,
            scores: Vec::new(),
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

    /// Counts one more lease for the worker at this place.
    pub(super) fn add(&mut self, place: usize) {
        if let Some(load) = self.loads.get_mut(place) {
            *load += 1;
        }
    }

    /// Moves one lease from one worker to another. A worker that is not alive neither loses nor
    /// gets one.
    pub(super) fn move_one(&mut self, from: &WorkerId, to: &WorkerId) {
        if let Some(load) = self
            .fleet
            .place(from)
            .and_then(|from| self.loads.get_mut(from))
        {
            *load = load.saturating_sub(1);
        }
        if let Some(to) = self.fleet.place(to) {
            self.add(to);
        }
    }

    /// The order in which the live workers except `without` should take the lease: the one with the
    /// fewest leases first, and of several such the one with the highest score, or the first by name.
    /// `None` if there is no worker.
    ///
    /// Thousands of leases may be free at a time, so it goes over all workers without a branch that
    /// depends on their loads. `without` is the former owner: its lease expires because it does not
    /// write, so it would not take it either.
    pub(super) fn order(
        &mut self,
        key: &LeaseKey,
        without: Option<&WorkerId>,
    ) -> Option<TakeOrder> {
        let without = without.and_then(|worker| self.fleet.place(worker));
        let me = self.fleet.my_place.filter(|me| Some(*me) != without);
        let scored = &self.fleet.scored;
        scored.score_workers(scored.hash(key), &mut self.scores);
        // A worker with so many leases comes before none.
        let left_out = without.map(|place| std::mem::replace(&mut self.loads[place], usize::MAX));
        let order = first_of(&self.loads, &self.scores).map(|first| TakeOrder {
            first,
            my_rank: me.map(|me| count_before(me, &self.loads, &self.scores)),
        });
        if let (Some(place), Some(load)) = (without, left_out) {
            self.loads[place] = load;
        }
        order
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
            if let Some(order) = self.order(&row.key, row.actual_owner()) {
                self.add(order.first);
            }
        }
    }
}

/// The place with the highest score of those with the fewest leases.
fn first_of(loads: &[usize], scores: &[u64]) -> Option<usize> {
    let least = loads
        .iter()
        .copied()
        .min()
        .filter(|load| *load < usize::MAX)?;
    let mut first: Option<(usize, u64)> = None;
    for (place, (load, score)) in loads.iter().zip(scores).enumerate() {
        // The score of the others is below every score.
        let score = if *load == least { Some(*score) } else { None };
        if score > first.map(|(_, highest)| highest) {
            first = score.map(|score| (place, score));
        }
    }
    first.map(|(place, _)| place)
}

/// How many places come before this one.
fn count_before(me: usize, loads: &[usize], scores: &[u64]) -> usize {
    let (my_load, my_score) = (loads[me], scores[me]);
    let before = loads
        .iter()
        .zip(scores)
        .enumerate()
        .map(|(place, (load, score))| {
            let is_equal = *load == my_load;
            let is_higher = *score > my_score;
            let is_earlier = *score == my_score && place < me;
            usize::from(*load < my_load) + usize::from(is_equal & (is_higher | is_earlier))
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
                (prop_oneof![8 => 0_usize..4, 1 => Just(usize::MAX)], 0_u64..4),
                1..12,
            ),
            me in any::<prop::sample::Index>(),
        ) {
            let (loads, scores): (Vec<usize>, Vec<u64>) = workers.iter().copied().unzip();
            let mut order: Vec<usize> = (0..workers.len())
                .filter(|place| loads[*place] < usize::MAX)
                .collect();
            order.sort_by_key(|place| (loads[*place], Reverse(scores[*place]), *place));
            prop_assert_eq!(first_of(&loads, &scores), order.first().copied());
            let me = me.index(workers.len());
            if let Some(rank) = order.iter().position(|place| *place == me) {
                prop_assert_eq!(count_before(me, &loads, &scores), rank);
            }
        }
    }
}
