use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::decide::backoff::Backoff;
use crate::decide::retries::Discarded;
use crate::memory_wait::MemoryWait;
use crate::model::{Moment, Position, Timestamp};
use crate::runtime::Clock;
use crate::stop::WorkerStop;
use crate::tenancy::gathered_records::GatheredRecords;
use crate::tenancy::held::Held;

use super::failing::FailingRecords;
use super::work_event::{WorkEvent, WorkListener};
use super::{Failure, OnFailure};

/// The work on the records of one shard that continues after `process_records` has returned, shared
/// between the processor and the shard consumer.
///
/// With `Ok`, a processor that takes over a batch only says that it has accepted it; it reports
/// here which of its records are done. The batch counts against the byte budget until all of it is
/// done. The shard counts as caught up, as ended, or as read up to its bound only when no work is
/// left.
#[derive(Clone)]
pub(crate) struct Background(Arc<BackgroundShared>);

struct BackgroundShared {
    held: Arc<Held>,
    clock: Arc<dyn Clock>,
    rules: WorkRules,
    /// The stop of the worker.
    stop: WorkerStop,
    listener: WorkListener,
    /// Whether the reader of the shard waits for memory.
    memory: MemoryWait,
    state: Mutex<BackgroundState>,
    /// Notified when batches are done, when the work cannot continue, and when no more records
    /// follow.
    changed: Notify,
}

/// The worker's settings that limit the work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkRules {
    pub(crate) on_failure: OnFailure,
    pub(crate) retry: Backoff,
    pub(crate) drain_limit: Duration,
}

/// A batch that was accepted.
pub(crate) struct AcceptedBatch {
    /// The end of the batch: everything up to here is done when the batch is, even if the processor
    /// itself has skipped the last records.
    pub(crate) last: Position,
    pub(crate) records: usize,
    pub(crate) bytes: u64,
    /// When the first of its records arrived in the stream.
    pub(crate) arrived_at: Option<Timestamp>,
    pub(crate) fetched: Moment,
    pub(crate) fetched_at: Timestamp,
    /// Its share of the byte budget, which is returned when it is dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) memory: Box<dyn Any + Send>,
}

/// Identifies the processor that works on the records of a shard. There can be only one: a second
/// one would mark records as done that the first has not finished. Clones are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkOwner(Arc<()>);

#[derive(Default)]
struct BackgroundState {
    /// The processor that has taken over the batches. Kept for good, so that no other can get the
    /// same address.
    owner: Option<WorkOwner>,
    /// Two processors tried to take over: nothing that either of them reports counts any more.
    is_refused: bool,
    failing: FailingRecords,
    /// What was accepted in the current call, once a processor has taken over its batch.
    taken_over: Option<TakenOver>,
    /// The position of the last accepted record.
    accepted: Option<Position>,
    /// Everything up to this position is done.
    finished: Option<Position>,
    /// The accepted batches, each with the position of the last record that was accepted before the
    /// batch was kept: the batch is done when that record is.
    batches: VecDeque<(Position, AcceptedBatch)>,
    /// Why the work cannot continue.
    stopped: Option<WorkStopped>,
    /// Whether no more records follow, and the next step waits for the work.
    is_last: bool,
}

/// What a processor has accepted of a call's batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct TakenOver {
    /// The position of the last accepted record, or `None` if none was accepted.
    pub(crate) up_to: Option<Position>,
    /// Whether the whole batch was accepted.
    pub(crate) whole: bool,
}

/// Why the work cannot continue.
#[derive(Debug)]
pub(crate) enum WorkStopped {
    /// The worker has to stop, because of its [`OnFailure`].
    Failed(Failure),
    /// The lease has expired.
    Expired,
}

impl Background {
    pub(crate) fn new(
        held: Arc<Held>,
        clock: Arc<dyn Clock>,
        rules: WorkRules,
        stop: WorkerStop,
        listener: WorkListener,
    ) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self(Arc::new(BackgroundShared {
            held,
            clock,
            rules,
            stop,
            listener,
            memory: MemoryWait::default(),
            state,
            changed,
        }))
    }

    pub(crate) fn rules(&self) -> WorkRules {
        self.0.rules
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    // For the processor.

    /// Takes over the current batch: `Ok` then only says that records were accepted, up to the
    /// position given to [`accept`](Self::accept). Returns false if another processor has taken
    /// over a batch before.
    #[must_use]
    pub(crate) fn take_over(&self, by: &WorkOwner) -> bool {
        let mut state = self.state();
        let is_owner = Arc::ptr_eq(&state.owner.get_or_insert_with(|| by.clone()).0, &by.0);
        if is_owner {
            state.taken_over = Some(TakenOver::default());
        }
        is_owner
    }

    /// Rejects a combination of processors that would lose records: the worker stops, and no
    /// further position is stored.
    pub(crate) fn refuse(&self, misuse: &'static str) -> Failure {
        self.state().is_refused = true;
        self.fail(Failure::new(misuse));
        Failure::new(misuse)
    }

    /// Whether both belong to the same tenancy of the same shard.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Accepts the records of the current batch up to this position.
    pub(crate) fn accept(&self, position: Position) {
        let mut state = self.state();
        state.accepted = Some(position.clone());
        state.taken_over.get_or_insert_default().up_to = Some(position);
    }

    /// Marks the current batch as accepted to its end.
    pub(crate) fn accepted_whole(&self) {
        self.state().taken_over.get_or_insert_default().whole = true;
    }

    /// Returns the current moment if a record may be delivered now, and `None` if the lease has
    /// expired, which is then reported to the consumer. Call it without an await before the
    /// delivery.
    pub(crate) fn may_begin(&self) -> Option<Moment> {
        let now = self.0.clock.now();
        if self.0.held.is_valid(now) {
            return Some(now);
        }
        self.stop(WorkStopped::Expired);
        None
    }

    /// Reports how many calls of the handler are in progress and when the oldest began. The lease is
    /// released when it takes longer than the handler budget.
    pub(crate) fn works_since(&self, since: Option<Moment>, at_work: usize) {
        self.0.held.progress().works_since(since, at_work);
    }

    /// Reports how many lanes have records that are not done.
    pub(crate) fn has_lanes(&self, lanes: usize) {
        self.0.held.progress().has_lanes(lanes);
    }

    /// Reports how much is buffered for a later call.
    pub(crate) fn has_gathered(&self, gathered: GatheredRecords) {
        self.0.held.progress().has_gathered(gathered);
    }

    /// Reports that everything up to this position is done. Positions must grow from call to call.
    pub(crate) fn finish(&self, position: Position) {
        let mut state = self.state();
        if state.is_refused {
            return;
        }
        let (mut end, before) = (position, state.batches.len());
        while let Some((_, batch)) = state.batches.pop_front_if(|(behind, _)| *behind <= end) {
            end = end.max(batch.last.clone());
            self.tell_done(&state, &batch);
        }
        self.is_finished(&mut state, end);
        // Not for each record: all waiters wait for whole batches.
        if state.batches.is_empty() || state.batches.len() < before {
            self.0.changed.notify_waiters();
        }
    }

    /// Reports that an attempt on this record has failed; `attempt` is its number.
    pub(crate) fn tell_failed(&self, at: &Position, attempt: u32, error: &Arc<str>) {
        let mut state = self.state();
        state.failing.failed(at, attempt);
        // Under the lock, so that the last report is the current state.
        (self.0.listener)(WorkEvent::Failed {
            at,
            attempt,
            error,
            failures: state.failing.most(),
        });
    }

    /// Reports that the record is done or skipped.
    pub(crate) fn fails_no_more(&self, at: &Position) {
        let mut state = self.state();
        if state.failing.passed(at) {
            (self.0.listener)(WorkEvent::FailsNoMore {
                failures: state.failing.most(),
            });
        }
    }

    pub(crate) fn tell_recovered(&self, at: &Position, failures: u32) {
        (self.0.listener)(WorkEvent::Recovered { at, failures });
    }

    /// Reports a call of the handler that follows a failed one.
    pub(crate) fn tell_retried(&self) {
        (self.0.listener)(WorkEvent::Retried);
    }

    /// Reports a flush that begins for this cause.
    pub(crate) fn tell_flushes(&self, cause: &'static str) {
        (self.0.listener)(WorkEvent::Flushes { cause });
    }

    pub(crate) fn tell_skipped(&self, at: &Position, why: Discarded) {
        (self.0.listener)(WorkEvent::Skipped { at, why });
    }

    pub(crate) fn tell_dead_lettered(&self, at: &Position, attempts: u32, why: Discarded) {
        (self.0.listener)(WorkEvent::DeadLettered { at, attempts, why });
    }

    pub(crate) fn tell_letter_refused(&self, at: &Position, error: &Arc<str>) {
        (self.0.listener)(WorkEvent::LetterRefused { at, error });
    }

    /// Stops the worker because of this failure. The first cause counts.
    pub(crate) fn fail(&self, failure: Failure) {
        self.stop(WorkStopped::Failed(failure));
    }

    /// Whether the reader of the shard waits for memory.
    pub(crate) fn memory(&self) -> &MemoryWait {
        &self.0.memory
    }

    /// Waits until no more records follow. Cancel safe.
    pub(crate) async fn is_to_end(&self) {
        self.until(|state| state.is_last).await;
    }

    /// Waits until `process_records` should return: the lease is lost or has to be given up, the
    /// worker stops, or the work cannot continue. Cancel safe.
    pub(crate) async fn leaves(&self) {
        tokio::select! {
            biased;
            _ = self.0.held.lost() => {}
            () = self.0.stop.asked() => {}
            () = self.0.held.hand_over_asked() => {}
            () = self.stopped() => {}
        }
    }

    /// Waits until the records in progress have to be abandoned: the lease is lost, or the time for
    /// draining is over. When the worker stops, that time ends shortly before the deadline of the
    /// stop; otherwise it is the worker's drain limit. Cancel safe.
    pub(crate) async fn drain_is_over(&self) {
        let limit = self.0.clock.now() + self.0.rules.drain_limit;
        loop {
            let seen = self.0.stop.changes();
            let until = self.0.stop.drain_until().unwrap_or(limit);
            tokio::select! {
                biased;
                _ = self.0.held.lost() => return,
                () = self.0.stop.changes_beyond(seen) => {}
                () = self.0.clock.sleep_until(until) => return,
            }
        }
    }

    // For the consumer.

    /// What the processor accepted of the batch of the call that has just returned, or `None` if it
    /// did not take over that batch.
    pub(crate) fn was_taken_over(&self) -> Option<TakenOver> {
        self.state().taken_over.take()
    }

    /// Whether a processor has ever taken over a batch. From then on, a record counts as done only
    /// once everything accepted before it is done.
    pub(crate) fn has_begun(&self) -> bool {
        self.state().owner.is_some()
    }

    /// Keeps a batch (or the first part of one) that has been delivered completely: it is done when
    /// everything that was accepted so far is done.
    pub(crate) fn keep(&self, batch: AcceptedBatch) {
        let mut state = self.state();
        if state.is_refused {
            return;
        }
        match state.accepted.clone().filter(|accepted| {
            state
                .finished
                .as_ref()
                .is_none_or(|finished| finished < accepted)
        }) {
            Some(accepted) => state.batches.push_back((accepted, batch)),
            None => {
                self.tell_done(&state, &batch);
                self.is_finished(&mut state, batch.last);
            }
        }
    }

    /// Returns the memory of all batches that are not done, because the consumer has finished with
    /// the shard.
    pub(crate) fn let_go(&self) {
        let batches = std::mem::take(&mut self.state().batches);
        drop(batches);
    }

    /// Whether everything that was accepted is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().batches.is_empty()
    }

    /// Notes that no more records follow and that the next step waits for the work, so buffered
    /// records have to be flushed now.
    pub(crate) fn end_work(&self) {
        self.state().is_last = true;
        self.0.changed.notify_waiters();
    }

    /// Waits until everything that was accepted is done. Cancel safe.
    pub(crate) async fn idle(&self) {
        self.until(|state| state.batches.is_empty()).await;
    }

    /// Waits until everything up to this position, the end of an accepted batch, is done. Cancel
    /// safe.
    pub(crate) async fn finishes(&self, position: Option<&Position>) {
        self.until(|state| state.batches.is_empty() || state.finished.as_ref() >= position)
            .await;
    }

    /// The highest number of failed attempts of any record that is currently failing; 0 if there is
    /// none.
    pub(crate) fn failures(&self) -> u32 {
        self.state().failing.most()
    }

    /// Waits until the work cannot continue. Cancel safe.
    pub(crate) async fn stopped(&self) {
        self.until(|state| state.stopped.is_some()).await;
    }

    /// Whether the work cannot continue.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped.is_some()
    }

    /// Takes the reason why the work cannot continue; later calls return `None`.
    pub(crate) fn take_stopped(&self) -> Option<WorkStopped> {
        self.state().stopped.take()
    }

    /// The position up to which everything that was taken over is done, or `before` if nothing was
    /// ever taken over.
    pub(crate) fn finished(&self, before: Option<&Position>) -> Option<Position> {
        let state = self.state();
        if state.owner.is_some() {
            state.finished.clone()
        } else {
            before.cloned()
        }
    }

    /// How many records of kept batches are not known to be done.
    pub(crate) fn records(&self) -> usize {
        self.state().records()
    }

    fn is_finished(&self, state: &mut BackgroundState, position: Position) {
        if state
            .finished
            .as_ref()
            .is_none_or(|finished| *finished < position)
        {
            self.0.held.finish(position.clone());
            state.finished = Some(position);
        }
    }

    async fn until(&self, wanted: impl Fn(&BackgroundState) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            // Before the check: otherwise a change between the two would not wake this task.
            changed.as_mut().enable();
            if wanted(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn stop(&self, why: WorkStopped) {
        self.state().stopped.get_or_insert(why);
        self.0.changed.notify_waiters();
    }

    fn tell_done(&self, state: &BackgroundState, batch: &AcceptedBatch) {
        let oldest = state.batches.front().map(|(_, batch)| batch);
        (self.0.listener)(WorkEvent::Done { batch, oldest });
    }

    fn state(&self) -> MutexGuard<'_, BackgroundState> {
        // A poisoned lock is safe to use: every change is complete before anything can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackgroundState {
    fn records(&self) -> usize {
        self.batches.iter().map(|(_, batch)| batch.records).sum()
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("lease", self.0.held.key())
            .field("records", &self.records())
            .finish_non_exhaustive()
    }
}
