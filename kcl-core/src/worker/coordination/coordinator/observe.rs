//! What is seen and heard of the table: scans, hints, requests for leases.
//!
//! A scan shows all rows and may be seconds old. A hint names rows, which are read one by one and
//! are newer. Both end in the same steps: the engine takes the rows in, moves that are over are
//! settled, requests for own leases go to their writers, and a plan is made.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::decide::fleet::{DrainChange, NeighbourState, Scan};
use crate::decide::hand_over::HandOverVerdict;
use crate::lease::{Changed, Consistency, Error, MalformedRow, WorkerRow};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};
use crate::tenancy::writer::FromWriter;
use crate::worker::error::RunError;
use crate::worker::event::Event;

use super::super::link::ToRoot;
use super::super::signal::ChangeNotice;
use super::{Coordinator, JobResult};

impl Coordinator {
    /// Looks at the whole table, beside the loop: a table out of reach must not make it deaf.
    pub(super) fn look(&mut self, begun: Moment) {
        let context = Arc::clone(&self.context);
        self.engine.schedule.scan_begins(begun);
        self.job(async move {
            let rows = context.snapshot(Consistency::Eventual).await;
            let ended = context.clock().now();
            JobResult::Looked(rows.map(|snapshot| Scan::new(snapshot, begun, ended)))
        });
    }

    /// Takes in a scan of the whole table, unless another one that began later was taken in before:
    /// an audit ends long after its scan. Whether it was taken in.
    pub(super) fn see_all(&mut self, look: Scan) -> bool {
        let concerns = |row: &&MalformedRow| row.lease().is_none_or(|key| self.context.knows(key));
        let malformed: Vec<_> = look.malformed.iter().filter(concerns).cloned().collect();
        let was_led = self.engine.led().is_some();
        // An older scan must not undo what a newer one has shown, so what follows from it is left
        // out too.
        let is_news = self.engine.scanned(look);
        if is_news {
            let wall = self.context.clock().wall();
            self.context
                .inner
                .board
                .are_malformed(malformed.iter(), wall);
        }
        if let Some(what) = self.engine.led().filter(|_| !was_led) {
            self.context
                .inner
                .outlet
                .say(Event::LeasesLedByOthers { what: what.into() });
        }
        is_news
    }

    /// A scan is there.
    pub(super) fn on_looked(&mut self, look: Scan) {
        let now = look.begun;
        if self.see_all(look) {
            self.has_looked(now);
        }
    }

    /// All rows were read and taken in, by a scan or by an audit in the place of one, begun at
    /// `now`.
    pub(super) fn has_looked(&mut self, now: Moment) {
        for (key, orders) in &self.orders {
            let row = self.engine.leases.row(key);
            if row.is_some_and(|row| orders.is_edited(row)) {
                orders.doubted();
            }
        }
        self.engine.settle_moves(now, true);
        let was_quiet = self.engine.is_quiet();
        self.has_seen(now);
        for worker in self.engine.whom_to_tell_of(was_quiet, now) {
            self.announcer.say(Changed::Worker(worker));
        }
        self.list_for_the_quiet(now);
        for key in self.engine.unanswered(now) {
            self.announcer.say(Changed::Lease(key.clone()));
        }
    }

    /// The change signal tells of something. The rows that it names are read beside the loop, all at
    /// the same time; without names it is for the schedule to say when to scan.
    pub(super) fn on_heard(&mut self, heard: ChangeNotice) {
        if !self.context.is_working() {
            return;
        }
        let now = self.context.clock().now();
        match heard {
            ChangeNotice::Hears(hears) => self.engine.hears(hears, now),
            // The announcement of others was lost, or named more than fits: only a scan shows what
            // it was.
            ChangeNotice::Something => {
                self.engine.disturb(now);
                self.engine.schedule.something_changed();
            }
            ChangeNotice::These(changed) => {
                self.engine.disturb(now);
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
                        let row = context.client.read(context.client.table.get(&key)).await;
                        match row {
                            Ok(row) => Some((key, row)),
                            // Nothing to act on, like one that is not there.
                            Err(Error::Malformed(_)) => Some((key, None)),
                            Err(_) => None,
                        }
                    });
                    let workers = workers.into_iter().map(|worker| async {
                        let row = context
                            .client
                            .read(context.client.table.get_worker(&worker))
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
                        ended: context.clock().now(),
                    }
                });
            }
        }
    }

    /// Reads the row of the worker that this one watches while the fleet is quiet, if it is due.
    pub(super) fn glance_at_neighbour(&mut self, now: Moment) {
        let Some(worker) = self.engine.neighbour_to_read(now) else {
            return;
        };
        let context = Arc::clone(&self.context);
        self.job(async move {
            let row = context.client.table.glance_at_worker(&worker);
            let row = context.client.read(row).await;
            // After the read: a heartbeat that it shows may have been sent just before.
            let at = context.clock().now();
            JobResult::Glanced { worker, row, at }
        });
    }

    /// The row of the worker that this one watches was read.
    pub(super) fn on_glanced(
        &mut self,
        worker: WorkerId,
        row: Result<Option<WorkerRow>, Error>,
        at: Moment,
    ) {
        match self.engine.saw_neighbour(&worker, row, at) {
            NeighbourState::Lives => {}
            // Whoever takes leases of it has to have watched it, and this worker may have no room.
            NeighbourState::HasChanged | NeighbourState::StandsStill => {
                self.announcer.say(Changed::Worker(worker));
                self.has_seen(at);
            }
        }
    }

    /// Takes in one row that was read or written; `None` if it does not exist, or nothing is known
    /// of it any more.
    pub(super) fn see(&mut self, key: &LeaseKey, row: Option<Lease>, at: Moment) {
        match row {
            Some(row) => {
                if row.checkpoint.is_shard_end() {
                    // Perhaps a parent that one of this worker's shards waits for.
                    self.ends.raise_by_one();
                }
                self.engine.see(row, at);
            }
            None => self.engine.leases.forget(key, at),
        }
    }

    /// New rows have been taken in: what they tell of this worker's own leases and requests, and a
    /// plan.
    pub(super) fn has_seen(&mut self, now: Moment) {
        let works = self.context.is_working();
        self.choose_keep_alive(now);
        for key in self.engine.leases.newly_doubted(&self.context.client.begun) {
            if let Some(orders) = self.orders.get(&key) {
                orders.doubted();
            }
        }
        for key in self.engine.newly_paused() {
            if let Some(orders) = self.orders.get(&key) {
                orders.give_up();
                let lease = key;
                self.context.inner.outlet.say(Event::ShardPaused { lease });
            }
        }
        self.obey_drain(now, works);
        // The writer is told with the row itself. It acts only if its own row is at the same
        // counter, so a row that is old by now changes nothing.
        for request in self.engine.pending(now, works) {
            let key = request.row.key.clone();
            let Some(orders) = self.orders.get(&key) else {
                continue;
            };
            orders.seen(request.row);
            if let Some(by) = request.refuse {
                tracing::debug!(lease = %key, requester = %by, "keeping a lease: the worker that \
                    requested it is dead");
                orders.refuse(by);
                self.announcer.say(Changed::Lease(key));
            }
        }
        self.plan(now);
        self.finish_reading(now);
    }

    /// Gives up the next leases, if an operator drains this worker.
    fn obey_drain(&mut self, now: Moment, works: bool) {
        let outlet = &self.context.inner.outlet;
        match self.engine.see_drain(now).filter(|_| works) {
            Some(DrainChange::Begins { held }) => outlet.say(Event::DrainBegun { held }),
            Some(DrainChange::Ends) => outlet.say(Event::DrainEnded),
            None => {}
        }
        for key in self.engine.next_given_up(now) {
            if let Some(orders) = self.orders.get(&key) {
                orders.give_up();
            }
        }
    }

    /// Says what is to hold the leases of this worker from now on, by what is known of the fleet.
    fn choose_keep_alive(&mut self, now: Moment) {
        let liveness = self.context.inner.parts.settings.liveness;
        let own = &self.context.client.begun.pulse;
        let incarnation = own.now().incarnation().clone();
        own.want(self.engine.keep_alive(liveness, &incarnation, now));
    }

    /// A writer has something to say while it goes on.
    pub(super) fn on_note(&mut self, note: FromWriter) {
        match note {
            FromWriter::Asked { lease, by } => self.answer(lease, by, false),
            FromWriter::OutOfReach { lease } => self.leave_to_others(&lease),
            FromWriter::Refused { lease } => {
                let now = self.context.clock().now();
                self.announce(&lease);
                self.engine.leases.refuse(&lease, now);
            }
        }
    }

    /// A shard has been out of this worker's reach for long: its lease is for others, if there are
    /// any. This worker takes no lease of the stream before the stream has answered it again.
    fn leave_to_others(&mut self, lease: &LeaseKey) {
        let now = self.context.clock().now();
        if !self.engine.leaves_to_others(now, self.context.is_working()) {
            return;
        }
        let Some(orders) = self.orders.get(lease) else {
            return;
        };
        orders.leave_to_others();
        let Some(stream) = self.context.inner.parts.streams.of(lease) else {
            return;
        };
        if self.engine.leases.lose_reach(lease) {
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
        let works = self.context.is_working();
        match self.engine.answer(&lease, &by, read, now, works) {
            HandOverVerdict::PassOn => orders.hand_over(by),
            // The release ends the request.
            HandOverVerdict::Release => {}
            HandOverVerdict::AskTable => {
                let context = Arc::clone(&self.context);
                self.job(async move {
                    let row = context.client.table.get_worker(&by);
                    let row = context.client.read(row).await;
                    // After the read: a heartbeat that it shows may have been sent just before.
                    let at = context.clock().now();
                    JobResult::Requester { lease, by, row, at }
                });
            }
            verdict @ HandOverVerdict::Refuse(_) => {
                tracing::debug!(%lease, requester = %by, ?verdict, "refusing a request for a lease");
                orders.refuse(by);
                self.announce(&lease);
            }
        }
    }

    /// A service has ended, which it does by itself only at the end of the worker or for a reason to
    /// end it.
    pub(super) fn on_service(&mut self, ended: Result<Result<(), RunError>, String>) {
        // The heartbeat ends with an error if another process has this worker's name, or the table
        // cannot be used any more.
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
