use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::decide::reading::{Failing, Reading, ReadingChange};
use crate::model::{
    Checkpoint, Facts, Lease, LeaseKey, Moment, Pending, Position, ShardId, WorkerId,
};
use crate::model::{Fence, LossReason};
use crate::runtime::{Clock, within};
use crate::stream;

use crate::BoxError;
use crate::lease::with_causes;

/// A lease that this worker holds: the side of the shard's consumer.
///
/// Every write goes through the lease's one [writer](super::writer), on the coordination runtime.
/// What the consumer needs at each hand-out ([`is_valid`](Self::is_valid)) is read here without
/// waiting.
#[derive(Debug)]
pub(crate) struct Held {
    shared: Arc<HeldState>,
    orders: mpsc::UnboundedSender<Order>,
    loss: watch::Receiver<Option<LossReason>>,
}

/// What both sides see.
#[derive(Debug)]
pub(crate) struct HeldState {
    pub(crate) key: LeaseKey,
    pub(crate) fence: Fence,
    /// Until when records may be handed out, in microseconds of the clock.
    valid_until: AtomicU64,
    /// The checkpoint that the table has acknowledged last.
    stored: Mutex<Checkpoint>,
    /// The newest position that is done, for automatic checkpoints.
    finished: Mutex<Option<Position>>,
    pub(crate) finished_changed: Notify,
    /// A timer for the next automatic checkpoint runs already: nobody has to be woken.
    pub(crate) timer_armed: AtomicBool,
    pub(crate) hand_over: HandOver,
    pub(crate) progress: Progress,
    /// How its shard is read, and what the last call that failed came to.
    reading: Mutex<(Reading, Option<Arc<str>>)>,
    /// When the stream last gave a page or an event, in microseconds of the clock; `IDLE` when it
    /// has given none.
    answered: AtomicU64,
    /// The lease is given up because its shard is out of this worker's reach.
    out_of_reach: AtomicBool,
    /// Why the last write did not go through; nothing when it did.
    unsettled: Mutex<Option<Arc<str>>>,
}

/// Something for the writer to do.
#[derive(Debug)]
pub(crate) enum Order {
    Checkpoint {
        to: Position,
        answer: Reply<()>,
    },
    Prepare {
        pending: Pending,
        answer: Reply<()>,
    },
    Facts {
        facts: Facts,
        answer: Reply<()>,
    },
    End {
        children: Vec<ShardId>,
        answer: Reply<()>,
    },
    Leave {
        how: Leave,
        answer: Reply<()>,
    },
    /// The row as somebody else of this worker has read it: another worker may have asked for the
    /// lease.
    Seen(Box<Lease>),
    /// The lease is to be handed over to this worker, which has asked for it.
    HandOver {
        to: WorkerId,
    },
    /// The shard is not to be read by this worker any more: its consumer drains it, and the lease
    /// is freed.
    GiveUp,
    /// The same, because this worker does not get through to the shard.
    OutOfReach,
    /// This worker asked for the lease and is not to have it.
    Refuse {
        asked: WorkerId,
    },
    /// Nobody works on the shard any more.
    Abandon,
}

/// How an owner leaves its lease, with what is done and not stored yet in the same write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It is handed over to who asked for it and is to have it, or freed when nobody asks any more.
    PassOn,
    /// It is free.
    Free,
    /// It stays this worker's, for the process that will be started under its name.
    Keep,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, OrderError>>;

/// Why an order was not carried out.
#[derive(Debug)]
pub(crate) enum OrderError {
    /// The lease is not ours any more; why, if the writer has said it.
    Lost(Option<LossReason>),
    /// The stored checkpoint has passed it: a later one was stored meanwhile, or somebody edited
    /// the row.
    Behind { stored: Checkpoint },
    /// The table is busy; the order may or may not have been carried out.
    Throttled(BoxError),
    /// The table cannot be used.
    Broken(BoxError),
}

impl HeldState {
    pub(crate) fn new(key: LeaseKey, fence: Fence, stored: Checkpoint, now: Moment) -> Self {
        Self {
            key,
            fence,
            valid_until: AtomicU64::new(0),
            stored: Mutex::new(stored),
            finished: Mutex::new(None),
            finished_changed: Notify::new(),
            timer_armed: AtomicBool::new(false),
            hand_over: HandOver::default(),
            progress: Progress::new(now),
            reading: Mutex::default(),
            answered: AtomicU64::new(IDLE),
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
        LossReason::Lost(match &*lock(&self.unsettled) {
            Some(cause) => format!("it could not be renewed in time: {cause}").into(),
            None => "it was not renewed in time: this process was stopped or held up, or had no answer yet".into(),
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

    pub(crate) fn set_valid_until(&self, moment: Moment) {
        self.valid_until.store(micros(moment), Ordering::Release);
    }

    pub(crate) fn set_stored(&self, checkpoint: Checkpoint) {
        *lock(&self.stored) = checkpoint;
    }

    pub(crate) fn stored(&self) -> Checkpoint {
        lock(&self.stored).clone()
    }

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

    pub(crate) fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Whether a record may be handed out now. Ask it with no await before the hand-out.
    pub(crate) fn is_valid(&self, now: Moment) -> bool {
        micros(now) < self.shared.valid_until.load(Ordering::Acquire)
            && self.loss.borrow().is_none()
    }

    /// The checkpoint that the table has acknowledged last.
    pub(crate) fn stored(&self) -> Checkpoint {
        self.shared.stored()
    }

    /// Everything up to here is done; to be stored soon, not now. Never waits.
    pub(crate) fn finish(&self, position: Position) {
        *lock(&self.shared.finished) = Some(position);
        if !self.shared.timer_armed.load(Ordering::Acquire) {
            self.shared.finished_changed.notify_one();
        }
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
        ProgressReporter {
            shared: Arc::clone(&self.shared),
            clock,
            teller: None,
        }
    }

    /// The same handle, which also tells whether the shard is read: by this failover time, to this
    /// listener.
    pub(crate) fn told_turns(
        &self,
        clock: Arc<dyn Clock>,
        failover: Duration,
        listener: Listener,
    ) -> ProgressReporter {
        ProgressReporter {
            shared: Arc::clone(&self.shared),
            clock,
            teller: Some(Teller { failover, listener }),
        }
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
        Orders(self.orders.clone())
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

/// Gives orders to the writer of a lease. Late orders are refused, never carried out for another
/// tenancy.
#[derive(Clone, Debug)]
pub(crate) struct Orders(mpsc::UnboundedSender<Order>);

impl Orders {
    pub(crate) async fn checkpoint(&self, to: Position) -> Result<(), OrderError> {
        self.give(|answer| Order::Checkpoint { to, answer }).await
    }

    pub(crate) async fn prepare(&self, pending: Pending) -> Result<(), OrderError> {
        self.give(|answer| Order::Prepare { pending, answer }).await
    }

    /// The row as it was read. A row of the present tenancy may tell of a request.
    pub(crate) fn seen(&self, row: Lease) {
        let _ = self.0.send(Order::Seen(Box::new(row)));
    }

    pub(crate) fn hand_over(&self, to: WorkerId) {
        let _ = self.0.send(Order::HandOver { to });
    }

    pub(crate) fn give_up(&self) {
        let _ = self.0.send(Order::GiveUp);
    }

    pub(crate) fn leave_to_others(&self) {
        let _ = self.0.send(Order::OutOfReach);
    }

    pub(crate) fn refuse(&self, asked: WorkerId) {
        let _ = self.0.send(Order::Refuse { asked });
    }

    async fn give(&self, order: impl FnOnce(Reply<()>) -> Order) -> Result<(), OrderError> {
        let (answer, result) = oneshot::channel();
        self.0
            .send(order(answer))
            .map_err(|_| OrderError::Lost(None))?;
        result.await.unwrap_or(Err(OrderError::Lost(None)))
    }
}

/// What the writer and the consumer of a lease have agreed on about its hand-over.
///
/// The consumer says yes between two calls of its handler; the writer says no when that takes too
/// long. Whoever is first decides.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    stage: AtomicU8,
    asked: Notify,
}

impl HandOver {
    const NO: u8 = 0;
    const ASKED: u8 = 1;
    const ACCEPTED: u8 = 2;

    /// The consumer is to hand over.
    pub(crate) fn ask(&self) {
        if self.turn(Self::NO, Self::ASKED) {
            self.asked.notify_waiters();
        }
    }

    /// The consumer need not any more. Whether it had not begun to.
    pub(crate) fn take_back(&self) -> bool {
        self.turn(Self::ASKED, Self::NO)
    }

    fn accept(&self) -> bool {
        self.turn(Self::ASKED, Self::ACCEPTED)
    }

    async fn asked(&self) {
        loop {
            let mut asked = pin!(self.asked.notified());
            // Before the check, or what is asked between the two would wake nobody.
            asked.as_mut().enable();
            if self.stage.load(Ordering::SeqCst) == Self::ASKED {
                return;
            }
            asked.await;
        }
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        self.stage
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

/// The proof that a shard's consumer is at work. A lease is renewed only on such a proof.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When the loop turned last, in microseconds of the clock.
    turned: AtomicU64,
    /// Since when the handler has been inside a call; `IDLE` when it is not.
    call_since: AtomicU64,
    /// Since when the oldest work on a record goes on that is not waited for by a call; `IDLE` when
    /// there is none.
    work_since: AtomicU64,
}

/// Says that a shard's loop turned, from wherever a part of it runs.
#[derive(Clone, Debug)]
pub(crate) struct ProgressReporter {
    shared: Arc<HeldState>,
    clock: Arc<dyn Clock>,
    teller: Option<Teller>,
}

/// Hears when a shard is not read any more, and when it is again; and what the last call that
/// failed came to.
pub(crate) type Listener = Arc<dyn Fn(ReadingChange, Arc<str>) + Send + Sync>;

/// Who is told of it, and after how long.
#[derive(Clone)]
struct Teller {
    failover: Duration,
    listener: Listener,
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller")
            .field("failover", &self.failover)
            .finish_non_exhaustive()
    }
}

/// How often a wait that is nobody's fault counts as a turn.
const WAIT_TURN: Duration = Duration::from_secs(1);

impl ProgressReporter {
    /// The loop turned.
    pub(crate) fn turned(&self) {
        self.shared.progress.turned(self.clock.now());
    }

    /// The stream gave a page or an event: the shard is read.
    pub(crate) fn read(&self) {
        self.shared
            .answered
            .store(micros(self.clock.now()), Ordering::Release);
        self.answered();
    }

    /// The stream answered a call that does not read: what failed before is over.
    pub(crate) fn answered(&self) {
        let (news, error) = {
            let mut reading = lock(&self.shared.reading);
            (reading.0.answered(), reading.1.take())
        };
        self.tell(news, error);
    }

    /// A call that the shard is read by has failed.
    pub(crate) fn failed(&self, error: &stream::Error) {
        self.failed_with(error.kind, with_causes(error).into());
    }

    /// The same, of a failure that is known by its kind and its text.
    pub(crate) fn failed_with(&self, kind: stream::ErrorKind, error: Arc<str>) {
        let failover = self
            .teller
            .as_ref()
            .map_or(Duration::MAX, |teller| teller.failover);
        let news = {
            let mut reading = lock(&self.shared.reading);
            reading.1 = Some(Arc::clone(&error));
            reading.0.failed(kind, self.clock.now(), failover)
        };
        self.tell(news, Some(error));
    }

    /// The same, of a failure that stands for many, from `since` on.
    pub(crate) fn failed_from(&self, since: Moment, kind: stream::ErrorKind, error: Arc<str>) {
        let failover = self
            .teller
            .as_ref()
            .map_or(Duration::MAX, |teller| teller.failover);
        let news = lock(&self.shared.reading).0.failed(kind, since, failover);
        self.tell(news, Some(Arc::clone(&error)));
        self.failed_with(kind, error);
    }

    fn tell(&self, news: Option<ReadingChange>, error: Option<Arc<str>>) {
        if let (Some(news), Some(teller)) = (news, &self.teller) {
            (teller.listener)(news, error.unwrap_or_default());
        }
    }

    /// Waits for something that is not this shard's own fault (memory, parents, a pause): that
    /// counts as progress.
    pub(crate) async fn while_waiting<F: Future>(&self, wait: F) -> F::Output {
        let mut wait = pin!(wait);
        loop {
            self.turned();
            if let Some(output) = within(&*self.clock, WAIT_TURN, wait.as_mut()).await {
                self.turned();
                return output;
            }
        }
    }
}

const IDLE: u64 = u64::MAX;

impl Progress {
    const fn new(now: Moment) -> Self {
        Self {
            turned: AtomicU64::new(micros(now)),
            call_since: AtomicU64::new(IDLE),
            work_since: AtomicU64::new(IDLE),
        }
    }

    /// The loop turned: a fetch was answered or refused, or it waits for something that is not its
    /// own fault.
    pub(crate) fn turned(&self, now: Moment) {
        self.turned.store(micros(now), Ordering::Release);
    }

    /// The handler is being called.
    pub(crate) fn enter_call(&self, now: Moment) {
        self.call_since.store(micros(now), Ordering::Release);
    }

    /// The handler returned.
    pub(crate) fn leave_call(&self, now: Moment) {
        self.call_since.store(IDLE, Ordering::Release);
        self.turned(now);
    }

    /// The oldest work that goes on in the background began then.
    pub(crate) fn works_since(&self, since: Option<Moment>) {
        self.work_since
            .store(since.map_or(IDLE, micros), Ordering::Release);
    }

    /// How long the oldest work in the background has gone on.
    pub(crate) fn working_for(&self, now: Moment) -> Option<Duration> {
        Some(self.work_since.load(Ordering::Acquire))
            .filter(|since| *since != IDLE)
            .map(|since| now.since(moment(since)))
    }

    /// How long the handler has been inside a call.
    pub(crate) fn in_call_for(&self, now: Moment) -> Option<Duration> {
        match self.call_since.load(Ordering::Acquire) {
            IDLE => None,
            since => Some(now.since(moment(since))),
        }
    }

    /// How long nothing has turned.
    pub(crate) fn still_for(&self, now: Moment) -> Duration {
        now.since(moment(self.turned.load(Ordering::Acquire)))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "microseconds of 500,000 years"
)]
const fn micros(moment: Moment) -> u64 {
    moment.since_origin().as_micros() as u64
}

const fn moment(micros: u64) -> Moment {
    Moment::from_origin(Duration::from_micros(micros))
}

/// The value, also when a thread panicked while it held the lock: every value here is replaced
/// whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
