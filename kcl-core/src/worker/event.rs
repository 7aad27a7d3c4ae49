use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::decide::gap::DataGap;
use crate::lease::MalformedRow;
use crate::meters::EventMeters;
use crate::model::{Checkpoint, HashKeyRange, LeaseKey, Position, ShardId, StreamName, WorkerId};
use crate::processor::{LossReason, ShardRef};

use super::log::WorkerLog;

/// Something that an operator or a test may want to know.
///
/// ```
/// use kcl_core::worker::{Event, Events};
///
/// /// Tells somebody of what needs a hand, for as long as the worker lives.
/// async fn watch(mut events: Events) {
///     while let Some(event) = events.next().await {
///         match event {
///             Event::RecordSkipped { .. } | Event::DataGap { .. } | Event::RowMalformed { .. } => eprintln!("{event}"),
///             _ => {}
///         }
///     }
/// }
/// # use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
/// # struct Printer;
/// # impl RecordProcessor for Printer {
/// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
/// #         Ok(())
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let stream = MemoryStream::new("orders", 1);
/// # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
/// # let worker = builder.processor(|_: &ShardRef| Printer).build()?;
/// # let events = worker.events();
/// # drop(worker);
/// # watch(events).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The lease table is ready and the shards are known.
    Started,
    /// This worker holds the lease of a shard.
    LeaseAcquired {
        /// The lease.
        lease: LeaseKey,
        /// Where it goes on.
        checkpoint: Checkpoint,
    },
    /// The processor of a shard is initialized: records follow.
    ShardStarted {
        /// The shard.
        shard: ShardRef,
    },
    /// Everything that the shard had is done: what comes from now on is new. Told once for each time that the lease is held.
    CaughtUp {
        /// The shard.
        shard: ShardRef,
    },
    /// A shard is done and its end stored.
    ShardEnded {
        /// The shard.
        shard: ShardRef,
        /// The shards that follow.
        children: Vec<ShardId>,
    },
    /// A lease was given up in good order.
    LeaseReleased {
        /// The lease.
        lease: LeaseKey,
    },
    /// A lease was passed on to another worker, which had asked for it.
    LeasePassedOn {
        /// The lease.
        lease: LeaseKey,
        /// To whom.
        to: WorkerId,
    },
    /// A lease was lost.
    LeaseLost {
        /// The lease.
        lease: LeaseKey,
        /// Why.
        reason: LossReason,
    },
    /// A call of a processor failed and will be made again, unless the policy says otherwise.
    HandlerFailed {
        /// The shard.
        shard: ShardRef,
        /// Which call.
        call: HandlerCall,
        /// How often it was made.
        attempt: u32,
        /// Where in the batch, if the handler said so.
        at: Option<Position>,
        /// What it said.
        error: Arc<str>,
    },
    /// A call of a processor has not returned for long ([`Settings::handler_warning`](super::Settings::handler_warning)). Told again
    /// each time that the call has taken twice as long.
    HandlerSlow {
        /// The shard.
        shard: ShardRef,
        /// Which call.
        call: HandlerCall,
        /// How long it has taken so far.
        span: Duration,
    },
    /// A record that failed was passed, because [`OnFailure::Skip`](crate::OnFailure::Skip) says so.
    RecordSkipped {
        /// The shard.
        shard: ShardRef,
        /// The record.
        at: Position,
    },
    /// Records were, or may have been, lost to retention before they were read.
    DataGap {
        /// The shard.
        shard: ShardRef,
        /// Which.
        gap: DataGap,
    },
    /// An answer said that a shard has ended, and the listing shows it open: it is opened again where it was, and nothing is skipped. The
    /// listing may lag behind a shard that has just been closed; otherwise whoever answered is no true Kinesis. Told at the first such
    /// answer, and of many in a row at the second, the fourth, the eighth and so on.
    EndRefused {
        /// The shard.
        shard: ShardRef,
        /// How many such answers there have been, one soon after the other.
        times: u32,
    },
    /// This worker cannot read the shard: access denied, KMS key unavailable, no fan-out consumer, or the stream is out of reach. The lease
    /// is released, and tried again later.
    ShardUnreadable {
        /// The shard.
        shard: ShardRef,
        /// What the service said.
        error: Arc<str>,
    },
    /// A stream or the lease table refuses a call that it has granted before. It is tried again; the worker ends if that lasts, or the
    /// stream counts as unreadable where several are read. Told from the first refusal, once until the call is granted again.
    Refused {
        /// The stream, by its name, or "the lease table".
        of: Arc<str>,
        /// The call that is refused.
        call: &'static str,
        /// For how long it may be refused ([`Settings::refusal_limit`](super::Settings::refusal_limit)).
        limit: Duration,
        /// What was said, with its causes.
        error: Arc<str>,
    },
    /// A shard has not been read for longer than the failover time: every call that was to read it has failed. It is tried again; when the
    /// calls did not get through to the service at all for three failover times and another worker lives, the lease is left to that one.
    /// Told once, until it is read again.
    ReadingFails {
        /// The shard.
        shard: ShardRef,
        /// For how long every call has failed.
        for_long: Duration,
        /// How many have.
        attempts: u32,
        /// What the last one came to, with its causes.
        error: Arc<str>,
    },
    /// A shard is read again, after [`ReadingFails`](Self::ReadingFails).
    ReadingGoesOn {
        /// The shard.
        shard: ShardRef,
        /// How many calls had failed.
        attempts: u32,
    },
    /// Somebody has edited a row of the lease table so that it cannot be read. When it is a lease, its shard is read by nobody until
    /// the row is repaired: nobody makes it anew, deletes it or takes it, and its children wait. Everything else goes on. Told once,
    /// and again when the row is malformed in another way.
    RowMalformed {
        /// The row, the attribute, what it holds and what it may hold.
        row: Arc<MalformedRow>,
    },
    /// A stream is polled in this run of the worker, though it was to be read by fan-out if it can be ([`Mode::Auto`](super::Mode::Auto)).
    /// Told once for a stream.
    PolledInstead {
        /// The stream.
        stream: StreamName,
        /// Why it cannot be read by fan-out.
        reason: Arc<str>,
    },
    /// This worker holds as many leases as it may, and some shards have no owner.
    LeasesLeftUnread {
        /// How many.
        leases: usize,
    },
    /// A stream, one of several, was deleted and made again. The new one is read in its place, under leases of its own; those of the old
    /// one stay in the table.
    StreamReplaced {
        /// The stream.
        stream: StreamName,
    },
    /// Two comparisons of the shards with the leases, one after the other, have shown hash keys that nobody reads: open shards have
    /// them, and no unfinished lease leads there. Most likely somebody has edited a row. It is not repaired: what was meant is not
    /// known. Told again when the keys are others.
    HashKeysUnread {
        /// The stream.
        stream: StreamName,
        /// The keys.
        ranges: Vec<HashKeyRange>,
    },
    /// The lease table or the stream is busy or out of reach; what had to be done is tried again. A lease that cannot be renewed is told
    /// of before it is lost for that.
    Busy {
        /// What was to be done.
        what: &'static str,
        /// What was said, with its causes.
        error: Arc<str>,
    },
    /// A process outside this fleet (the leader of a KCL 3.x) is assigning the leases. From now on this worker
    /// takes, claims and asks for none; it keeps what it has.
    LeasesLedByOthers {
        /// What showed it.
        what: Arc<str>,
    },
    /// The worker gives up its shards.
    Stopping,
    /// So many events were not read in time and are gone.
    Missed(u64),
}

/// A call of a [`RecordProcessor`](crate::RecordProcessor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerCall {
    /// `initialize`
    Initialize,
    /// `process_records`
    ProcessRecords,
    /// `lease_lost`
    LeaseLost,
    /// `shard_ended`
    ShardEnded,
    /// `shutdown_requested`
    ShutdownRequested,
}

impl fmt::Display for HandlerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "initialize",
            Self::ProcessRecords => "process_records",
            Self::LeaseLost => "lease_lost",
            Self::ShardEnded => "shard_ended",
            Self::ShutdownRequested => "shutdown_requested",
        })
    }
}

impl fmt::Display for Event {
    /// The event as a sentence, with its cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started: the lease table is ready and the shards are known"),
            Self::LeaseAcquired { lease, checkpoint } => write!(f, "acquired the lease {lease} at the checkpoint {checkpoint}"),
            Self::ShardStarted { shard } => write!(f, "the processor of {shard} is initialized"),
            Self::CaughtUp { shard } => write!(f, "{shard} is caught up: everything that it had is done"),
            Self::ShardEnded { shard, children } => {
                write!(f, "{shard} has ended")?;
                for (n, child) in children.iter().enumerate() {
                    write!(f, "{}{child}", if n == 0 { "; it is followed by " } else { " and " })?;
                }
                Ok(())
            }
            Self::LeaseReleased { lease } => write!(f, "released the lease {lease}"),
            Self::LeasePassedOn { lease, to } => write!(f, "passed the lease {lease} on to {to}"),
            Self::LeaseLost { lease, reason } => write!(f, "lost the lease {lease}: {reason}"),
            Self::HandlerFailed { shard, call, attempt, at, error } => {
                write!(f, "{call} of {shard} failed")?;
                if let Some(at) = at {
                    write!(f, " at the record {at}")?;
                }
                write!(f, " (attempt {attempt}): {error}")
            }
            Self::HandlerSlow { shard, call, span } => {
                write!(f, "{call} of {shard} has not returned for {:.1} s", span.as_secs_f64())
            }
            Self::RecordSkipped { shard, at } => write!(f, "skipped the record {at} of {shard}, which had failed"),
            Self::DataGap { shard, gap } => write!(f, "{shard}: {gap}"),
            Self::EndRefused { shard, times } => {
                write!(f, "an answer said that {shard} has ended, but it is listed open ({times} such answers in a row)")
            }
            Self::ShardUnreadable { shard, error } => write!(f, "{shard} cannot be read by this worker: {error}"),
            Self::RowMalformed { row } => write!(f, "a row of the lease table is malformed: {row}"),
            Self::Refused { of, call, error, .. } => write!(f, "{call} of {of} is refused, which was granted before: {error}"),
            Self::ReadingFails { shard, for_long, attempts, error } => {
                let seconds = for_long.as_secs_f64();
                write!(f, "{shard} cannot be read: each of {attempts} calls in {seconds:.1} s has failed: {error}")
            }
            Self::ReadingGoesOn { shard, attempts } => write!(f, "{shard} is read again, after {attempts} calls that failed"),
            Self::PolledInstead { stream, reason } => write!(f, "the stream {stream} cannot be read by fan-out: {reason}"),
            Self::LeasesLeftUnread { leases } => {
                write!(f, "nobody reads {leases} shards, and this worker holds as many leases as it may")
            }
            Self::StreamReplaced { stream } => write!(
                f,
                "the stream {stream} was deleted and made again: the new one is read, and the leases of the old one are left"
            ),
            Self::HashKeysUnread { stream, ranges } => {
                write!(f, "nobody reads these hash keys of the stream {stream}, as no unfinished lease has them:")?;
                for (n, range) in ranges.iter().enumerate() {
                    write!(f, "{} {}-{}", if n == 0 { "" } else { "," }, range.start(), range.end())?;
                }
                Ok(())
            }
            Self::Busy { what, error } => write!(f, "failed {what}: {error}"),
            Self::LeasesLedByOthers { what } => write!(f, "somebody else gives the leases of the table away: {what}"),
            Self::Stopping => f.write_str("stopping: the shards are given up"),
            Self::Missed(events) => write!(f, "{events} events were not read in time and are gone"),
        }
    }
}

/// How many events wait for a slow reader before the oldest are dropped.
const KEPT: usize = 1024;

/// Where events are put; never blocks.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    listeners: broadcast::Sender<Event>,
    log: Arc<WorkerLog>,
    count: EventMeters,
}

impl EventSender {
    pub(super) fn new(log: WorkerLog, count: EventMeters) -> Self {
        Self { listeners: broadcast::Sender::new(KEPT), log: Arc::new(log), count }
    }

    pub(crate) fn say(&self, event: Event) {
        self.count.happened(event.kind());
        self.log.hear(&event);
        // Nobody listening is no error.
        let _ = self.listeners.send(event);
    }

    /// Logs how many lines were too many of late; all of them if nothing comes any more.
    pub(super) fn sum_up(&self, is_last: bool) {
        self.log.sum_up(is_last);
    }

    pub(crate) fn listen(&self) -> Events {
        let events = unfold(self.listeners.subscribe(), |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(missed)) => Some((Event::Missed(missed), receiver)),
                Err(RecvError::Closed) => None,
            }
        });
        Events(Box::pin(events))
    }
}

/// The events of a worker from the moment of the call of [`Worker::events`](super::Worker::events) on.
///
/// A reader that is slow loses the oldest events ([`Event::Missed`] says how many); it never slows the worker down.
pub struct Events(Pin<Box<dyn Stream<Item = Event> + Send>>);

impl Events {
    /// The next event; nothing when the worker is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
