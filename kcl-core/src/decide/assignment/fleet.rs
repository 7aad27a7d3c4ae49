use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::decide::rendezvous::score;
use crate::model::{Lease, Moment, WorkerId};

use super::me::Me;

/// How long a worker has at least to claim what was handed over to it, before the previous owner
/// takes it back.
const CLAIM_LIMIT: Duration = Duration::from_secs(2);
/// Who hears of no change sees with its next scan that something was handed over to it; one more is
/// for a slow one.
const LOOKS_TO_CLAIM: u32 = 2;

/// Who is alive, this worker included unless it leaves, and when that is.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    pub(super) me: &'a Me<'a>,
    pub(super) members: &'a Members,
    pub(super) now: Moment,
    pub(super) timing: &'a Timing,
    /// In the order of their names.
    pub(super) live: Vec<WorkerId>,
    /// Those of them that are not of ours, but of a KCL.
    pub(super) foreign: BTreeSet<WorkerId>,
}

impl<'a> Fleet<'a> {
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
        let mut foreign = members.foreign(now, timing);
        foreign.remove(me.id);
        Self {
            me,
            members,
            now,
            timing,
            live,
            foreign,
        }
    }

    /// Whether workers of a KCL share the leases: then both have to count them alike, or each would
    /// move them to its own mind.
    pub(super) fn is_mixed(&self) -> bool {
        !self.foreign.is_empty()
    }

    /// Whether who is asked for a lease may be a worker of a KCL: where no worker has a row, one
    /// that took over leases of ours with their tokens looks like one of us.
    pub(super) fn may_be_mixed(&self) -> bool {
        self.is_mixed() || !self.members.has_rows()
    }

    pub(super) fn is_live(&self, worker: &WorkerId) -> bool {
        self.live.binary_search(worker).is_ok()
    }

    /// Until when a plan looks ahead: the end of the next scan, with room for a slow one. What is
    /// due before is planned now, so that it can be taken when it is due.
    pub(super) fn horizon(&self) -> Moment {
        self.now + self.timing.look + self.timing.call_limit
    }

    /// When the lease was first seen as it is.
    pub(super) fn since(&self, row: &Lease) -> Moment {
        self.now - self.members.age(&row.key, self.now).unwrap_or_default()
    }

    /// How long the previous owner leaves a lease to the one it handed it over to. Who looks seldom
    /// needs longer: without that a long failover time would let each hand-over to it fail.
    pub(super) fn time_to_claim(&self, to: &WorkerId) -> Duration {
        let failover = self
            .members
            .failover(to)
            .unwrap_or_default()
            .max(self.timing.failover);
        CLAIM_LIMIT.max(Timing::for_failover(failover).look * LOOKS_TO_CLAIM)
    }

    /// Whether this worker is the first of the live ones of ours for what concerns `other`.
    pub(super) fn is_mine_to_bury(&self, other: &WorkerId) -> bool {
        let ours = self
            .live
            .iter()
            .filter(|worker| *worker == self.me.id || self.members.is_ours(worker));
        ours.max_by_key(|worker| score(&[other.as_str(), worker.as_str()])) == Some(self.me.id)
    }
}
