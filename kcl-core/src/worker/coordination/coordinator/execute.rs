//! What the engine commands, carried out. Each command is one job, so a slow write holds up no
//! other. There is no rule here: whether a command is still right is decided by the condition of
//! its write.

use std::sync::Arc;

use crate::decide::fleet::{FleetCommand, NameIsTaken};
use crate::lease::{Error, KeepAlive, WorkerRow};
use crate::model::{LeaseKey, Moment};
use crate::worker::error::RunError;
use crate::worker::event::Event;

use super::super::link::ToRoot;
use super::{Coordinator, JobResult};

impl Coordinator {
    /// Decides by what is known, seen at `now`, and carries it out.
    pub(super) fn plan(&mut self, now: Moment) {
        let context = Arc::clone(&self.context);
        let works = context.is_working();
        let acted = self
            .engine
            .act(now, context.clock().now(), works, &context.client.begun);
        match acted {
            Ok(commands) => self.carry_out(commands),
            // Two processes of one name would take each other's writes for their own, so the worker
            // ends.
            Err(NameIsTaken) => {
                let worker = context.me().clone();
                let _ = self
                    .news
                    .send(ToRoot::Failed(RunError::DuplicateWorkerId { worker }));
            }
        }
    }

    /// Takes what is due.
    pub(super) fn take_due(&mut self, now: Moment) {
        let commands = self.engine.takes(now, self.context.is_working());
        self.carry_out(commands);
    }

    /// Starts the job of each command, in the order of the plan.
    fn carry_out(&mut self, commands: Vec<FleetCommand>) {
        for command in commands {
            let context = Arc::clone(&self.context);
            match command {
                // The only command without a call.
                FleetCommand::TellLeft(leases) => self.tell_left(leases),
                FleetCommand::GiveBack { row, kill } => self.job(async move {
                    let answer = context.give_back(&row, kill.as_ref()).await;
                    JobResult::GivenBack(row.key, answer)
                }),
                FleetCommand::Claim(row) => self.job(async move {
                    let answer = context.claim(&row).await;
                    JobResult::Taken(row.key, answer)
                }),
                FleetCommand::Take {
                    row,
                    look_first,
                    kill,
                } => self.job(async move {
                    let answer = context.take(&row, look_first, kill.as_ref()).await;
                    JobResult::Taken(row.key, answer)
                }),
                FleetCommand::Steal(row) => self.job(async move {
                    let answer = context.steal(&row).await;
                    JobResult::Taken(row.key, answer)
                }),
                FleetCommand::Request { row, of } => self.job(async move {
                    let answer = context.request(&row, &of).await;
                    JobResult::Requested(row.key, answer)
                }),
                FleetCommand::Withdraw { row, of } => self.job(async move {
                    let answer = context.withdraw(&row, &of).await;
                    JobResult::Withdrawn(row.key, answer)
                }),
                FleetCommand::Unassign(row) => self.job(async move {
                    let answer = context.unassign(&row).await;
                    JobResult::Unassigned(row.key, answer)
                }),
                FleetCommand::Reap(row) => self.job(async move {
                    let answer = context.reap(&row).await;
                    JobResult::Reaped(row.worker, answer)
                }),
            }
        }
    }

    /// Reports leases that stay unread because no worker has room. The event comes when their number
    /// changes; the status always has them.
    fn tell_left(&mut self, leases: Vec<LeaseKey>) {
        let left: Arc<[LeaseKey]> = leases.into();
        if !left.is_empty() && left.len() != self.left {
            self.context.inner.outlet.say(Event::LeasesLeftUnread {
                leases: Arc::clone(&left),
            });
        }
        self.left = left.len();
        self.context.inner.board.has_left(left);
    }

    /// The worker is to stop: it takes and asks for nothing more, and what it has asked for is
    /// taken back.
    pub(super) fn stop_moving(&mut self) {
        self.engine.schedule.plan(Vec::new());
        let now = self.context.clock().now();
        self.plan(now);
    }
}

impl super::Context {
    /// Deletes the row of a dead worker, if it is as it was seen, or was killed since then.
    async fn reap(&self, row: &WorkerRow) -> Result<(), Error> {
        match self.client.delete_worker(row).await {
            Err(Error::Conflict { .. }) => {}
            other => return other,
        }
        // It lives, or somebody else was first; or it was killed before its leases were taken, perhaps
        // here, and that has not been read yet.
        let now = self.client.read(self.client.table.get_worker(&row.worker));
        let is_killed = |now: &WorkerRow| {
            now.incarnation == row.incarnation && now.keep_alive == KeepAlive::Killed
        };
        let Some(killed) = now.await?.filter(is_killed) else {
            return Ok(());
        };
        match self.client.delete_worker(&killed).await {
            Err(Error::Conflict { .. }) => Ok(()),
            other => other,
        }
    }
}
