//! What is seen and heard of the table: looks, hints, requests for leases.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::decide::hand_over::{HandOverVerdict, judge_request};
use crate::lease::{Changed, Consistency, Error, MalformedRow};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};
use crate::tenancy::writer::FromWriter;
use crate::worker::error::RunError;
use crate::worker::event::Event;

use super::super::link::ToRoot;
use super::super::signal::ChangeNotice;
use super::super::table_cache::Scan;
use super::{Coordinator, JobResult};

impl Coordinator {
    /// Looks at the whole table, beside the loop: a table out of reach must not make it deaf.
    pub(super) fn look(&mut self, begun: Moment) {
        let context = Arc::clone(&self.context);
        self.schedule.scan_begins(begun);
        self.job(async move {
            let rows = context.snapshot(Consistency::Eventual).await;
            let ended = context.clock().now();
            JobResult::Looked(rows.map(|snapshot| Scan::new(snapshot, begun, ended)))
        });
    }

    /// Takes in a scan of the whole table, unless another one that began later was taken in before:
    /// an audit ends long after its scan. Whether it was taken in.
    pub(super) fn see_all(&mut self, look: Scan) -> bool {
        let is_news = self.schedule.is_news(look.begun);
        if is_news {
            let concerns =
                |row: &&MalformedRow| row.lease().is_none_or(|key| self.context.knows(key));
            self.context.inner.board.are_malformed(
                look.malformed.iter().filter(concerns),
                self.context.clock().wall(),
            );
            let was_led = self.view.led.is_some();
            self.view
                .look(look, self.context.me(), &self.context.timing);
            if let Some(what) = self.view.led.as_deref().filter(|_| !was_led) {
                self.context
                    .inner
                    .outlet
                    .say(Event::LeasesLedByOthers { what: what.into() });
            }
        }
        is_news
    }

    pub(super) fn on_looked(&mut self, look: Scan) {
        let now = look.begun;
        if self.see_all(look) {
            self.has_looked(now);
        }
    }

    /// All rows were read and taken in, by a scan or by an audit in the place of one, begun at
    /// `now`.
    pub(super) fn has_looked(&mut self, now: Moment) {
        // It may be as old as the scan before it.
        self.look_at_requests(now, self.context.timing.look);
        self.has_seen(now);
        self.list_for_the_quiet(now);
        // Nobody answers: perhaps the signal went past the owner.
        for (key, asked) in self.view.leases.requests() {
            if now.since(asked.since) >= self.context.timing.look {
                self.announcer.say(Changed::Lease(key.clone()));
            }
        }
    }

    pub(super) fn on_heard(&mut self, heard: ChangeNotice) {
        if !self.context.is_working() {
            return;
        }
        match heard {
            ChangeNotice::Something => self.schedule.something_changed(),
            ChangeNotice::These(changed) => {
                let context = Arc::clone(&self.context);
                self.job(async move {
                    let (mut leases, mut workers) = (Vec::new(), Vec::new());
                    for changed in changed {
                        match changed {
                            Changed::Lease(key) if context.knows(&key) => leases.push(key),
                            Changed::Lease(_) => {}
                            Changed::Worker(worker) => workers.push(worker),
                        }
                    }
                    // Before the reads: what is read is at least as new.
                    let at = context.clock().now();
                    let leases = leases.into_iter().map(|key| async {
                        let row = context.settler.read(context.settler.table.get(&key)).await;
                        match row {
                            Ok(row) => Some((key, row)),
                            // Nothing to act on, like one that is not there.
                            Err(Error::Malformed(_)) => Some((key, None)),
                            Err(_) => None,
                        }
                    });
                    let workers = workers.into_iter().map(|worker| async {
                        let row = context
                            .settler
                            .read(context.settler.table.get_worker(&worker))
                            .await;
                        row.ok().map(|row| (worker, row))
                    });
                    let (leases, workers) =
                        futures_util::future::join(join_all(leases), join_all(workers)).await;
                    let (leases, workers) = (
                        leases.into_iter().flatten().collect(),
                        workers.into_iter().flatten().collect(),
                    );
                    JobResult::Hinted {
                        leases,
                        workers,
                        at,
                    }
                });
            }
        }
    }

    pub(super) fn see(&mut self, key: &LeaseKey, row: Option<Lease>, at: Moment) {
        match row {
            Some(row) => {
                if row.checkpoint.is_shard_end() {
                    // Perhaps a parent that one of this worker's shards waits for.
                    self.ends.raise_by_one();
                }
                self.view.see(row, at);
            }
            None => self.view.leases.forget(key, at),
        }
    }

    /// New rows have been taken in: what they tell of this worker's own leases and requests, and a
    /// plan.
    pub(super) fn has_seen(&mut self, now: Moment) {
        if self.view.has_new_audit(self.context.me()) {
            self.schedule.saw_audit(now);
        }
        let (members, timing) = (&self.view.members, &self.context.timing);
        let judges = self.context.is_working() && members.is_watching(now, timing);
        let requested = self
            .view
            .leases
            .rows()
            .filter(|row| row.checkpoint_owner.as_ref() == Some(self.context.me()));
        for row in requested {
            let Some(orders) = self.orders.get(&row.key) else {
                continue;
            };
            orders.seen(row.clone());
            // Who asked may die while the lease is drained: what is handed over to the dead is read
            // by nobody until others find out.
            if let Some(by) = row
                .owner
                .as_ref()
                .filter(|by| judges && members.is_dead(by, now, timing))
            {
                tracing::debug!(lease = %row.key, requester = %by, "keeping a lease: the worker that requested it is dead");
                orders.refuse(by.clone());
                self.announcer.say(Changed::Lease(row.key.clone()));
            }
        }
        self.plan(now);
        self.finish_reading(now);
    }

    /// Which of this worker's requests are over, by the rows as they were read at `now`, or by
    /// `slack` before it.
    pub(super) fn look_at_requests(&mut self, now: Moment, slack: Duration) {
        self.view.leases.settle_moves(self.context.me(), now, slack);
    }

    pub(super) fn on_note(&mut self, note: FromWriter) {
        match note {
            FromWriter::Asked { lease, by } => self.answer(lease, by, false),
            FromWriter::OutOfReach { lease } => self.leave_to_others(&lease),
            FromWriter::Refused { lease } => {
                let now = self.context.clock().now();
                self.announce(&lease);
                self.view.leases.refuse(&lease, now);
            }
        }
    }

    /// A shard has been out of this worker's reach for long: its lease is for others, if there are
    /// any. This worker takes no lease of the stream before the stream has answered it again.
    fn leave_to_others(&mut self, lease: &LeaseKey) {
        let now = self.context.clock().now();
        let live = self.view.members.live(now, &self.context.timing);
        if !self.context.is_working() || live.iter().all(|worker| worker == self.context.me()) {
            return;
        }
        let Some(orders) = self.orders.get(lease) else {
            return;
        };
        orders.leave_to_others();
        let Some(stream) = self.context.inner.parts.streams.of(lease) else {
            return;
        };
        if self.view.leases.lose_reach(lease) {
            let (context, lease) = (Arc::clone(&self.context), lease.clone());
            self.job(async move {
                context.until_within_reach(&stream).await;
                JobResult::WithinReach(lease)
            });
        }
    }

    /// Answers a request for a lease of this worker's. `read` says that the requester's row has
    /// just been read.
    pub(super) fn answer(&mut self, lease: LeaseKey, by: WorkerId, read: bool) {
        let Some(orders) = self.orders.get(&lease) else {
            return;
        };
        let now = self.context.clock().now();
        let leaving = !self.context.is_working();
        let cooling = self.view.leases.is_refused(&lease, now);
        match judge_request(
            &by,
            &self.view.members,
            cooling,
            leaving,
            now,
            &self.context.timing,
        ) {
            HandOverVerdict::PassOn => orders.hand_over(by),
            // The release ends the request.
            HandOverVerdict::Release => {}
            HandOverVerdict::AskTable if !read => {
                let context = Arc::clone(&self.context);
                self.job(async move {
                    let at = context.clock().now();
                    let row = context
                        .settler
                        .read(context.settler.table.get_worker(&by))
                        .await;
                    JobResult::Requester { lease, by, row, at }
                });
            }
            verdict @ (HandOverVerdict::Refuse(_) | HandOverVerdict::AskTable) => {
                tracing::debug!(%lease, requester = %by, ?verdict, "refusing a request for a lease");
                orders.refuse(by);
                self.announce(&lease);
            }
        }
    }

    pub(super) fn on_service(&mut self, ended: Result<Result<(), RunError>, String>) {
        let cause = match ended {
            Ok(Ok(())) => return,
            Ok(Err(cause)) => cause,
            Err(panic) => {
                RunError::Internal(format!("a task of the coordination panicked: {panic}"))
            }
        };
        let _ = self.news.send(ToRoot::Failed(cause));
    }
}
