//! Who takes part: the workers that are alive at the moment of a plan, in one fixed order.
//!
//! A plan refers to workers by their *place* in that order, an index, and not by name. A fleet of
//! 100 workers and 10,000 leases would otherwise compare names a million times.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::fleet::LeaseEntry;
use crate::decide::members::{Members, SeenLease};
use crate::decide::rendezvous::{ScoredWorkers, score};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::capacities::weights;
use super::me::Me;

/// How long a worker has at least to claim a lease that was handed over to it, before the previous
/// owner takes it back. In a fleet with change notifications a claim takes about half a second.
const CLAIM_LIMIT: Duration = Duration::from_secs(2);
/// A worker that does not get the change signal sees the hand-over at its next scan; a second scan
/// allows for a slow one.
const SCANS_TO_CLAIM: u32 = 2;

/// The workers that are alive at a moment and take leases: this one included, unless it is leaving.
/// Those that an operator drains are as if they were leaving: their leases will be free.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    /// What this worker knows of itself.
    pub(super) me: &'a Me<'a>,
    /// What it has seen of the others.
    pub(super) members: &'a Members,
    pub(super) now: Moment,
    /// By its own failover time.
    pub(super) timing: &'a Timing,
    /// The live workers that are not drained, ordered by name.
    pub(super) live: Vec<WorkerId>,
    /// Their scores for leases, of which a plan needs very many.
    pub(super) scored: ScoredWorkers,
    /// This worker's place among them. `None` while it is leaving or drained: then no free lease may count for
    /// it.
    pub(super) my_place: Option<usize>,
    /// The live workers that an operator drains.
    drained: BTreeSet<WorkerId>,
    /// Whether this worker is one of them: it takes nothing, and gives what it has to the others.
    pub(super) is_drained: bool,
    /// Those of them that are KCL workers. Proved by how they write leases, not by a missing row:
    /// the row of a worker that is starting is missing, too.
    pub(super) foreign: BTreeSet<WorkerId>,
    /// What one byte per second means to each of them, if the fleet balances by load.
    pub(super) weights: Option<Vec<f64>>,
    /// See [`Members::has_rows`]. Kept, because it is asked for each lease.
    has_rows: bool,
}

impl<'a> Fleet<'a> {
    /// This worker is alive by definition, also before its first heartbeat was seen. It is never
    /// counted as a KCL worker.
    pub(super) fn new(
        me: &'a Me<'a>,
        members: &'a Members,
        now: Moment,
        timing: &'a Timing,
    ) -> Self {
        let mut live = members.live(now, timing);
        match live.binary_search(me.id) {
            Ok(place) if me.leaving => drop(live.remove(place)),
            Err(place) if !me.leaving => live.insert(place, me.id.clone()),
            _ => {}
        }
        let drained = members.drained(&live);
        live.retain(|worker| !drained.contains(worker));
        let mut foreign = members.foreign(now, timing);
        foreign.remove(me.id);
        let weights = foreign
            .is_empty()
            .then(|| weights(&live, me, members))
            .flatten();
        Self {
            me,
            members,
            now,
            timing,
            my_place: live.binary_search(me.id).ok(),
            scored: ScoredWorkers::new(&live),
            live,
            is_drained: drained.contains(me.id),
            drained,
            foreign,
            weights,
            has_rows: members.has_rows(),
        }
    }

    /// Whether KCL workers share the leases. Both frameworks then have to count leases in the same
    /// way, or each would keep moving them towards its own balance.
    pub(super) fn is_mixed(&self) -> bool {
        !self.foreign.is_empty()
    }

    /// Whether the owner of a requested lease may be a KCL worker: if no worker has a row, a KCL
    /// worker that took over leases with their tokens looks like one of this framework.
    pub(super) fn may_be_mixed(&self) -> bool {
        self.is_mixed() || !self.has_rows
    }

    /// Whether leases can count for a worker.
    pub(super) fn is_live(&self, worker: &WorkerId) -> bool {
        self.place(worker).is_some()
    }

    /// The place of a live worker among them.
    pub(super) fn place(&self, worker: &WorkerId) -> Option<usize> {
        self.live.binary_search(worker).ok()
    }

    /// Whether a worker is known to be one of this framework: it has declared a failover time. If
    /// no worker has a row, this cannot be known.
    pub(super) fn is_ours(&self, worker: &WorkerId) -> bool {
        !self.has_rows || self.members.failover(worker).is_some()
    }

    /// The worker that an operator has assigned a lease to, by its place, if it is that process and takes
    /// leases. Whether it has room for the lease is known to nobody but itself.
    pub(super) fn assignee(&self, row: &Lease) -> Option<usize> {
        let to = row.assigned_to.as_ref()?;
        let place = self.place(&to.worker)?;
        self.members.is_process(to).then_some(place)
    }

    /// Whether a lease that nobody holds is left to the worker that it is assigned to. Not if that is
    /// the one that has let it expire.
    pub(super) fn awaits_assignee(&self, row: &Lease) -> bool {
        let place = self.assignee(row);
        place.is_some_and(|place| row.actual_owner() != Some(&self.live[place]))
    }

    /// Whether a lease is assigned to this worker.
    pub(super) fn is_assigned_to_me(&self, row: &Lease) -> bool {
        self.my_place.is_some() && self.assignee(row) == self.my_place
    }

    /// Whether an operator drains this worker, and others take its leases.
    pub(super) fn drains(&self, worker: &WorkerId) -> bool {
        self.drained.contains(worker)
    }

    /// Whether this worker is doing anything with a lease, or leaves it alone for now.
    pub(super) fn is_busy(&self, key: &LeaseKey, own: &LeaseEntry) -> bool {
        own.is_busy(self.now) || self.me.leases.is_out_of_reach(key)
    }

    /// Until when a plan looks ahead: the end of the next scan, even if that is slow. Leases that
    /// expire before then are planned now, so that they can be taken as soon as they expire. To
    /// plan them only after a scan has seen them expired would add a scan period to the time that a
    /// shard of a dead worker is not read.
    pub(super) fn horizon(&self) -> Moment {
        self.now + self.timing.look + self.timing.call_limit
    }

    /// When the lease was first seen in its current state.
    pub(super) fn since(&self, lease: SeenLease<'_>) -> Moment {
        self.now - lease.age(self.now).unwrap_or_default()
    }

    /// How long the previous owner waits for `to` to claim a lease that it handed over. A worker
    /// with a long failover time scans less often and needs longer: otherwise every hand-over to it
    /// would fail.
    pub(super) fn time_to_claim(&self, to: &WorkerId) -> Duration {
        let failover = self
            .members
            .failover(to)
            .unwrap_or_default()
            .max(self.timing.failover);
        CLAIM_LIMIT.max(Timing::for_failover(failover).look * SCANS_TO_CLAIM)
    }

    /// Whether this worker is the one that has to delete the row of `other`: the first in rank of
    /// the live workers of this framework. One worker deletes it and not all of them: the write is
    /// conditional, so more would do no harm, but each costs a call.
    pub(super) fn is_mine_to_reap(&self, other: &WorkerId) -> bool {
        let ours = self
            .live
            .iter()
            .filter(|worker| *worker == self.me.id || self.is_ours(worker));
        ours.max_by_key(|worker| score(&[other.as_str(), worker.as_str()])) == Some(self.me.id)
    }
}
