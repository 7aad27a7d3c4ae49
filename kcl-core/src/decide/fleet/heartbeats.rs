//! What heartbeats mean for the leases: whether this worker's may hold its own, and whose have to be
//! made impossible before a lease is taken.

use std::collections::BTreeSet;

use crate::decide::liveness::{FleetTraits, Liveness, keep_alive};
use crate::lease::{KeepAlive, WorkerRow};
use crate::model::{Lease, LeaseKey, Moment, Token, WorkerId};

use super::engine::Engine;

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
                kcl_may_share: self.may_share
                    || self.led.is_some()
                    || self.members.sees_foreign_leases(),
            },
        );
        let is_watchful = chosen == KeepAlive::Heartbeats && liveness == Liveness::Auto;
        self.schedule.watch_for_a_kcl(is_watchful);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{FleetCommand, FleetSettings, Scan};
    use super::*;
    use crate::decide::assignment::Take;
    use crate::lease::ScanPage;
    use crate::model::Checkpoint;

    const F: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    /// An engine that has seen the row of A stand still for 6 s, and plans to take its lease at 8 s.
    fn engine(row: &WorkerRow) -> Engine {
        let mut engine = Engine::new(FleetSettings::of_tests());
        let lease = Lease::new(LeaseKey::single("1"), Checkpoint::TrimHorizon);
        let lease = lease.owned_by("A".into(), "a:1".into());
        for when in [0, 2, 4, 6] {
            let page = ScanPage {
                leases: vec![lease.clone()],
                workers: vec![row.clone()],
                ..ScanPage::default()
            };
            engine.scanned(Scan::new(page, at(when), at(when)));
        }
        let key = lease.key;
        let due = Take {
            key,
            at: at(8),
            rank: 0,
        };
        engine.schedule.plan(vec![due]);
        engine
    }

    #[test]
    fn a_row_that_has_moved_since_the_plan_is_not_killed() {
        let row = WorkerRow {
            keep_alive: KeepAlive::Heartbeats,
            ..WorkerRow::new("A".into(), "a".into(), F)
        };
        let mut still = engine(&row);
        let takes = still.takes(at(8), true);
        assert!(
            matches!(&takes[..], [FleetCommand::Take { kill: Some(of), .. }] if *of == row),
            "{takes:?}"
        );
        let mut moved = engine(&row);
        moved.see_worker(&"A".into(), Some(row.next()), at(7));
        assert_eq!(moved.takes(at(8), true), []);
    }
}
