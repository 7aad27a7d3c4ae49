use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::decide::load_meter::Intake;
use crate::decide::reading::{Failing, Reading};
use crate::model::{Checkpoint, Facts, Fence, LeaseKey, LossReason, Moment, Position, ShardId};
use crate::runtime::Clock;

use super::hand_over::HandOver;
use super::progress::{IDLE, Progress, micros, moment};
use super::progress_reporter::Teller;
use super::pulse::{Pulse, UNBOUND};

pub(crate) use super::orders::{Leave, Order, OrderError, Orders};
pub(crate) use super::progress_reporter::{Listener, ProgressReporter};

/// A lease that this worker holds: the side of the shard's consumer.
///
/// Every write goes through the lease's one [writer](super::writer), on the coordination runtime.
/// What the consumer needs at each hand-out ([`is_valid`](Self::is_valid)) is read here without
/// waiting.
#[derive(Debug)]
pub(crate) struct Held {
    /// What the writer has published.
    shared: Arc<HeldState>,
    /// To the writer. Unbounded, because giving an order must never wait; there are as many as
    /// checkpoints of one shard.
    orders: mpsc::UnboundedSender<Order>,
    /// Set once, when the tenancy is over.
    loss: watch::Receiver<Option<LossReason>>,
}

/// What both sides see.
#[derive(Debug)]
pub(crate) struct HeldState {
    /// Which lease.
    pub(crate) key: LeaseKey,
    /// The counter of the row at the acquisition: it grows from tenancy to tenancy, so a sink can
    /// refuse what an earlier owner writes late.
    pub(crate) fence: Fence,
    /// Until when records may be handed out, in microseconds of the clock. The heartbeats of the
    /// worker may end that sooner.
    valid_until: AtomicU64,
    pub(crate) pulse: Arc<Pulse>,
    /// The counter of the row as the writer knows it.
    pub(super) counter: AtomicU64,
    /// The checkpoint that the table has acknowledged last.
    stored: Mutex<Checkpoint>,
    /// The newest position that is done, for automatic checkpoints.
    finished: Mutex<Option<Position>>,
    /// Wakes the writer when something is finished and no timer runs.
    pub(crate) finished_changed: Notify,
    /// A timer for the next automatic checkpoint runs already: nobody has to be woken.
    pub(crate) timer_armed: AtomicBool,
    /// The agreement about a hand-over.
    pub(crate) hand_over: HandOver,
    /// The proof that the consumer is at work.
    pub(crate) progress: Progress,
    /// How its shard is read, and what the last call that failed came to.
    pub(super) reading: Mutex<(Reading, Option<Arc<str>>)>,
    /// When the stream last gave a page or an event, in microseconds of the clock; `IDLE` when it
    /// has given none.
    pub(super) answered: AtomicU64,
    /// What the consumer has taken in.
    pub(super) intake: Mutex<Intake>,
    /// The lease is given up because its shard is out of this worker's reach.
    out_of_reach: AtomicBool,
    /// Why the last write did not go through; nothing when it did.
    unsettled: Mutex<Option<Arc<str>>>,
}

impl HeldState {
    /// Not valid yet: the writer says until when, by the moment when the acquisition was sent.
    pub(crate) fn new(
        key: LeaseKey,
        fence: Fence,
        stored: Checkpoint,
        now: Moment,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            key,
            fence,
            valid_until: AtomicU64::new(0),
            pulse,
            counter: AtomicU64::new(fence.0),
            stored: Mutex::new(stored),
            finished: Mutex::new(None),
            finished_changed: Notify::new(),
            timer_armed: AtomicBool::new(false),
            hand_over: HandOver::default(),
            progress: Progress::new(now),
            reading: Mutex::default(),
            answered: AtomicU64::new(IDLE),
            intake: Mutex::default(),
            out_of_reach: AtomicBool::new(false),
            unsettled: Mutex::default(),
        }
    }

    /// Takes in why the last write did not go through, or that it did.
    pub(crate) fn set_unsettled(&self, cause: Option<Arc<str>>) {
        *lock(&self.unsettled) = cause;
    }

    /// Why the lease is lost when its time is over.
    pub(crate) fn out_of_time(&self) -> LossReason {
        if self.pulse.bound() == 0 {
            return LossReason::Lost(
                "another worker declared this one dead, as its heartbeat had stood still for the \
                    failover time"
                    .into(),
            );
        }
        LossReason::Lost(match &*lock(&self.unsettled) {
            Some(cause) => format!("it could not be renewed in time: {cause}").into(),
            None => "it was not renewed in time: this process was stopped or held up, or had no \
                answer yet"
                .into(),
        })
    }

    /// Whether another worker, if there is one, should have the lease.
    pub(crate) fn is_out_of_reach(&self, failover: Duration) -> bool {
        lock(&self.reading).0.gives_up(failover, true)
    }

    /// The consumer is to leave the lease for that reason.
    pub(crate) fn leave_to_others(&self) {
        self.out_of_reach.store(true, Ordering::Release);
        self.hand_over.ask();
    }

    /// From now on records may be handed out until this moment. Release, so that who sees it also
    /// sees what was stored before.
    pub(crate) fn set_valid_until(&self, moment: Moment) {
        self.valid_until.store(micros(moment), Ordering::Release);
    }

    /// The heartbeats of the worker alone say until when records may be handed out.
    pub(crate) fn leans_on_heartbeats(&self) {
        self.valid_until.store(UNBOUND, Ordering::Release);
    }

    /// The table has acknowledged this checkpoint.
    pub(crate) fn set_stored(&self, checkpoint: Checkpoint) {
        *lock(&self.stored) = checkpoint;
    }

    /// The checkpoint that the table has acknowledged last. It may lag behind the row while a write
    /// is unanswered, and is never ahead of it.
    pub(crate) fn stored(&self) -> Checkpoint {
        lock(&self.stored).clone()
    }

    /// Whether this is the checkpoint that the table has acknowledged last.
    pub(super) fn is_stored(&self, checkpoint: &Checkpoint) -> bool {
        *lock(&self.stored) == *checkpoint
    }

    /// The newest position that is done. The consumer only moves it forwards.
    pub(crate) fn finished(&self) -> Option<Position> {
        lock(&self.finished).clone()
    }
}

impl Held {
    pub(crate) const fn new(
        shared: Arc<HeldState>,
        orders: mpsc::UnboundedSender<Order>,
        loss: watch::Receiver<Option<LossReason>>,
    ) -> Self {
        Self {
            shared,
            orders,
            loss,
        }
    }

    pub(crate) fn key(&self) -> &LeaseKey {
        &self.shared.key
    }

    pub(crate) fn fence(&self) -> Fence {
        self.shared.fence
    }

    /// Where the consumer reports that it is inside a call, or at work in the background.
    pub(crate) fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Whether a record may be handed out now. Ask it with no await before the hand-out.
    pub(crate) fn is_valid(&self, now: Moment) -> bool {
        // Both: the writer may have learned of a loss long before the time is over, and the time
        // may be over while the writer waits for an answer.
        micros(now) < self.shared.valid_until.load(Ordering::Acquire)
            && micros(now) < self.shared.pulse.bound()
            && self.loss.borrow().is_none()
    }

    /// The checkpoint that the table has acknowledged last.
    pub(crate) fn stored(&self) -> Checkpoint {
        self.shared.stored()
    }

    /// Everything up to here is done; to be stored soon, not now. Never waits.
    pub(crate) fn finish(&self, position: Position) {
        *lock(&self.shared.finished) = Some(position);
        // One wake-up for each automatic checkpoint, and not one for each batch.
        if !self.shared.timer_armed.load(Ordering::Acquire) {
            self.shared.finished_changed.notify_one();
        }
    }

    /// A batch was taken in, so far behind the tip: it is part of what the shard carries.
    pub(crate) fn took_in(&self, bytes: u64, records: usize, behind: Option<Duration>) {
        let mut intake = lock(&self.shared.intake);
        intake.bytes += bytes;
        intake.records += records as u64;
        intake.behind = behind.or(intake.behind);
    }

    /// The newest position that is done.
    pub(crate) fn finished(&self) -> Option<Position> {
        self.shared.finished()
    }

    /// Waits until the lease is lost; says why. Cancel safe.
    pub(crate) async fn lost(&self) -> LossReason {
        let mut loss = self.loss.clone();
        // The writer going away without a word is a loss too.
        let reason = loss
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason
            .unwrap_or_else(|| LossReason::Lost("the coordination of this worker has ended".into()))
    }

    /// The loss of a lease whose time is over.
    pub(crate) fn out_of_time(&self) -> LossReason {
        self.shared.out_of_time()
    }

    /// Why the lease was lost, if it was.
    pub(crate) fn loss(&self) -> Option<LossReason> {
        self.loss.borrow().clone()
    }

    /// How long the handler has been inside its present call, or inside the longest of those that
    /// go on beside it.
    pub(crate) fn in_call_for(&self, now: Moment) -> Option<Duration> {
        let progress = &self.shared.progress;
        progress.in_call_for(now).max(progress.working_for(now))
    }

    /// A handle for saying that the shard's loop turned.
    pub(crate) fn turns(&self, clock: Arc<dyn Clock>) -> ProgressReporter {
        ProgressReporter::new(Arc::clone(&self.shared), clock, None)
    }

    /// The same handle, which also tells whether the shard is read: by this failover time, to this
    /// listener.
    pub(crate) fn told_turns(
        &self,
        clock: Arc<dyn Clock>,
        failover: Duration,
        listener: Listener,
    ) -> ProgressReporter {
        let teller = Teller { failover, listener };
        ProgressReporter::new(Arc::clone(&self.shared), clock, Some(teller))
    }

    /// Why the lease is to be left to other workers: what the last call of the stream that failed
    /// came to.
    pub(crate) fn out_of_reach(&self) -> Option<Arc<str>> {
        self.shared
            .out_of_reach
            .load(Ordering::Acquire)
            .then(|| lock(&self.shared.reading).1.clone().unwrap_or_default())
    }

    /// When the stream last gave a page or an event of the shard.
    pub(crate) fn answered(&self) -> Option<Moment> {
        Some(self.shared.answered.load(Ordering::Acquire))
            .filter(|at| *at != IDLE)
            .map(moment)
    }

    /// Since when the shard is not read, and what the last call that failed came to.
    pub(crate) fn failing(&self) -> Option<(Failing, Arc<str>)> {
        let reading = lock(&self.shared.reading);
        reading
            .0
            .failing()
            .map(|failing| (*failing, reading.1.clone().unwrap_or_default()))
    }

    /// A handle for orders that may outlive the consumer.
    pub(crate) fn orders(&self) -> Orders {
        Orders::new(self.orders.clone(), Arc::clone(&self.shared))
    }

    /// Keeps what is known of the lease in its row.
    pub(crate) async fn store_facts(&self, facts: Facts) -> Result<(), OrderError> {
        self.orders()
            .give(|answer| Order::Facts { facts, answer })
            .await
    }

    /// Stores the shard's end with its children. On success the lease is nobody's.
    pub(crate) async fn end(&self, children: Vec<ShardId>) -> Result<(), OrderError> {
        self.orders()
            .give(|answer| Order::End { children, answer })
            .await
    }

    /// Nobody works on the shard any more: if the lease is still held, it is freed with nothing but
    /// what is stored.
    pub(crate) fn abandon(&self) {
        let _ = self.orders.send(Order::Abandon);
    }

    /// Gives the lease up, with what is done and not stored yet in the same write.
    pub(crate) async fn leave(&self, how: Leave) -> Result<(), OrderError> {
        self.orders()
            .give(|answer| Order::Leave { how, answer })
            .await
    }

    /// Waits until the shard is to be handed over to another worker. Cancel safe.
    pub(crate) async fn hand_over_asked(&self) {
        self.shared.hand_over.asked().await;
    }

    /// Whether the shard is to be handed over. A yes is a promise: from then on the request is not
    /// refused any more, and the consumer hands nothing out again.
    pub(crate) fn accept_hand_over(&self) -> bool {
        self.shared.hand_over.accept()
    }
}

/// The value, also when a thread panicked while it held the lock: every value here is replaced
/// whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
