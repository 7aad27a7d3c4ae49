use crate::decide::rendezvous::LeaseScores;
use crate::model::{LeaseKey, WorkerId};

use super::fleet::Fleet;
use super::planned_lease::PlannedLease;
use super::standing::LeaseStanding;

/// How many leases each live worker has, or will have when all pending moves are finished; by the
/// places of the workers.
#[derive(Clone, Debug)]
pub(super) struct Loads<'a> {
    fleet: &'a Fleet<'a>,
    loads: Vec<usize>,
}

/// Who should take a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TakeOrder {
    /// The first in the order.
    pub(super) first: usize,
    /// How many come before this worker, if it is in the order.
    pub(super) my_rank: Option<usize>,
}

impl<'a> Loads<'a> {
    pub(super) fn new(leases: &[PlannedLease<'_>], fleet: &'a Fleet<'a>) -> Self {
        let mut loads = vec![0; fleet.live.len()];
        for lease in leases {
            if let Some(load) = lease.counted_by.and_then(|place| loads.get_mut(place)) {
                *load += lease.weight(fleet);
            }
        }
        Self { fleet, loads }
    }

    pub(super) fn count(&self, worker: &WorkerId) -> usize {
        self.fleet
            .place(worker)
            .and_then(|place| self.loads.get(place).copied())
            .unwrap_or_default()
    }

    pub(super) fn by_place(&self) -> &[usize] {
        &self.loads
    }

    pub(super) fn add(&mut self, place: usize) {
        if let Some(load) = self.loads.get_mut(place) {
            *load += 1;
        }
    }

    /// Moves one lease from one worker to another.
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
    /// take them: those workers need no leases from others now.
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

/// How many unfinished leases count for each live worker, by their places.
pub(super) fn unfinished(leases: &[PlannedLease<'_>], fleet: &Fleet<'_>) -> Vec<usize> {
    let mut counts = vec![0; fleet.live.len()];
    for lease in leases.iter().filter(|lease| !lease.is_finished()) {
        if let Some(count) = lease.counted_by.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    counts
}
