//! How many leases each worker has in the eyes of a plan.
//!
//! Counts include what is on its way. If a requested lease still counted for its owner, every
//! worker would ask that owner for more, until it had too few.

use crate::decide::rendezvous::LeaseScores;
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
        Self { fleet, loads }
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
    /// fewest leases first, and of several such the one with the highest score. `None` if there is
    /// no worker.
    ///
    /// Scores are computed only where loads do not decide: many leases may be free at a time.
    /// `without` is the former owner: its lease expires because it does not write, so it would not
    /// take it either.
    pub(super) fn order(&self, key: &LeaseKey, without: Option<&WorkerId>) -> Option<TakeOrder> {
        let without = without.and_then(|worker| self.fleet.place(worker));
        let scores = LeaseScores::new(key);
        let score = |place: usize| scores.of(&self.fleet.live[place]);
        let mine = self
            .fleet
            .my_place
            .filter(|me| Some(*me) != without)
            .map(|me| (me, self.loads[me], score(me)));
        let my_load = mine.map(|(_, load, _)| load);
        let (mut least, mut highest, mut first) = (usize::MAX, 0, None);
        let mut before_me = 0;
        for (place, load) in self.loads.iter().copied().enumerate() {
            if Some(place) == without {
                continue;
            }
            before_me += usize::from(my_load.is_some_and(|mine| load < mine));
            if load > least && Some(load) != my_load {
                continue;
            }
            let score = score(place);
            // Of two with the same score the first by name comes first.
            if let Some((me, my_load, my_score)) = mine
                && load == my_load
                && (score > my_score || (score == my_score && place < me))
            {
                before_me += 1;
            }
            if load < least || (load == least && score > highest) {
                (least, highest, first) = (load, score, Some(place));
            }
        }
        Some(TakeOrder {
            first: first?,
            my_rank: mine.map(|_| before_me),
        })
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
