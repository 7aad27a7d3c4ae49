use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::decide::backoff::Backoff;
use crate::model::{Moment, Position, Timestamp};
use crate::runtime::Clock;
use crate::stop::WorkerStop;
use crate::tenancy::held::Held;

use super::failing::FailingRecords;
use super::{Failure, OnFailure};

/// The work on the records of one shard that goes on after `process_records` has returned, and what
/// its consumer has to know of it.
///
/// A processor that takes a batch over says by `Ok` that it has accepted it, and here what of it is
/// done. The batch counts as memory until all of it is; the shard has caught up, ends, and is read
/// up to its bound only when nothing is left.
#[derive(Clone)]
pub(crate) struct Background(Arc<BackgroundShared>);

struct BackgroundShared {
    held: Arc<Held>,
    clock: Arc<dyn Clock>,
    rules: WorkRules,
    /// The worker stops.
    stop: WorkerStop,
    listener: WorkListener,
    state: Mutex<BackgroundState>,
    /// Nothing is left, or the work cannot go on.
    changed: Notify,
}

/// The settings of the worker that bound the work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkRules {
    pub(crate) on_failure: OnFailure,
    pub(crate) retry: Backoff,
    pub(crate) drain_limit: Duration,
}

/// What is told while it happens.
pub(crate) enum WorkEvent<'a> {
    /// The work on a record failed. One of those that fail has failed so often.
    Failed {
        at: &'a Position,
        attempt: u32,
        error: &'a Arc<str>,
        failures: u32,
    },
    /// A record that had failed is done. One of those that fail still has failed so often; 0: none
    /// fails.
    FailsNoMore { failures: u32 },
    /// A record that failed was passed.
    Skipped { at: &'a Position },
    /// A record that was given up was taken as a dead letter.
    DeadLettered { at: &'a Position, attempts: u32 },
    /// A whole batch is done, and the oldest record that is left is in this one.
    Done {
        batch: &'a AcceptedBatch,
        oldest: Option<&'a AcceptedBatch>,
    },
}

pub(crate) type WorkListener = Box<dyn Fn(WorkEvent<'_>) + Send + Sync>;

/// A batch that was accepted.
pub(crate) struct AcceptedBatch {
    /// What is done when it is: its end, also where a processor has passed the last of its records
    /// itself.
    pub(crate) last: Position,
    pub(crate) records: usize,
    pub(crate) bytes: u64,
    /// When the first of its records came into the stream.
    pub(crate) arrived_at: Option<Timestamp>,
    pub(crate) fetched: Moment,
    pub(crate) fetched_at: Timestamp,
    /// Its memory: given back when it is dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) memory: Box<dyn Any + Send>,
}

/// Who works on the records of a shard: one at a time would not do, as who comes second would pass
/// what the first has not done. Two are the same that are clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkOwner(Arc<()>);

#[derive(Default)]
struct BackgroundState {
    /// Who has taken the batches over. Kept: no other can come to be the same.
    owner: Option<WorkOwner>,
    /// Two wanted to: nothing that one of them has done counts any more.
    is_refused: bool,
    failing: FailingRecords,
    /// What was accepted by the present call, once a processor has taken its batch over.
    taken_over: Option<TakenOver>,
    /// The last record that was accepted.
    accepted: Option<Position>,
    /// Everything up to here is done.
    finished: Option<Position>,
    /// Each with the last record that was accepted before it was kept: it is done when that one is.
    batches: VecDeque<(Position, AcceptedBatch)>,
    /// Why the work cannot go on.
    stopped: Option<WorkStopped>,
}

/// What a processor has accepted of the batch of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct TakenOver {
    /// The last record that was accepted. Nothing where none was.
    pub(crate) up_to: Option<Position>,
    /// Nothing is left to accept.
    pub(crate) whole: bool,
}

/// Why the work cannot go on.
#[derive(Debug)]
pub(crate) enum WorkStopped {
    /// The worker is to stop, as its [`OnFailure`] says.
    Failed(Failure),
    /// The time of the lease is over.
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

    // The side of the processor.

    /// The present batch is taken over: `Ok` says no more than that it was accepted, up to where
    /// [`accept`](Self::accept) says. Not where somebody else has taken over one before.
    #[must_use]
    pub(crate) fn take_over(&self, by: &WorkOwner) -> bool {
        let mut state = self.state();
        let is_owner = Arc::ptr_eq(&state.owner.get_or_insert_with(|| by.clone()).0, &by.0);
        if is_owner {
            state.taken_over = Some(TakenOver::default());
        }
        is_owner
    }

    /// The processors are put together in a way that would lose records: the worker is to stop, and
    /// no more is stored than was so far.
    pub(crate) fn refuse(&self, misuse: &'static str) -> Failure {
        self.state().is_refused = true;
        self.fail(Failure::new(misuse));
        Failure::new(misuse)
    }

    /// Whether this is the same shard in the same tenancy.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The records of the present batch up to here are accepted.
    pub(crate) fn accept(&self, position: Position) {
        let mut state = self.state();
        state.accepted = Some(position.clone());
        state.taken_over.get_or_insert_default().up_to = Some(position);
    }

    /// All that there was of the present batch is accepted.
    pub(crate) fn accepted_whole(&self) {
        self.state().taken_over.get_or_insert_default().whole = true;
    }

    /// When a record may be handed out now: the moment. Ask it with no await before the hand-out.
    /// The consumer hears of a lease whose time is over.
    pub(crate) fn may_begin(&self) -> Option<Moment> {
        let now = self.0.clock.now();
        if self.0.held.is_valid(now) {
            return Some(now);
        }
        self.stop(WorkStopped::Expired);
        None
    }

    /// The oldest work began then. The lease is given up when it goes on for longer than the
    /// handler's budget.
    pub(crate) fn works_since(&self, since: Option<Moment>) {
        self.0.held.progress().works_since(since);
    }

    /// Everything up to here is done. Called with growing positions.
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
        // Not for each record: who waits, waits for batches.
        if state.batches.is_empty() || state.batches.len() < before {
            self.0.changed.notify_waiters();
        }
    }

    /// The record has failed, as often as it says.
    pub(crate) fn tell_failed(&self, at: &Position, attempt: u32, error: &Arc<str>) {
        let mut state = self.state();
        state.failing.failed(at, attempt);
        // Under the lock: what is told last is what holds.
        (self.0.listener)(WorkEvent::Failed {
            at,
            attempt,
            error,
            failures: state.failing.most(),
        });
    }

    /// The record is done, or passed.
    pub(crate) fn fails_no_more(&self, at: &Position) {
        let mut state = self.state();
        if state.failing.passed(at) {
            (self.0.listener)(WorkEvent::FailsNoMore {
                failures: state.failing.most(),
            });
        }
    }

    pub(crate) fn tell_skipped(&self, at: &Position) {
        (self.0.listener)(WorkEvent::Skipped { at });
    }

    pub(crate) fn tell_dead_lettered(&self, at: &Position, attempts: u32) {
        (self.0.listener)(WorkEvent::DeadLettered { at, attempts });
    }

    /// The worker is to stop. The first cause counts.
    pub(crate) fn fail(&self, failure: Failure) {
        self.stop(WorkStopped::Failed(failure));
    }

    /// Waits until the consumer wants to be returned to: the shard is lost, or to be given up, or
    /// the work cannot go on. Cancel safe.
    pub(crate) async fn leaves(&self) {
        tokio::select! {
            biased;
            _ = self.0.held.lost() => {}
            () = self.0.stop.asked() => {}
            () = self.0.held.hand_over_asked() => {}
            () = self.stopped() => {}
        }
    }

    /// Waits until what is at work has to be ended: the lease is lost, or the time is over that the
    /// work has when a shard is given up. At a stop of the worker that ends before its deadline,
    /// and otherwise with the worker's limit. Cancel safe.
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

    // The side of the consumer.

    /// Whether the processor has taken the batch of the call over that has just returned, and what
    /// of it was accepted.
    pub(crate) fn was_taken_over(&self) -> Option<TakenOver> {
        self.state().taken_over.take()
    }

    /// Whether a processor has ever taken a batch over. From then on nothing is done before all is
    /// that was accepted before it.
    pub(crate) fn has_begun(&self) -> bool {
        self.state().owner.is_some()
    }

    /// A batch, or the beginning of one, of which nothing is left to hand out: it is done when all
    /// is that was accepted so far.
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

    /// The shard is over for its consumer: the memory of what was not done is given back.
    pub(crate) fn let_go(&self) {
        let batches = std::mem::take(&mut self.state().batches);
        drop(batches);
    }

    /// Whether all that was accepted is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().batches.is_empty()
    }

    /// Waits until all that was accepted is done. Cancel safe.
    pub(crate) async fn idle(&self) {
        self.until(|state| state.batches.is_empty()).await;
    }

    /// Waits until everything up to here is done, which is the end of a batch that was accepted.
    /// Cancel safe.
    pub(crate) async fn finishes(&self, position: Option<&Position>) {
        self.until(|state| state.batches.is_empty() || state.finished.as_ref() >= position)
            .await;
    }

    /// How often a record has failed that fails. 0: none does.
    pub(crate) fn failures(&self) -> u32 {
        self.state().failing.most()
    }

    /// Waits until the work cannot go on. Cancel safe.
    pub(crate) async fn stopped(&self) {
        self.until(|state| state.stopped.is_some()).await;
    }

    /// Whether the work cannot go on.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped.is_some()
    }

    /// Why the work cannot go on, once.
    pub(crate) fn take_stopped(&self) -> Option<WorkStopped> {
        self.state().stopped.take()
    }

    /// Up to where all is done of what was ever taken over; `before` where nothing was.
    pub(crate) fn finished(&self, before: Option<&Position>) -> Option<Position> {
        let state = self.state();
        if state.owner.is_some() {
            state.finished.clone()
        } else {
            before.cloned()
        }
    }

    /// How many records of batches that were accepted whole are not known to be done.
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
            // Before the look, or a change between the two would wake nobody.
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
        // Every change is whole before anything can panic.
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
