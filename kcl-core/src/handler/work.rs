use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tracing::Instrument;

use crate::decide::lanes::{LaneBounds, RecordLanes};
use crate::model::Key;
use crate::processor::{Background, Failure, ProcessRecordsInput, WorkOwner};
use crate::runtime::{panic_text, pause};

use super::accepting::{Misuse, accept_whole, claim, drain};
use super::filter::RecordFilter;
use super::rules::{ErrorSaid, call_within};
use super::{RecordContext, RecordHandler, Retries};

mod record_rules;
mod state;

use state::{AcceptedRecord, HandedBatch, RecordJob, WorkPhase, WorkState};

const MISUSE: Misuse = Misuse {
    other_shard: "a processor of `in_order`, `by_key` or `unordered` was given records of another shard, or of another acquisition \
                  of its shard: expected is a processor for each acquisition, as `RecordProcessorFactory::processor` makes it",
    two_owners: "the records of a shard were given to two processors of `in_order`, `by_key` or `unordered`, and each would \
                 checkpoint what the other has not done: expected is one, whose handler calls both",
};

/// What is kept in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordOrder {
    /// All records of the shard.
    Shard,
    /// Those of one partition key.
    Key,
    /// None.
    None,
}

/// How the work on a shard is done.
#[derive(Clone, Debug)]
pub(super) struct WorkPlan {
    /// Which records wait for one another.
    pub(super) order: RecordOrder,
    /// How many may be at work, and how far the window reaches.
    pub(super) bounds: LaneBounds,
    /// What follows a failure, if the application has said so; otherwise the worker's policy.
    pub(super) retries: Option<Retries>,
    /// Which records the handler is given: the others are done.
    pub(super) filter: RecordFilter,
}

/// The work on the records of one shard. Dropping it ends all of it.
///
/// ```text
///   a batch --> accept --> lanes --> workers, a task each, with one record at a time
///                 ^                    |  Ok: done, and the end of the finished prefix
///                 |   room             |      goes to the consumer
///                 +--------------------+  Err: failed; its lane waits until it is tried again
/// ```
///
/// Tasks are started when there are records for them, and end when there is none: an idle shard has
/// none. A task holds one record at a time; everything that must outlive it is in the state.
pub(super) struct RecordWork<H: RecordHandler>(Arc<WorkShared<H>>);

struct WorkShared<H> {
    /// One for all shards of the worker: it is called for several records at the same time.
    handler: Arc<H>,
    /// The same for every shard of the worker.
    plan: WorkPlan,
    /// Tells this work from another on the same shard, which would checkpoint what is not done
    /// here.
    owner: WorkOwner,
    /// Never held while a handler runs or anything is awaited.
    state: Mutex<WorkState>,
    /// There is room for more records. One waits for it.
    room: Notify,
    /// Nothing is at work. One waits for it.
    /// Like `room`, it keeps one notice for whoever waits next, so none is missed between a look
    /// and a wait.
    drained: Notify,
}

/// The place of a worker among those that are counted.
struct Seat<'a, H>(Option<&'a WorkShared<H>>);

impl<H> Drop for Seat<'_, H> {
    fn drop(&mut self) {
        // Only where a panic has come through: a worker that leaves has given its place back.
        if let Some(shared) = self.0 {
            shared.state().workers -= 1;
        }
    }
}

impl<H: RecordHandler> RecordWork<H> {
    /// Nothing runs before the first batch: tasks are started as there are records for them.
    pub(super) fn new(handler: Arc<H>, plan: WorkPlan) -> Self {
        let state = Mutex::new(WorkState::new(RecordLanes::new(plan.bounds)));
        let (owner, room, drained) = (WorkOwner::default(), Notify::new(), Notify::new());
        Self(Arc::new(WorkShared {
            handler,
            plan,
            owner,
            state,
            room,
            drained,
        }))
    }

    /// Accepts the records of a batch, as [`accept_whole`] does.
    ///
    /// # Errors
    /// The records of a shard have one owner, and an owner has one shard: see [`WorkOwner`].
    pub(super) async fn take_over(&self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let background = input.background;
        self.0
            .own(&background)
            .map_err(|misuse| background.refuse(misuse))?;
        let ProcessRecordsInput {
            records,
            shard,
            millis_behind_latest,
            fetched_at,
            ..
        } = input;
        // Shared by the records of the batch: neither they nor the shard's name are copied for
        // each.
        let batch = Arc::new(HandedBatch {
            records,
            shard,
            millis_behind_latest,
            fetched_at,
        });
        let (count, room) = (batch.records.len(), &self.0.room);
        accept_whole(&background, count, room, |accepted| {
            self.0.accept(&background, &batch, accepted)
        })
        .await
    }

    /// Begins nothing more, waits for what is at work as long as it may be, and ends what is left.
    pub(super) async fn drain(&self) {
        // None before the first batch: then nothing is at work either.
        let background = {
            let mut state = self.0.state();
            state.phase = WorkPhase::Leaving;
            state.background.clone()
        };
        drain(background, self.0.all_ended()).await;
        self.end().await;
    }

    /// Begins nothing more and ends what is at work where it stands.
    pub(super) async fn end(&self) {
        let mut tasks = {
            let mut state = self.0.state();
            state.phase = WorkPhase::Leaving;
            std::mem::take(&mut state.tasks)
        };
        // Waits until each is dropped, so that no handler runs on after the lease is given up.
        tasks.end().await;
        // Otherwise a status would show the work of an owner that has gone.
        if let Some(background) = &self.0.state().background {
            background.works_since(None, 0);
            background.has_lanes(0);
        }
    }
}

impl<H: RecordHandler> Drop for RecordWork<H> {
    fn drop(&mut self) {
        // The tasks own what owns them.
        let tasks = {
            let mut state = self.0.state();
            state.phase = WorkPhase::Leaving;
            std::mem::take(&mut state.tasks)
        };
        drop(tasks);
    }
}

impl<H: RecordHandler> WorkShared<H> {
    /// The records of this background are worked on here, and no others.
    fn own(&self, background: &Background) -> Result<(), &'static str> {
        let mut state = self.state();
        claim(background, state.background.as_ref(), &self.owner, &MISUSE)?;
        state.background.get_or_insert_with(|| background.clone());
        Ok(())
    }

    /// Accepts the next records of a batch while the window has room. What was accepted is reported
    /// at once, so that it is not delivered again.
    fn accept(
        self: &Arc<Self>,
        background: &Background,
        batch: &Arc<HandedBatch>,
        accepted: &mut usize,
    ) -> Option<Failure> {
        let before = *accepted;
        // Room only grows until then: nobody else accepts.
        let room = self.state().lanes.room();
        let next = &batch.records[before..batch.records.len().min(before + room)];
        let (wanted, failure) = self.plan.filter.of(next);
        // The filter has run without the lock: it is the application's code, and may be slow or
        // panic.
        let (mut state, mut passed) = (self.state(), 0);
        for (record, is_wanted) in next.iter().zip(wanted) {
            if is_wanted {
                state.lanes.accept(match self.plan.order {
                    RecordOrder::Shard => Some(Key::from("")),
                    RecordOrder::Key => Some(record.partition_key.clone()),
                    RecordOrder::None => None,
                });
            } else {
                passed += state.lanes.pass();
            }
            state.records.push_back(AcceptedRecord {
                batch: Arc::clone(batch),
                index: *accepted,
                rounds: 0,
                calls: 0,
                error: None,
                since: None,
            });
            *accepted += 1;
        }
        if *accepted > before {
            // Told while the state is locked: a worker could otherwise finish a record of which the
            // consumer does not know yet.
            background.accept(batch.records[*accepted - 1].position.clone());
        }
        // The end of the finished prefix, which was drained from the front.
        if let Some(end) = state.grown(passed) {
            background.finish(end);
        }
        background.has_lanes(state.lanes.lanes());
        self.staff(&mut state);
        failure
    }

    /// As many workers as there are records that can begin.
    fn staff(self: &Arc<Self>, state: &mut WorkState) {
        if state.phase != WorkPhase::Working {
            return;
        }
        // A worker that is between two records takes one of those that can begin: `at_work` counts
        // those that are within one.
        let wanted = state.lanes.at_work() + state.lanes.can_begin();
        // Tasks that have ended are kept until somebody takes them out. That is done here, where a
        // new one is needed: it costs nothing while there are enough.
        if state.workers < wanted {
            state.tasks.forget_ended();
        }
        while state.workers < wanted {
            state.workers += 1;
            state.tasks.start(Arc::clone(self).work().in_current_span());
        }
    }

    /// One worker: takes a record after the other until none may begin.
    async fn work(self: Arc<Self>) {
        let mut seat = Seat(Some(&self));
        while let Some(job) = self.next(&mut seat) {
            // Nothing that an application has made ends a worker: its record would be at work for
            // ever.
            let worked = AssertUnwindSafe(self.work_on(&job)).catch_unwind().await;
            if let Err(panic) = worked {
                self.broken(&job, &panic_text(panic));
            }
        }
    }

    /// One attempt at a record, and what follows it.
    async fn work_on(self: &Arc<Self>, job: &RecordJob) {
        if let Some(why) = self.too_old(job) {
            let rules = self.rules(job);
            return self
                .discard(job, &rules, (why, job.calls), job.error.clone())
                .await;
        }
        let attempt = self.state().called(job.number);
        if attempt > 1 {
            // Before the call, so that a call that hangs is seen as the retry that it is.
            job.background.tell_retried();
        }
        let context = RecordContext {
            shard: job.batch.shard.clone(),
            attempt,
            millis_behind_latest: job.batch.millis_behind_latest,
            fetched_at: job.batch.fetched_at,
        };
        let limit = self
            .plan
            .retries
            .as_ref()
            .and_then(|retries| retries.attempt_limit);
        // Within a future of our own: the handler may panic before it has made one.
        let handling = async { self.handler.handle(job.record(), &context).await };
        match call_within(limit, &**job.background.clock(), handling).await {
            Ok(Ok(())) => {
                if attempt > 1 {
                    let at = &job.record().position;
                    job.background.tell_recovered(at, attempt - 1);
                }
                self.done(job);
            }
            // A panic and a timeout count as failures of the record, like an error: the handler's
            // state is its own, and the record comes again.
            Ok(Err(error)) => self.failed(job, attempt, ErrorSaid::of(error)).await,
            Err(said) => self.failed(job, attempt, said.into()).await,
        }
    }

    /// The record that this worker takes now. With none, the worker is gone.
    fn next(&self, seat: &mut Seat<'_, H>) -> Option<RecordJob> {
        let mut state = self.state();
        let job = state.begin();
        if job.is_none() {
            state.workers -= 1;
            seat.0 = None;
        }
        job
    }

    /// The handler has returned `Ok`.
    fn done(self: &Arc<Self>, job: &RecordJob) {
        let mut state = self.state();
        self.pass(&mut state, job);
    }

    /// The record is done, or is passed as if it were. The order matters: it leaves the oldest work
    /// before it leaves the lanes, by whose numbers it is found there.
    fn pass(self: &Arc<Self>, state: &mut WorkState, job: &RecordJob) {
        state.left(job.number);
        let grown = state.lanes.done(job.number);
        // Still under the lock: ends that are reported must only grow.
        let end = state.grown(grown);
        job.background.has_lanes(state.lanes.lanes());
        job.background.fails_no_more(&job.record().position);
        if let Some(end) = end {
            job.background.finish(end);
        }
        // Not for each record: accepting a few at a time would wake the consumer for every one of
        // them.
        if state.lanes.wants_more() {
            self.room.notify_one();
        }
        self.ended(state);
    }

    /// The record is not at work any more, and is tried again after this pause.
    fn pause(self: &Arc<Self>, job: &RecordJob, span: Duration, error: Option<Arc<str>>) {
        let mut state = self.state();
        self.set_down(&mut state, job);
        if let (Some(error), Some(record)) = (error, state.accepted(job.number)) {
            record.error = Some(error);
        }
        // After the drain has begun nothing begins any more, so nothing has to wake up for it.
        if state.phase == WorkPhase::Working {
            let (shared, number, clock) = (
                Arc::clone(self),
                job.number,
                Arc::clone(job.background.clock()),
            );
            let again = async move {
                pause(&*clock, span).await;
                shared.again(number);
            };
            // While every worker is busy nobody else does it.
            state.tasks.forget_ended();
            state.tasks.start(again.in_current_span());
        }
    }

    /// The record is not at work any more, and is not done.
    fn set_down(&self, state: &mut WorkState, job: &RecordJob) {
        state.left(job.number);
        state.lanes.failed(job.number);
        self.ended(state);
    }

    /// The pause of a record is over: it may begin, and a worker may be needed for it.
    fn again(self: &Arc<Self>, number: u64) {
        let mut state = self.state();
        state.lanes.again(number);
        self.staff(&mut state);
    }

    /// Tells a drain that nothing is at work any more.
    fn ended(&self, state: &WorkState) {
        if state.phase == WorkPhase::Leaving && state.lanes.at_work() == 0 {
            self.drained.notify_one();
        }
    }

    /// Waits until nothing is at work. Cancel safe.
    async fn all_ended(&self) {
        while self.state().lanes.at_work() > 0 {
            self.drained.notified().await;
        }
    }
}

impl<H> WorkShared<H> {
    /// Locked for a few steps in memory. Handlers, `Drop`s of the application's errors and tasks
    /// run outside of it.
    fn state(&self) -> MutexGuard<'_, WorkState> {
        // No handler runs under the lock, and every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: RecordHandler> fmt::Debug for RecordWork<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("RecordWork")
            .field("plan", &self.0.plan)
            .field("accepted", &state.records.len())
            .field("at_work", &state.lanes.at_work())
            .field("phase", &state.phase)
            .finish_non_exhaustive()
    }
}
