use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::gap::DataGap;
use crate::lease::MalformedRow;
use crate::model::{Checkpoint, HashKeyRange, LeaseKey, Position, ShardId, StreamName, WorkerId};
use crate::processor::{LossReason, ShardRef};

mod sentence;

/// Something that an operator or a test may want to know.
///
/// ```
/// use kcl_core::worker::{Event, Events};
///
/// /// Reports what an operator has to look at, for as long as the worker exists.
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
    /// This worker has acquired the lease of a shard.
    LeaseAcquired {
        /// The lease.
        lease: LeaseKey,
        /// The checkpoint at which reading resumes.
        checkpoint: Checkpoint,
    },
    /// The processor of a shard is initialized; records follow.
    ShardStarted {
        /// The shard.
        shard: ShardRef,
    },
    /// Every record that the shard had has been processed; from now on, records are new. Reported
    /// once for each acquisition of the lease.
    CaughtUp {
        /// The shard.
        shard: ShardRef,
    },
    /// A shard is completely processed, and its end is stored.
    ShardEnded {
        /// The shard.
        shard: ShardRef,
        /// Its child shards.
        children: Vec<ShardId>,
    },
    /// A lease was released gracefully.
    LeaseReleased {
        /// The lease.
        lease: LeaseKey,
    },
    /// A lease was handed over to another worker, which had requested it.
    LeaseHandedOver {
        /// The lease.
        lease: LeaseKey,
        /// The new owner.
        to: WorkerId,
    },
    /// A lease was lost.
    LeaseLost {
        /// The lease.
        lease: LeaseKey,
        /// Why.
        reason: LossReason,
    },
    /// A call of a processor failed and will be retried, unless the policy says otherwise.
    HandlerFailed {
        /// The shard.
        shard: ShardRef,
        /// Which call.
        call: HandlerCall,
        /// The number of this attempt, from 1.
        attempt: u32,
        /// The record that failed, if the handler named one.
        at: Option<Position>,
        /// The error.
        error: Arc<str>,
    },
    /// A call of a processor succeeded after it had failed: what
    /// [`HandlerFailed`](Self::HandlerFailed) reported is over. Not reported for a record that was
    /// skipped or became a dead letter.
    HandlerRecovered {
        /// The shard.
        shard: ShardRef,
        /// Which call.
        call: HandlerCall,
        /// The record that had failed, if a [handler](crate::handler) of single records processed
        /// it.
        at: Option<Position>,
        /// How many attempts had failed.
        failures: u32,
    },
    /// A call of a processor takes longer than
    /// [`Settings::handler_warning`](super::Settings::handler_warning). Reported again each time
    /// that the duration has doubled.
    HandlerSlow {
        /// The shard.
        shard: ShardRef,
        /// Which call.
        call: HandlerCall,
        /// How long it has taken so far.
        span: Duration,
    },
    /// A shard has waited for its parent for
    /// [`Settings::handler_warning`](super::Settings::handler_warning): a child is read only when
    /// its parent is completed, and the parent is not, either because it still has many records to
    /// be read or because it makes no progress. Reported again each time that the wait has doubled.
    ChildWaits {
        /// The lease of the child, which this worker holds.
        child: LeaseKey,
        /// The parent. Any worker may hold its lease.
        parent: ShardId,
        /// How long it has waited so far.
        span: Duration,
    },
    /// A record that failed was skipped, because of [`OnFailure::Skip`](crate::OnFailure::Skip).
    RecordSkipped {
        /// The shard.
        shard: ShardRef,
        /// The record.
        at: Position,
    },
    /// A record that is no longer retried was accepted by the
    /// [`DeadLetter`](crate::handler::DeadLetter) target, and is skipped.
    DeadLettered {
        /// The shard.
        shard: ShardRef,
        /// The record.
        at: Position,
        /// How many attempts it had.
        attempts: u32,
    },
    /// The [`DeadLetter`](crate::handler::DeadLetter) target did not accept a record that is no longer
    /// retried: the record is tried again, and then its letter. Its shard stands still meanwhile, or
    /// its lane.
    DeadLetterRefused {
        /// The shard.
        shard: ShardRef,
        /// The record.
        at: Position,
        /// What the target said.
        error: Arc<str>,
    },
    /// Records expired before they were read, or may have.
    DataGap {
        /// The shard.
        shard: ShardRef,
        /// The gap.
        gap: DataGap,
    },
    /// A response said that a shard has ended, but the listing shows it open: it is reopened where
    /// reading was, and nothing is skipped. The listing may lag behind a shard that has just been
    /// closed; otherwise the server does not behave like Kinesis. Reported for the first such
    /// response, and in a series for the second, fourth, eighth and so on.
    EndRefused {
        /// The shard.
        shard: ShardRef,
        /// How many such responses there have been in a row.
        times: u32,
    },
    /// This worker cannot read the shard: access denied, KMS key unavailable, no fan-out consumer,
    /// or the stream is unreachable. The lease is released, and the shard is retried later.
    ShardUnreadable {
        /// The shard.
        shard: ShardRef,
        /// The error of the service.
        error: Arc<str>,
    },
    /// A stream or the lease table denies a call that it permitted before. The call is retried; if
    /// that does not help within the limit, the worker ends or, if it reads several streams, the
    /// stream counts as unreadable. Reported for the first denial, once until the call is permitted
    /// again.
    Refused {
        /// The stream, by its name, or "the lease table".
        of: Arc<str>,
        /// The call that is refused.
        call: &'static str,
        /// For how long it may be denied
        /// ([`Settings::refusal_limit`](super::Settings::refusal_limit)).
        limit: Duration,
        /// The error, with its causes.
        error: Arc<str>,
    },
    /// A shard has not been read for longer than the failover time, because every call failed.
    /// Calls are retried; if none reaches the service for three failover times while another worker
    /// is alive, the lease is left to that worker. Reported once, until the shard is read again.
    ReadingFails {
        /// The shard.
        shard: ShardRef,
        /// For how long every call has failed.
        for_long: Duration,
        /// How many calls have failed.
        attempts: u32,
        /// The error of the last one, with its causes.
        error: Arc<str>,
    },
    /// A shard is read again, after [`ReadingFails`](Self::ReadingFails).
    ReadingGoesOn {
        /// The shard.
        shard: ShardRef,
        /// How many calls had failed.
        attempts: u32,
    },
    /// A row of the lease table was edited so that it cannot be parsed. If it is a lease, no worker
    /// reads its shard until the row is repaired: no worker recreates, deletes or takes the lease,
    /// and child shards wait. Everything else continues. Reported once, and again when the row is
    /// malformed in a different way.
    RowMalformed {
        /// The row, the attribute, its value and what was expected.
        row: Arc<MalformedRow>,
    },
    /// A stream is polled in this run of the worker, because fan-out is not available
    /// ([`Mode::Auto`](super::Mode::Auto)). Reported once for each stream.
    PolledInstead {
        /// The stream.
        stream: StreamName,
        /// Why fan-out is not available.
        reason: Arc<str>,
    },
    /// This worker holds as many leases as it may, and some shards have no owner.
    LeasesLeftUnread {
        /// Their lease keys.
        leases: Arc<[LeaseKey]>,
    },
    /// A stream, one of several, was deleted and created again. The new one is read in its place,
    /// with its own leases; the leases of the old one stay in the table.
    StreamReplaced {
        /// The stream.
        stream: StreamName,
    },
    /// Two consecutive audits have found hash keys that are not read: open shards have them, but no
    /// unfinished lease covers them. Most likely a row was edited. This is not repaired
    /// automatically, since what was intended is unknown. Reported again when the keys change.
    HashKeysUnread {
        /// The stream.
        stream: StreamName,
        /// The keys.
        ranges: Vec<HashKeyRange>,
    },
    /// A step of the worker failed, because a call to the lease table or the stream did; the step
    /// is retried. If a lease cannot be renewed, this is reported before the lease is lost.
    StepFailed {
        /// The step that failed.
        what: &'static str,
        /// The stream whose call failed; `None` if it was a call to the lease table, or if it
        /// concerns all streams.
        stream: Option<StreamName>,
        /// The error, with its causes.
        error: Arc<str>,
    },
    /// A process outside this fleet (the leader of a KCL 3.x) is assigning the leases. From now on
    /// this worker acquires and requests none; it keeps the leases it has.
    LeasesLedByOthers {
        /// The evidence.
        what: Arc<str>,
    },
    /// An operator has paused a shard of this worker. The worker drains it and releases its lease,
    /// which nobody takes before the shard is resumed.
    ShardPaused {
        /// Its lease.
        lease: LeaseKey,
    },
    /// An operator drains this worker, and other workers take its leases: it gives all of them up, a
    /// batch at a time, takes none, and goes on living without any.
    DrainBegun {
        /// How many leases it holds.
        held: usize,
    },
    /// The drain has ended: the operator has taken it back, or there is no other worker any more. The
    /// worker takes leases again.
    DrainEnded,
    /// The worker is draining its shards.
    Stopping,
    /// This many events were dropped because they were not read in time.
    Missed(u64),
}

/// A call of a [`RecordProcessor`](crate::RecordProcessor), or of a [handler](crate::handler).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerCall {
    /// `initialize`
    Initialize,
    /// `process_records`
    ProcessRecords,
    /// `handle` or `flush` of a [handler](crate::handler), or the part of a batch that
    /// [`bisect`](crate::handler::bisect) tries
    Handler,
    /// `idle`
    Idle,
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
            Self::Handler => "the handler",
            Self::Idle => "idle",
            Self::LeaseLost => "lease_lost",
            Self::ShardEnded => "shard_ended",
            Self::ShutdownRequested => "shutdown_requested",
        })
    }
}
