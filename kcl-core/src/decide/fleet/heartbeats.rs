//! What heartbeats mean for the leases: whether this worker's may hold its own, and whose have to be
//! made impossible before a lease is taken.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::liveness::{FleetTraits, Liveness, keep_alive};
use crate::lease::{KeepAlive, WorkerRow};
use crate::model::{Lease, LeaseKey, Moment, Token, WorkerId};

use super::engine::Engine;
use super::schedule::SCAN_IDLE;

impl Engine {
    /// The row of the holder of a lease, if the heartbeats of that row hold the lease.
    pub(super) fn kill_first(&self, row: &Lease) -> Option<WorkerRow> {
        let seen = self.members.lease(row);
        let holder = seen.held_by_heartbeats_of(&self.members)?;
        (holder.worker != self.settings.me).then(|| holder.clone())
    }

    /// Whether the holder of a lease has shown life by its heartbeats since the lease was planned to be
    /// taken. Its row may have been read on its own since, for a request of it, without a new plan; and
    /// that row, which is the one to kill, is a live worker's.
    pub(super) fn holder_has_moved(&self, key: &LeaseKey, now: Moment) -> bool {
        let Some(row) = self.leases.row(key) else {
            return false;
        };
        let seen = self.members.lease(row);
        let expires = seen.expires_at(&self.members, &self.settings.timing);
        self.kill_first(row).is_some() && expires.is_none_or(|at| at > now)
    }

    /// How long a row that was deleted from outside is left to its holder, which writes it again
    /// with its next write or not at all.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let timing = &self.settings.timing;
        let failover = self
            .members
            .rows()
            .map(|row| row.failover)
            .fold(timing.failover, Duration::max);
        let holder = Timing::for_failover(failover);
        // Where heartbeats hold the leases, its scans show it, which are seldom in a quiet fleet.
        let relies = |row: &WorkerRow| row.keep_alive == KeepAlive::Heartbeats;
        let look = if self.members.rows().any(relies) {
            timing.look.max(SCAN_IDLE)
        } else {
            timing.look
        };
        holder.renew_every + holder.call_limit + look
    }

    /// Whether KCL workers may hold leases of the table, as it was last seen.
    pub(super) fn kcl_may_share(&self, now: Moment) -> bool {
        self.may_share
            || self.led.is_some()
            || self.members.sees_foreign_leases(now, &self.settings.timing)
    }

    /// What may hold the leases of this worker: the heartbeats of its row, if all others judge by them
    /// and can see them. `liveness` is the user's setting, `incarnation` that of the worker's row.
    pub fn keep_alive(
        &mut self,
        liveness: Liveness,
        incarnation: &Token,
        now: Moment,
    ) -> KeepAlive {
        if liveness == Liveness::Kcl {
            // Whatever the fleet is like: this is asked with every news of it.
            self.quiet.relies_on_heartbeats = false;
            return KeepAlive::Renewals;
        }
        let (me, timing) = (&self.settings.me, &self.settings.timing);
        let is_shown = self
            .members
            .rows()
            .any(|row| row.worker == *me && row.incarnation == *incarnation);
        let know: BTreeSet<&WorkerId> = self
            .members
            .rows()
            .filter(|row| row.keep_alive != KeepAlive::Unknown)
            .map(|row| &row.worker)
            .collect();
        let mut others = self.members.live(now, timing);
        others.retain(|worker| worker != me);
        let chosen = keep_alive(
            liveness,
            FleetTraits {
                is_shown,
                all_know: others.iter().all(|worker| know.contains(worker)),
                kcl_may_share: self.kcl_may_share(now),
            },
        );
        let relies = chosen == KeepAlive::Heartbeats;
        // One worker looks for the whole fleet, of which others may rely on it, and tells them.
        let mut rows = self.members.rows();
        let is_first = rows.next().is_none_or(|row| row.worker >= *me);
        let is_relied_on = liveness == Liveness::Auto || !others.is_empty();
        let is_watchful = self.may_join && relies && is_relied_on && is_first;
        self.schedule.watch_for_a_kcl(is_watchful);
        self.quiet.relies_on_heartbeats = relies && liveness != Liveness::Compatible;
        chosen
    }
}

#[cfg(test)]
#[path = "heartbeats_test.rs"]
mod tests;
