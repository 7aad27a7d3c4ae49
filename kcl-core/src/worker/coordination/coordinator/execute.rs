//! The plan, and how it is carried out.

use std::sync::Arc;

use crate::decide::assignment::{Me, Plan, Take, is_duplicated, plan};
use crate::decide::fleet::LeaseWork;
use crate::lease::{Error, WorkerRow};
use crate::model::{LeaseKey, Moment};
use crate::worker::error::RunError;
use crate::worker::event::Event;

use super::super::link::ToRoot;
use super::{Coordinator, JobResult};

impl Coordinator {
    /// Decides by what is known, seen at `now`, and carries it out. What the last plan put off is
    /// void.
    pub(super) fn plan(&mut self, now: Moment) {
        let Some(plan) = self.decide(now) else { return };
        let Plan {
            take,
            claim,
            give_back,
            request,
            withdraw,
            steal,
            reap,
            left,
        } = plan;
        let left: Arc<[LeaseKey]> = left.into();
        if !left.is_empty() && left.len() != self.left {
            self.context.inner.outlet.say(Event::LeasesLeftUnread {
                leases: Arc::clone(&left),
            });
        }
        self.left = left.len();
        self.context.inner.board.has_left(left);
        for key in give_back {
            self.give_back(&key);
        }
        for key in claim {
            self.claim(&key);
        }
        self.schedule.plan(take);
        self.take_due(now.max(self.context.clock().now()));
        for ask in withdraw {
            self.withdraw(&ask.key, ask.of);
        }
        for ask in request {
            self.request(&ask.key, ask.of, now);
        }
        if let Some(ask) = steal {
            self.steal(ask.key, now);
        }
        for worker in reap {
            let Some(row) = self.view.workers.remove(&worker) else {
                continue;
            };
            let context = Arc::clone(&self.context);
            self.job(
                async move { JobResult::Reaped(row.worker.clone(), context.reap(&row).await) },
            );
        }
        self.schedule.seen(now, self.has_others());
    }

    fn decide(&self, now: Moment) -> Option<Plan> {
        let context = &self.context;
        let members = &self.view.members;
        let me = Me {
            id: context.me(),
            room: self.room(),
            max_moves: context.inner.parts.settings.max_moves,
            leaving: !context.is_working(),
            passive: self.view.led.is_some(),
            stole: self.stole,
            former_left: self.former_left,
            leases: &self.view.leases,
            tokens: &context.settler.begun,
        };
        let mut rows = self.view.leases.rows();
        if rows.any(|row| is_duplicated(members.lease(row), &me)) {
            let worker = context.me().clone();
            let _ = self
                .news
                .send(ToRoot::Failed(RunError::DuplicateWorkerId { worker }));
            return None;
        }
        Some(plan(&me, &self.view.workers, members, now, &context.timing))
    }

    /// Whether there is a lease that is not this worker's, another worker, or something that may
    /// be one.
    fn has_others(&self) -> bool {
        let view = &self.view;
        view.leases.known().any(|(row, entry)| {
            !row.checkpoint.is_shard_end() && entry.work() == LeaseWork::Nothing
        }) || view
            .workers
            .keys()
            .any(|worker| worker != self.context.me())
            || !view.is_whole()
    }

    /// Takes what is due. An observer that was paused has nothing to go by until it has looked
    /// again.
    pub(super) fn take_due(&mut self, now: Moment) {
        let due = self.schedule.due_takes(now);
        if !self.context.is_working() || !self.view.members.is_watching(now, &self.context.timing) {
            return;
        }
        for Take { key, rank, .. } in due {
            let Some(row) = self.view.leases.row(&key).cloned() else {
                continue;
            };
            if self.view.leases.is_engaged(&key) || self.room() == 0 {
                continue;
            }
            self.view.leases.take(&key);
            let context = Arc::clone(&self.context);
            self.job(async move { JobResult::Taken(key, context.take(&row, rank > 0).await) });
        }
    }

    /// Takes a lease from a live worker that is not of ours.
    fn steal(&mut self, key: LeaseKey, now: Moment) {
        let Some(row) = self.view.leases.row(&key).cloned() else {
            return;
        };
        if self.view.leases.is_engaged(&key) || self.room() == 0 {
            return;
        }
        self.stole = Some(now);
        self.view.leases.take(&key);
        let context = Arc::clone(&self.context);
        self.job(async move { JobResult::Taken(key, context.steal(&row).await) });
    }

    fn claim(&mut self, key: &LeaseKey) {
        let Some(row) = self.view.leases.row(key).cloned() else {
            return;
        };
        if self.view.leases.is_engaged(key) {
            return;
        }
        self.view.leases.take(&key);
        let (context, key) = (Arc::clone(&self.context), key.clone());
        self.job(async move { JobResult::Taken(key, context.claim(&row).await) });
    }

    fn give_back(&mut self, key: &LeaseKey) {
        let Some(row) = self.view.leases.row(key).cloned() else {
            return;
        };
        let (context, key) = (Arc::clone(&self.context), key.clone());
        // Until the answer is there it is no row to act on.
        self.view.leases.forget(&key, self.context.clock().now());
        self.job(async move { JobResult::GivenBack(key, context.give_back(&row).await) });
    }

    fn request(&mut self, key: &LeaseKey, of: crate::model::WorkerId, now: Moment) {
        let Some(row) = self.view.leases.row(key).cloned() else {
            return;
        };
        let since = now.max(self.context.clock().now());
        self.view.leases.request(key, of.clone(), since);
        let (context, key) = (Arc::clone(&self.context), key.clone());
        self.job(async move { JobResult::Requested(key, context.request(&row, &of).await) });
    }

    fn withdraw(&mut self, key: &LeaseKey, of: crate::model::WorkerId) {
        let Some(row) = self.view.leases.row(key).cloned() else {
            return;
        };
        let (context, key) = (Arc::clone(&self.context), key.clone());
        // Not one that was refused: its end is no reason not to ask again.
        self.view.leases.end_request(&key);
        self.view.leases.forget(&key, self.context.clock().now());
        self.job(async move { JobResult::Withdrawn(key, context.withdraw(&row, &of).await) });
    }

    /// The worker is to stop: it takes and asks for nothing more, and what it has asked for is
    /// taken back.
    pub(super) fn stop_moving(&mut self) {
        self.schedule.plan(Vec::new());
        let now = self.context.clock().now();
        self.plan(now);
    }
}

impl super::Context {
    /// Deletes the row of a dead worker, if it is as it was seen.
    async fn reap(&self, row: &WorkerRow) -> Result<(), Error> {
        match self.settler.delete_worker(row).await {
            // It lives, or somebody else was first.
            Err(Error::Conflict { .. }) => Ok(()),
            other => other,
        }
    }
}
