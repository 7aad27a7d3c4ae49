//! A row together with its history. The two may differ: a row that was read by itself may be older
//! than what a scan has shown since. Conclusions about time are drawn only if they agree.

use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::lease::WorkerRow;
use crate::model::{Lease, Moment, WorkerId};

use super::Members;
use super::lease_evidence::LeaseEvidence;
use super::lease_observation::LeaseObservation;

/// A lease: its row as it is known, and what an observer has seen of it over time.
#[derive(Clone, Copy, Debug)]
pub struct SeenLease<'a> {
    /// The row.
    pub row: &'a Lease,
    /// `None` if the lease was never part of a reading, as for one that this worker has just
    /// created.
    observation: Option<&'a LeaseObservation>,
}

impl<'a> SeenLease<'a> {
    pub(super) const fn new(row: &'a Lease, observation: Option<&'a LeaseObservation>) -> Self {
        Self { row, observation }
    }

    /// What was seen, if the row is the newest that was. By counter and token. An older row says
    /// nothing about now.
    fn newest(&self) -> Option<&'a LeaseObservation> {
        self.observation.filter(|seen| seen.is_of(self.row))
    }

    /// How long its counter has not changed. `None` if it was never seen. Of the newest reading,
    /// whether or not that is this row.
    #[must_use]
    pub fn age(&self, now: Moment) -> Option<Duration> {
        self.observation.map(|seen| now.since(seen.since))
    }

    /// How many times its counter was seen to grow under its current token.
    #[must_use]
    pub fn moves(&self) -> u32 {
        self.observation.map_or(0, |seen| seen.moves)
    }

    /// Whether it was seen to change hands less than `span` ago, other than by a pause.
    #[must_use]
    pub fn has_moved_within(&self, span: Duration, now: Moment) -> bool {
        let moved = self.observation.and_then(|seen| seen.moved);
        moved.is_some_and(|at| now.since(at) < span)
    }

    /// Whether its holder was seen to get it less than `span` ago, by a hand-over or a take.
    #[must_use]
    pub fn has_arrived_within(&self, span: Duration, now: Moment) -> bool {
        let arrived = self.observation.and_then(|seen| seen.arrived);
        arrived.is_some_and(|at| now.since(at) < span)
    }

    /// Whether an operator was seen to assign it, as this row says, `span` ago or earlier.
    #[must_use]
    pub fn is_assigned_for(&self, span: Duration, now: Moment) -> bool {
        let seen = self.observation.and_then(|seen| seen.assigned.as_ref());
        seen.is_some_and(|(to, at)| {
            Some(to) == self.row.assigned_to.as_ref() && now.since(*at) >= span
        })
    }

    /// The worker that holds it: its actual owner, unless a worker that does not know hand-overs
    /// has taken it during one.
    #[must_use]
    pub fn holder(&self) -> Option<&'a WorkerId> {
        if self.newest().is_some_and(|seen| seen.usurped) {
            self.row.owner.as_ref()
        } else {
            self.row.actual_owner()
        }
    }

    /// When it expires if its counter stays as in this row, or its holder's row as it is. `None` if
    /// no worker holds it, or if the row is not the newest that was seen. The span is that of the
    /// holder's own failover time, if it declares a longer one.
    #[must_use]
    pub fn expires_at(&self, members: &Members, timing: &Timing) -> Option<Moment> {
        let seen = self.newest()?;
        let holder = self.holder()?;
        let span = members.silence(holder, seen.foreign, timing);
        match members.evidence(self.row, holder) {
            LeaseEvidence::Counter => Some(seen.since + span),
            LeaseEvidence::Heartbeats { since, .. } => Some(since + span),
            LeaseEvidence::Killed { since } => Some(since),
            LeaseEvidence::Gone { since } => Some(seen.since.max(since) + span),
        }
    }

    /// The row of its holder, if it is the heartbeats of that row that hold the lease. Whoever wants
    /// the lease has to kill this very row first.
    #[must_use]
    pub fn held_by_heartbeats_of<'m>(&self, members: &'m Members) -> Option<&'m WorkerRow> {
        match members.evidence(self.row, self.holder()?) {
            LeaseEvidence::Heartbeats { row, .. } => Some(row),
            LeaseEvidence::Counter | LeaseEvidence::Killed { .. } | LeaseEvidence::Gone { .. } => {
                None
            }
        }
    }

    /// Whether it is taken after a kill of its holder's row: the others hear of it by the change
    /// signal, where they do not watch that row themselves.
    #[must_use]
    pub fn is_freed_by_a_kill(&self, members: &Members) -> bool {
        self.holder().is_some_and(|holder| {
            matches!(
                members.evidence(self.row, holder),
                LeaseEvidence::Heartbeats { .. } | LeaseEvidence::Killed { .. }
            )
        })
    }

    /// Whether its holder was seen to keep it: it has moved the counter, or the heartbeats of its row
    /// hold the lease. A row that shows neither may be left over from a crash.
    #[must_use]
    pub fn is_kept(&self, members: &Members) -> bool {
        self.moves() > 0 || self.held_by_heartbeats_of(members).is_some()
    }

    /// Whether a worker of this framework has handed it over to the worker that it names, which has
    /// not claimed it: being named is then no evidence of life. A row of a KCL worker looks the
    /// same, except that no worker of this framework is named in it.
    #[must_use]
    pub fn is_unclaimed(&self, members: &Members) -> bool {
        let Some(owner) = &self.row.owner else {
            return false;
        };
        self.row.token.is_none()
            && self.row.checkpoint_owner.is_none()
            && (members.failover(owner).is_some()
                || self.newest().is_some_and(|seen| seen.handed_over))
    }

    /// Whether it is held by a worker that does not know tokens.
    #[must_use]
    pub fn is_held_by_foreign(&self) -> bool {
        self.newest().is_some_and(|seen| seen.foreign)
    }
}
