use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::BoxError;
use crate::decide::backoff::Backoff;
use crate::decide::lag::age;
use crate::decide::lanes::{LaneBounds, RecordLanes};
use crate::decide::retries::{AfterAttempt, RetryLimits, after_failure, before_attempt};
use crate::lease::with_causes;
use crate::model::{Key, Moment, Position, Record, ShardRef, Timestamp};
use crate::processor::{Background, Failure, OnFailure, ProcessRecordsInput, Records};
use crate::runtime::{Tasks, jitter, panic_error, panic_message, pause};

use super::retries::LastResort;
use super::{Discarded, Letter, RecordContext, RecordHandler, Retries};

/// A call waits for room no longer than this: a shard whose records wait to be tried again is not one whose handler hangs. Far below the
/// least budget of a handler, 1 s.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(200);

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
    pub(super) order: RecordOrder,
    pub(super) bounds: LaneBounds,
    pub(super) retries: Option<Retries>,
}

/// The work on the records of one shard. Dropping it ends all of it.
pub(super) struct RecordWork<H: RecordHandler>(Arc<WorkShared<H>>);

struct WorkShared<H> {
    handler: Arc<H>,
    plan: WorkPlan,
    state: Mutex<WorkState>,
    /// There is room for more records. One waits for it.
    room: Notify,
    /// Nothing is at work. One waits for it.
    drained: Notify,
}

/// Everything that is known of the records that are accepted and not done, each under its number in the lanes.
struct WorkState {
    lanes: RecordLanes<Key>,
    records: VecDeque<AcceptedRecord>,
    /// The records that began, in that order: those that are not at work any more are taken off at the front.
    begun: VecDeque<(u64, Moment)>,
    /// The tasks that take records and work on them, and those that wait to try one again.
    tasks: Tasks,
    /// How many take records.
    workers: usize,
    background: Option<Background>,
    phase: WorkPhase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkPhase {
    Working,
    /// No further record begins.
    Leaving,
}

struct AcceptedRecord {
    batch: Arc<HandedBatch>,
    index: usize,
    attempts: u32,
    /// What its last attempt said.
    error: Option<Arc<str>>,
    /// Since when it is at work.
    since: Option<Moment>,
}

/// What the records of a batch have in common.
struct HandedBatch {
    records: Records,
    shard: ShardRef,
    millis_behind_latest: Option<u64>,
    fetched_at: Timestamp,
}

/// A record that is at work.
struct RecordJob {
    number: u64,
    batch: Arc<HandedBatch>,
    index: usize,
    attempt: u32,
    /// What the attempt before said.
    error: Option<Arc<str>>,
    background: Background,
}

/// What follows when a record fails.
struct RecordRules {
    limits: RetryLimits,
    backoff: Backoff,
    last_resort: LastResort,
}

impl RecordJob {
    fn record(&self) -> &Record {
        &self.batch.records[self.index]
    }
}

impl<H: RecordHandler> RecordWork<H> {
    pub(super) fn new(handler: Arc<H>, plan: WorkPlan) -> Self {
        let state = WorkState {
            lanes: RecordLanes::new(plan.bounds),
            records: VecDeque::new(),
            begun: VecDeque::new(),
            tasks: Tasks::new(),
            workers: 0,
            background: None,
            phase: WorkPhase::Working,
        };
        Self(Arc::new(WorkShared { handler, plan, state: Mutex::new(state), room: Notify::new(), drained: Notify::new() }))
    }

    /// Accepts the records of a batch as far as there is room, and waits for more, until all are accepted or the consumer wants to go on.
    ///
    /// It never waits for long: the rest of the batch is then handed out again. The wait for room is not the work on a record, which has
    /// a budget of its own.
    pub(super) async fn take_over(&self, input: ProcessRecordsInput) {
        let background = input.background;
        background.take_over();
        let ProcessRecordsInput { records, shard, millis_behind_latest, fetched_at, .. } = input;
        let batch = Arc::new(HandedBatch { records, shard, millis_behind_latest, fetched_at });
        let mut accepted = 0;
        loop {
            self.0.accept(&background, &batch, &mut accepted);
            if accepted == batch.records.len() {
                background.accepted_whole();
                return;
            }
            tokio::select! {
                biased;
                () = background.leaves() => return,
                () = self.0.room.notified() => {}
                () = pause(&**background.clock(), WAIT_FOR_ROOM) => return,
            }
        }
    }

    /// Begins nothing more, waits for what is at work as long as it may be, and ends what is left.
    pub(super) async fn drain(&self) {
        let background = {
            let mut state = self.0.state();
            state.phase = WorkPhase::Leaving;
            state.background.clone()
        };
        if let Some(background) = background {
            tokio::select! {
                biased;
                () = background.drain_is_over() => {}
                () = self.0.all_ended() => {}
            }
        }
        self.end().await;
    }

    /// Begins nothing more and ends what is at work where it stands.
    pub(super) async fn end(&self) {
        let mut tasks = {
            let mut state = self.0.state();
            state.phase = WorkPhase::Leaving;
            std::mem::take(&mut state.tasks)
        };
        tasks.end().await;
        if let Some(background) = &self.0.state().background {
            background.works_since(None);
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
    fn accept(self: &Arc<Self>, background: &Background, batch: &Arc<HandedBatch>, accepted: &mut usize) {
        let mut state = self.state();
        state.background.get_or_insert_with(|| background.clone());
        let before = *accepted;
        while let Some(record) = batch.records.get(*accepted).filter(|_| state.lanes.has_room()) {
            state.lanes.accept(match self.plan.order {
                RecordOrder::Shard => Some(Key::from("")),
                RecordOrder::Key => Some(record.partition_key.clone()),
                RecordOrder::None => None,
            });
            state.records.push_back(AcceptedRecord {
                batch: Arc::clone(batch),
                index: *accepted,
                attempts: 0,
                error: None,
                since: None,
            });
            *accepted += 1;
        }
        if *accepted > before {
            background.accept(batch.records[*accepted - 1].position.clone());
        }
        self.staff(&mut state);
    }

    /// As many workers as there are records that can begin.
    fn staff(self: &Arc<Self>, state: &mut WorkState) {
        if state.phase != WorkPhase::Working {
            return;
        }
        // A worker that is between two records takes one of those that can begin: `at_work` counts those that are within one.
        let wanted = state.lanes.at_work() + state.lanes.can_begin();
        if state.workers < wanted {
            state.tasks.forget_ended();
        }
        while state.workers < wanted {
            state.workers += 1;
            state.tasks.start(Arc::clone(self).work());
        }
    }

    /// One worker: takes a record after the other until none may begin.
    async fn work(self: Arc<Self>) {
        while let Some(job) = self.next() {
            if let Some(why) = self.too_old(&job) {
                let error = job.error.as_deref().unwrap_or("it was too old before its first attempt").into();
                self.discard(&job, &self.rules(&job), (why, job.attempt - 1), error).await;
                continue;
            }
            let context = RecordContext {
                shard: job.batch.shard.clone(),
                attempt: job.attempt,
                millis_behind_latest: job.batch.millis_behind_latest,
                fetched_at: job.batch.fetched_at,
            };
            // Within a future of our own: the handler may panic before it has made one.
            let handling = async { self.handler.handle(job.record(), &context).await };
            let handled = AssertUnwindSafe(handling).catch_unwind().await;
            match handled {
                Ok(Ok(())) => self.done(&job),
                Ok(Err(error)) => self.failed(&job, error).await,
                Err(panic) => self.failed(&job, panic_error(&*panic)).await,
            }
        }
    }

    /// The record that this worker takes now. With none, the worker is gone.
    fn next(&self) -> Option<RecordJob> {
        let mut state = self.state();
        let job = state.begin();
        if job.is_none() {
            state.workers -= 1;
        }
        job
    }

    fn done(self: &Arc<Self>, job: &RecordJob) {
        let mut state = self.state();
        self.pass(&mut state, job);
    }

    /// The record is done, or is passed as if it were.
    fn pass(self: &Arc<Self>, state: &mut WorkState, job: &RecordJob) {
        let grown = state.lanes.done(job.number);
        let last = state.records.drain(..grown).next_back().map(|last| last.position());
        state.left(job.number);
        if let Some(last) = last {
            job.background.finish(last);
        }
        if state.lanes.wants_more() {
            self.room.notify_one();
        }
        self.ended(state);
    }

    async fn failed(self: &Arc<Self>, job: &RecordJob, error: BoxError) {
        job.background.tell_failed(&job.record().position, job.attempt, &error);
        let rules = self.rules(job);
        match after_failure(rules.limits, rules.backoff, job.attempt, jitter()) {
            AfterAttempt::Again(span) => self.pause(job, span, Some(&error)),
            AfterAttempt::Discard(why) => self.discard(job, &rules, (why, job.attempt), error).await,
        }
    }

    /// The record is tried no more, after so many attempts.
    async fn discard(self: &Arc<Self>, job: &RecordJob, rules: &RecordRules, (why, attempts): (Discarded, u32), error: BoxError) {
        let (record, background) = (job.record(), &job.background);
        match &rules.last_resort {
            LastResort::Stop => {
                let mut state = self.state();
                state.phase = WorkPhase::Leaving;
                state.lanes.failed(job.number);
                state.left(job.number);
                background.fail(Failure::at(record, error));
                self.ended(&state);
            }
            LastResort::Skip => {
                background.tell_skipped(&record.position);
                self.done(job);
            }
            LastResort::DeadLetter(to) => {
                let error = with_causes(&*error);
                let error = (attempts > 0).then_some(&*error);
                let letter = Letter { shard: &job.batch.shard, record, why, attempts, error };
                // Passed only when it was taken.
                match AssertUnwindSafe(to.deliver(letter)).catch_unwind().await {
                    Ok(Ok(())) => {
                        background.tell_dead_lettered(&record.position, attempts);
                        self.done(job);
                    }
                    Ok(Err(refused)) => self.refused(job, rules, &with_causes(&*refused)),
                    Err(panic) => self.refused(job, rules, &panic_message(&*panic)),
                }
            }
        }
    }

    /// The dead letter was not taken: the record is tried again.
    fn refused(self: &Arc<Self>, job: &RecordJob, rules: &RecordRules, cause: &str) {
        let error: BoxError = format!("the dead letter was not taken: {cause}").into();
        job.background.tell_failed(&job.record().position, job.attempt, &error);
        let longest = RetryLimits::default();
        if let AfterAttempt::Again(span) = after_failure(longest, rules.backoff, job.attempt, jitter()) {
            self.pause(job, span, None);
        }
    }

    /// The record is not at work any more, and is tried again after this pause.
    fn pause(self: &Arc<Self>, job: &RecordJob, span: Duration, error: Option<&BoxError>) {
        let mut state = self.state();
        state.lanes.failed(job.number);
        state.left(job.number);
        if let (Some(error), Some(record)) = (error, state.accepted(job.number)) {
            record.error = Some(with_causes(&**error).into());
        }
        if state.phase == WorkPhase::Working {
            let (shared, number, clock) = (Arc::clone(self), job.number, Arc::clone(job.background.clock()));
            // While every worker is busy nobody else does it.
            state.tasks.forget_ended();
            state.tasks.start(async move {
                pause(&*clock, span).await;
                shared.again(number);
            });
        }
        self.ended(&state);
    }

    /// What follows a failure, by the word of the application, or else by the worker's.
    fn rules(&self, job: &RecordJob) -> RecordRules {
        let worker = job.background.rules();
        if let Some(retries) = &self.plan.retries {
            let backoff = retries.backoff.unwrap_or(worker.retry);
            return RecordRules { limits: retries.limits, backoff, last_resort: retries.last_resort.clone() };
        }
        let (attempts, last_resort) = match worker.on_failure {
            OnFailure::Retry => (None, LastResort::Stop),
            OnFailure::Stop => (Some(1), LastResort::Stop),
            OnFailure::Skip => (Some(1), LastResort::Skip),
        };
        RecordRules { limits: RetryLimits { attempts, max_age: None }, backoff: worker.retry, last_resort }
    }

    /// Whether the record is too old to be tried.
    fn too_old(&self, job: &RecordJob) -> Option<Discarded> {
        let limits = self.plan.retries.as_ref()?.limits;
        limits.max_age?;
        let wall = job.background.clock().wall();
        before_attempt(limits, job.record().arrived_at.map(|arrived| age(Some(arrived), wall)))
    }

    fn again(self: &Arc<Self>, number: u64) {
        let mut state = self.state();
        state.lanes.again(number);
        self.staff(&mut state);
    }

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
    fn state(&self) -> MutexGuard<'_, WorkState> {
        // No handler runs under the lock, and every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkState {
    fn begin(&mut self) -> Option<RecordJob> {
        if self.phase != WorkPhase::Working || self.lanes.can_begin() == 0 {
            return None;
        }
        let background = self.background.clone()?;
        let now = background.may_begin()?;
        let number = self.lanes.begin()?;
        let record = self.accepted(number)?;
        record.attempts = record.attempts.saturating_add(1);
        record.since = Some(now);
        let job = RecordJob {
            number,
            batch: Arc::clone(&record.batch),
            index: record.index,
            attempt: record.attempts,
            error: record.error.clone(),
            background,
        };
        self.begun.push_back((number, now));
        self.see_oldest(&job.background);
        Some(job)
    }

    /// The work on this record is over, for now or for good.
    fn left(&mut self, number: u64) {
        if let Some(record) = self.accepted(number) {
            record.since = None;
        }
        if let Some(background) = self.background.clone() {
            self.see_oldest(&background);
        }
    }

    /// Since when the oldest work goes on.
    fn see_oldest(&mut self, background: &Background) {
        while let Some((number, since)) = self.begun.front().copied() {
            if self.accepted(number).is_some_and(|record| record.since == Some(since)) {
                background.works_since(Some(since));
                return;
            }
            self.begun.pop_front();
        }
        background.works_since(None);
    }

    fn accepted(&mut self, number: u64) -> Option<&mut AcceptedRecord> {
        let index = number.checked_sub(self.lanes.first())?;
        self.records.get_mut(usize::try_from(index).ok()?)
    }
}

impl AcceptedRecord {
    fn position(&self) -> Position {
        self.batch.records[self.index].position.clone()
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
