use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::decide::consumer::ConsumerState;
use crate::model::{
    Checkpoint, LeaseKey, Moment, Position, ShardId, StreamName, Timestamp, WorkerId,
};

use super::event::HandlerCall;

/// What a worker is doing at one instant: everything that an operator wants to know first, in one
/// call.
///
/// With the feature `serde` it can be serialized, for a page that shows it.
///
/// ```
/// use kcl_core::worker::{Phase, Status};
///
/// /// A health check: the worker runs, and no shard is more than a minute behind.
/// fn is_well(status: &Status) -> bool {
///     let is_behind = |behind: Option<u64>| behind.is_some_and(|millis| millis > 60_000);
///     status.phase == Phase::Running
///         && status.lease_table.is_none()
///         && status.unreadable.is_empty()
///         && status.shards.values().all(|shard| shard.failing.is_none() && !is_behind(shard.millis_behind_latest))
/// }
/// # use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
/// # struct Printer;
/// # impl RecordProcessor for Printer {
/// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
/// #         Ok(())
/// #     }
/// # }
/// # fn main() -> Result<(), BoxError> {
/// # let stream = MemoryStream::new("orders", 1);
/// # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
/// # let worker = builder.processor(|_: &ShardRef| Printer).build()?;
///
/// assert!(!is_well(&worker.status()), "it does not run yet");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Status {
    /// The worker.
    pub worker: WorkerId,
    /// Its phase between start and end.
    pub phase: Phase,
    /// The streams that it reads.
    pub streams: BTreeMap<StreamName, StreamState>,
    /// Whether the lease table is unreachable or throttles: `None` if its last calls were answered.
    /// Until it answers again, no lease is acquired, and leases that cannot be renewed are lost.
    pub lease_table: Option<CallFailures>,
    /// The shards that it holds or has just completed, by lease key.
    pub shards: BTreeMap<LeaseKey, ShardStatus>,
    /// The shards that it could not read on its last attempt: it has released their leases and
    /// retries later. A shard leaves this list when this worker reads it again; one that another
    /// worker reads in the meantime stays. A shard whose row in the lease table is malformed is
    /// listed too, until a scan of the table finds the row repaired.
    pub unreadable: BTreeMap<LeaseKey, UnreadableShard>,
    /// The leases that have no owner and that this worker does not acquire, because it already
    /// holds [`Settings::max_leases`](super::Settings::max_leases).
    pub left_unread: BTreeSet<LeaseKey>,
    /// The bytes of the byte budget that are held.
    pub budget_used: usize,
    /// The whole byte budget.
    pub budget_total: usize,
}

/// The phase of a worker between start and end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Phase {
    /// [`Worker::run`](super::Worker::run) was not called.
    #[default]
    Idle,
    /// The lease table and the streams have not all answered yet.
    Starting,
    /// It acquires leases and reads shards.
    Running,
    /// It is draining its shards.
    Stopping,
    /// It has shut down gracefully.
    Stopped,
    /// It ended with this error.
    Failed(Arc<str>),
    /// The future of `run` was dropped: its leases expire.
    Dropped,
}

impl Phase {
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Starting => 1,
            Self::Running => 2,
            Self::Stopping => 3,
            Self::Stopped | Self::Failed(_) | Self::Dropped => 4,
        }
    }
}

/// Whether a stream is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum StreamState {
    /// The stream has not been described yet: the worker has just started, or the stream does not
    /// exist yet.
    NotDescribed {
        /// The last error, if any.
        error: Option<Arc<str>>,
    },
    /// It is read.
    Reading,
    /// The last listing of its shards failed; shards that are held are still read.
    Unreadable {
        /// Why.
        error: Arc<str>,
    },
}

/// The state of the work on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum ShardState {
    /// A parent shard is not finished yet. The lease is held in the meantime.
    WaitingForParents,
    /// `initialize` has not succeeded yet.
    Starting,
    /// Batches are fetched and processed.
    Processing,
    /// The worker is stopping, or is giving this shard up: the batch in flight is finished, the
    /// last checkpoint stored and the lease released.
    Draining,
    /// The same, for another worker that has requested the lease.
    HandingOver,
    /// Every record was delivered; `shard_ended` has not succeeded yet, or the shard's end is not
    /// stored yet.
    Ending,
    /// The lease was lost, and the processor is being told.
    Losing,
    /// The work on the shard has ended.
    Ended,
}

impl ShardState {
    pub(super) const fn new(state: &ConsumerState, is_handed_over: bool) -> Self {
        match state {
            ConsumerState::WaitingForParents => Self::WaitingForParents,
            ConsumerState::Starting => Self::Starting,
            ConsumerState::Processing => Self::Processing,
            ConsumerState::HandingOver | ConsumerState::Leaving if is_handed_over => {
                Self::HandingOver
            }
            ConsumerState::HandingOver | ConsumerState::Leaving => Self::Draining,
            ConsumerState::Ending | ConsumerState::Confirmed => Self::Ending,
            ConsumerState::Losing => Self::Losing,
            ConsumerState::Ended => Self::Ended,
        }
    }

    /// The call of the handler that is made in this state.
    pub(super) const fn call(self) -> HandlerCall {
        match self {
            Self::WaitingForParents | Self::Starting => HandlerCall::Initialize,
            Self::Processing => HandlerCall::ProcessRecords,
            Self::Draining | Self::HandingOver => HandlerCall::ShutdownRequested,
            Self::Ending => HandlerCall::ShardEnded,
            Self::Losing | Self::Ended => HandlerCall::LeaseLost,
        }
    }
}

/// What a worker is doing on one shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ShardStatus {
    /// The state of the work on it.
    pub state: ShardState,
    /// The parent that must be completed before this shard is read, while the shard
    /// [waits](ShardState::WaitingForParents) for it.
    pub waits_for: Option<ShardId>,
    /// The worker that holds the lease.
    pub owner: WorkerId,
    /// The stored checkpoint, as last seen by this worker.
    pub checkpoint: Checkpoint,
    /// The newest position that was processed.
    pub position: Option<Position>,
    /// How far processing is behind the tip of the shard, in milliseconds: the greatest of what the
    /// last response of the stream said, the [age](Self::oldest_undone_age) of the oldest record
    /// that is not processed yet, and the time without a response once that is longer than usual.
    /// It grows while the shard makes no progress, whatever the cause. 0: caught up. `None`: not
    /// known yet.
    pub millis_behind_latest: Option<u64>,
    /// The age of the oldest record that was fetched and is not processed yet. Serialized in
    /// seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "seconds"))]
    pub oldest_undone_age: Option<Duration>,
    /// How long the handler's current call has been running. Serialized in seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "seconds"))]
    pub in_call_for: Option<Duration>,
    /// How many records are in batches that were delivered but are not done.
    pub in_flight: usize,
    /// How many calls of a [handler](crate::handler) are at work beside the calls of the processor;
    /// the delivery of a dead letter counts as one.
    pub at_work: usize,
    /// In how many of its lanes there are records that are not done: partition keys with
    /// [`by_key`](crate::handler::by_key), records with [`unordered`](crate::handler::unordered).
    /// With a [`buffer`](crate::handler::buffer()), its partition keys.
    pub lanes: usize,
    /// Records that a [`buffer`](crate::handler::buffer()) has gathered and not begun to flush.
    pub gathered: usize,
    /// The bytes of data in them.
    pub gathered_bytes: u64,
    /// How long the oldest of them has been gathered. Serialized in seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "seconds"))]
    pub gathered_for: Option<Duration>,
    /// When the stream last returned a page or an event of the shard, with or without records, by
    /// the worker's clock; `None` before the first one since the lease was acquired.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub answered: Option<Moment>,
    /// Why the shard is currently not read; `None` if the last call to the stream succeeded. This
    /// is not about the handler: see [`failures`](Self::failures).
    pub failing: Option<CallFailures>,
    /// How many user records were processed since the lease was acquired.
    pub records: u64,
    /// How many times the current step (the batch in flight, or another call) has failed since it
    /// last succeeded. With a [handler](crate::handler) of single records, the highest number of
    /// failed attempts of a record that is not done. 0: all is well.
    pub failures: u32,
    /// How many calls of a [handler](crate::handler) have followed a failed one since the lease was
    /// acquired.
    pub retries: u64,
    /// How many records were accepted as [dead letters](crate::handler::DeadLetter) since then.
    pub dead_letters: u64,
    /// How many records that failed were skipped since then.
    pub skipped: u64,
    /// The last failure since the lease was acquired, even if the step has succeeded since.
    pub last_error: Option<ShardError>,
}

/// Calls that keep failing: all of them since the last one that was answered, of those that read a
/// shard, or of those that read, or write, the lease table.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CallFailures {
    /// When the first of them failed, by the worker's clock. Not serialized, because it has no
    /// meaning outside that clock.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub since: Moment,
    /// How long they have been failing. Serialized in seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "span_in_seconds"))]
    pub for_long: Duration,
    /// How many calls failed.
    pub attempts: u32,
    /// The error of the last one, with its causes.
    pub error: Arc<str>,
}

impl CallFailures {
    pub(super) fn new(since: Moment, attempts: u32, error: Arc<str>, now: Moment) -> Self {
        let for_long = now.since(since);
        Self {
            since,
            for_long,
            attempts,
            error,
        }
    }
}

/// A failure of the work on a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ShardError {
    /// What failed: a call of the handler (`process_records`), or another step.
    pub what: Arc<str>,
    /// The record at which the handler failed, if it said so.
    pub record: Option<Position>,
    /// Why.
    pub error: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// A shard that this worker cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct UnreadableShard {
    /// The last error.
    pub error: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// How many attempts have failed since then; 1 if its row is malformed.
    pub attempts: u32,
}

#[cfg(feature = "serde")]
fn span_in_seconds<S: serde::Serializer>(
    span: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

#[cfg(feature = "serde")]
#[expect(clippy::ref_option, reason = "as serde calls it")]
fn seconds<S: serde::Serializer>(
    span: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => serializer.serialize_some(&span.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}
