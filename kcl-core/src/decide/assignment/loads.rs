use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::decide::rendezvous::lease_score;
use crate::model::{Lease, LeaseKey, WorkerId};

use super::fleet::Fleet;
use super::standing::LeaseStanding;

/// How many leases each live worker has, or will have when all pending moves are finished.
#[derive(Clone, Debug)]
pub(super) struct Loads<'a> {
    loads: BTreeMap<&'a WorkerId, usize>,
    /// The worker for which each lease counts.
    by: BTreeMap<&'a LeaseKey, &'a WorkerId>,
}

/// How much a lease counts: 1, or 0 if it is finished. Together with KCL workers, a finished lease
/// counts too as long as its owner renews it, because the KCL counts it.
fn weight(lease: &Lease, fleet: &Fleet<'_>) -> usize {
    let is_renewed = || {
        fleet
            .members
            .expires_at(lease, fleet.timing)
            .is_some_and(|at| at > fleet.now)
    };
    usize::from(!lease.checkpoint.is_shard_end() || (fleet.is_mixed() && is_renewed()))
}

impl<'a> Loads<'a> {
    /// A lease counts for the worker that will have it, if that is alive: for the requester while a
    /// hand-over is pending. A request of this worker counts from the moment it was sent, and a
    /// lease that this worker is just taking counts as taken.
    pub(super) fn new(rows: &[(&'a Lease, LeaseStanding<'a>)], fleet: &'a Fleet<'a>) -> Self {
        let me = fleet.me;
        let mut loads = Self {
            loads: fleet.live.iter().map(|worker| (worker, 0)).collect(),
            by: BTreeMap::new(),
        };
        for (row, standing) in rows {
            let owner = if me.asked.contains_key(&row.key) && !standing.is_free(fleet.now) {
                Some(me.id)
            } else if !standing.is_free(fleet.now) {
                let owners = row.owner.iter().chain(&row.checkpoint_owner);
                owners.into_iter().find(|worker| fleet.is_live(worker))
            } else {
                Some(me.id).filter(|_| me.engaged.is_busy(&row.key))
            };
            if let Some(load) = owner.and_then(|owner| loads.loads.get_mut(owner)) {
                *load += weight(row, fleet);
                loads.by.extend(owner.map(|owner| (&row.key, owner)));
            }
        }
        loads
    }

    pub(super) fn count(&self, worker: &WorkerId) -> usize {
        self.loads.get(worker).copied().unwrap_or_default()
    }

    /// How many unfinished leases count for a worker.
    pub(super) fn unfinished(
        &self,
        worker: &WorkerId,
        rows: &[(&Lease, LeaseStanding<'_>)],
    ) -> usize {
        rows.iter()
            .filter(|(row, _)| !row.checkpoint.is_shard_end() && self.owner_of(row) == Some(worker))
            .count()
    }

    /// The worker for which the lease counts, or `None` if no live worker will have it.
    pub(super) fn owner_of(&self, row: &Lease) -> Option<&'a WorkerId> {
        self.by.get(&row.key).copied()
    }

    pub(super) fn add(&mut self, worker: &WorkerId) {
        if let Some(load) = self.loads.get_mut(worker) {
            *load += 1;
        }
    }

    /// Moves one lease from one worker to another.
    pub(super) fn move_one(&mut self, from: &WorkerId, to: &WorkerId) {
        if let Some(load) = self.loads.get_mut(from) {
            *load = load.saturating_sub(1);
        }
        self.add(to);
    }

    /// The live workers except `without`, in the order in which they should take the lease: the one
    /// with the fewest leases first.
    pub(super) fn order(&self, key: &LeaseKey, without: Option<&WorkerId>) -> Vec<&'a WorkerId> {
        let others = self
            .loads
            .iter()
            .filter(|(worker, _)| Some(**worker) != without);
        let mut order: Vec<_> = others
            .map(|(worker, load)| (*load, Reverse(lease_score(key, worker)), *worker))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, _, worker)| worker).collect()
    }

    /// Counts the leases of dead and leaving workers, which will be free, for the workers that will
    /// take them: those workers need no leases from others now.
    pub(super) fn place_orphans(&mut self, rows: &[(&Lease, LeaseStanding<'_>)]) {
        for (row, _) in rows
            .iter()
            .filter(|(_, standing)| *standing == LeaseStanding::Orphan)
        {
            if let Some(first) = self.order(&row.key, row.actual_owner()).first() {
                self.add(first);
            }
        }
    }

    /// The live workers with their loads, ordered by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a WorkerId, usize)> {
        self.loads.iter().map(|(worker, load)| (*worker, *load))
    }
}
