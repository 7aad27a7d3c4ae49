use std::time::Duration;

use crate::deaggregate::OutOfRange;
use crate::decide::expiry::Timing;
use crate::decide::pace::PaceSettings;
use crate::model::{InitialPosition, Timestamp};
use crate::processor::OnFailure;

use super::mode::Mode;

/// When checkpoints are stored without being asked for.
///
/// ```
/// use kcl_core::model::{Checkpoint, LeaseKey};
/// use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// use kcl_core::worker::Checkpoints;
/// # use std::time::Duration;
/// # use kcl_core::lease::LeaseTable;
/// # use kcl_core::worker::Event;
/// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
///
/// struct Orders;
///
/// impl RecordProcessor for Orders {
///     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
///         // ... everything is written, and seen to be; only now:
///         input.checkpointer.checkpoint().await?;
///         Ok(())
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let stream = MemoryStream::new("orders", 1);
/// # let (shard, sequence) = stream.put("customer-7", "an order")?;
/// # let table = MemoryLeaseTable::new();
/// # let builder = Worker::builder().stream("orders").source(stream).application("orders").lease_table(table.clone());
/// let worker = builder.checkpoints(Checkpoints::Manual).processor(|_: &ShardRef| Orders).build()?;
/// # let mut events = worker.events();
/// # let caught_up = async { while !matches!(events.next().await, Some(Event::CaughtUp { .. }) | None) {} };
/// # worker.run_until(caught_up, Duration::from_secs(10)).await?;
/// # let row = table.get(&LeaseKey::single(shard)).await?.ok_or("no lease")?;
/// # assert_eq!(row.checkpoint, Checkpoint::At(sequence.into()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checkpoints {
    /// The newest position that is done (`process_records` returned `Ok` for it) is stored each [`Settings::checkpoint_every`], with each
    /// renewal of the lease (each third of the failover time: it costs that write anyway), and when the shard is given up. A slow table
    /// delays no batch.
    #[default]
    Automatic,
    /// Only a [`Checkpointer`](crate::checkpoint::Checkpointer) moves the checkpoint. The shard's end is still written by the
    /// worker, when `shard_ended` has returned `Ok`.
    Manual,
}

/// What happens when records were, or may have been, lost to the stream's retention before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDataGap {
    /// It is reported as an event and counted, and reading goes on with the first record that there is.
    #[default]
    Continue,
    /// The worker stops; the gap is what `run` returns. Nothing behind the gap is handed out.
    Fail,
}

/// Up to where a worker reads, when it is not to read for ever.
///
/// Each shard is read up to the first record that arrived later, or to its tip when that is asked for a second or more after the bound;
/// then it is given up with its checkpoint, and is not taken again in this run. A shard that has ended by then is done as always, and its
/// children are read in the same way; those of a shard that has not ended are not. When this worker has nothing left to read,
/// [`run`](super::Worker::run) returns with a report of the shards that it has read so.
///
/// In a fleet each worker has the setting. One ends when what is left is held by others that live; a shard that one has read another one may look
/// at once more, without being given a record.
///
/// Times of arrival are the stream's, the time of a tip is this machine's. Records of one shard that were put in an order other than that of
/// their arrival are read up to the first that arrived later.
///
/// ```
/// use kcl_core::InitialPosition;
/// use kcl_core::model::Timestamp;
///
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
/// # stream.put("customer-7", "an order of today")?;
/// // January once more, under a name of its own: the live application notices nothing.
/// let from: Timestamp = "2025-01-01T00:00:00Z".parse()?;
/// let to: Timestamp = "2025-01-31T23:59:59.999Z".parse()?;
/// let replay = Worker::builder()
///     .stream("orders")
/// #   .source(stream)
///     .application("orders-replay")
///     .lease_table(MemoryLeaseTable::new())
///     .initial_position(InitialPosition::AtTimestamp(from))
///     .until(to)
///     .processor(|_: &ShardRef| Printer)
///     .build()?;
/// let report = replay.run().await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Until {
    /// What arrived at this time, or before. It may be still to come.
    Time(Timestamp),
    /// What has arrived when the worker begins to run.
    CaughtUp,
}

/// Whether the [figures](crate::meters) of a worker bear its id as the label `worker`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerLabel {
    /// Where the application has given it one by [`Builder::worker_id`](super::Builder::worker_id). An id that is drawn at random would
    /// make new series with each start.
    #[default]
    WhereNamed,
    /// Always: for several unnamed workers in one process, whose figures would be one otherwise.
    Always,
    /// Never.
    Never,
}

/// Where a worker's coordination runs: the renewals, the looks at the lease table, the taking of leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoordinationOn {
    /// On a thread and a runtime of its own: a handler that blocks its thread costs no shard its lease.
    #[default]
    OwnThread,
    /// On the runtime that [`Worker::run`](super::Worker::run) is awaited on, as a part of it: for a simulated clock, and for programs
    /// that may have no threads. A handler that blocks then stops the renewals too.
    CallersRuntime,
}

/// Everything about a worker that is a number or a choice. Made and checked by the [`Builder`](super::Builder).
///
/// ```
/// use std::time::Duration;
///
/// use kcl_core::worker::Settings;
///
/// let defaults = Settings::default();
/// assert_eq!(defaults.failover, Duration::from_secs(10));
/// assert_eq!(defaults.max_records, 10_000);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where to begin on a shard without a checkpoint. Default: `TRIM_HORIZON`, which loses nothing (the KCL's is `LATEST`).
    pub initial_position: InitialPosition,
    /// See [`Until`]. Default: for ever.
    pub until: Option<Until>,
    /// How long the worker may take to start, until [`Event::Started`](super::Event::Started): when the lease table or a stream is out of
    /// reach for longer, [`run`](super::Worker::run) ends with [`RunError::NotStarted`](super::RunError::NotStarted). Default: no bound,
    /// as a worker that waits is there when they are; what it waits for is said by events.
    pub start_within: Option<Duration>,
    /// How long an owner may show no life before its leases are taken. Default: 10 s, the KCL's.
    pub failover: Duration,
    /// How many leases this worker holds at the most. Default: no bound, as in the KCL.
    pub max_leases: usize,
    /// How many leases this worker may have asked others for at the same time. Default: 8.
    pub max_moves: usize,
    /// How long a shard that another worker has asked for may take to finish the batch in hand, before the request is refused and the
    /// shard is read on. Default: 10 s (the KCL passes the lease on after 30 s, whatever the handler is doing).
    pub drain_limit: Duration,
    /// See [`Mode`]. Default: polling (the KCL's is fan-out). A [stream](super::StreamConfig::mode) may have its own.
    pub mode: Mode,
    /// The most records to ask for in one call. Default: 10,000, the limit of `GetRecords` and the KCL's default.
    pub max_records: u32,
    /// Calls of `GetRecords` a second and shard. Default: 5, the service's limit.
    pub calls_per_second: usize,
    /// The longest idle time on a shard that gives no records. Default: 1 s (the KCL: 1.5 s always).
    pub idle_ceiling: Duration,
    /// How long one call of the stream may take. Default: 30 s, the KCL's.
    pub call_limit: Duration,
    /// How long one call of `GetRecords` may take, so that a connection that has died is found out: a page of 10 MB comes in a second or
    /// two. Not longer than `call_limit`. Default: 10 s (the KCL: 30 s).
    pub read_limit: Duration,
    /// For how long a call of the stream or of the lease table that was granted before may be refused (`AccessDeniedException`, credentials
    /// that are not accepted) before the worker ends, or the stream counts as unreadable where it reads several. A policy that is being
    /// changed refuses a whole fleet for a second. What was never granted ends the worker at once. Default: 2 min.
    pub refusal_limit: Duration,
    /// See [`Checkpoints`]. Default: automatic.
    pub checkpoints: Checkpoints,
    /// How long what is done on a shard waits for its automatic checkpoint, at most. A renewal of the lease may take it along before, so
    /// more than a third of the failover time saves no write. Default: 5 s.
    pub checkpoint_every: Duration,
    /// How long one call of the handler may take before the lease is given up. Default: 5 min.
    pub handler_budget: Duration,
    /// How long one call of the handler may take before that is told and logged ([`Event::HandlerSlow`](super::Event::HandlerSlow)).
    /// Default: 30 s, a tenth of the budget.
    pub handler_warning: Duration,
    /// See [`OnFailure`]. Default: the batch is tried again.
    pub on_failure: OnFailure,
    /// The first pause before a failed call is tried again; it doubles. Default: 500 ms, the KCL's `taskBackoffTimeMillis`.
    pub retry_from: Duration,
    /// The longest such pause. Default: 30 s.
    pub retry_to: Duration,
    /// See [`OnDataGap`]. Default: continue.
    pub on_data_gap: OnDataGap,
    /// See [`OutOfRange`]. Default: handed on (the KCL drops the whole aggregate).
    pub out_of_range: OutOfRange,
    /// How often the shards of the stream are compared with the leases. Default: 60 s.
    pub audit_every: Duration,
    /// See [`WorkerLabel`]. Default: where the application has named the worker.
    pub worker_label: WorkerLabel,
    /// See [`CoordinationOn`]. Default: a thread of its own.
    pub coordination_on: CoordinationOn,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_position: InitialPosition::TrimHorizon,
            until: None,
            start_within: None,
            failover: Duration::from_secs(10),
            max_leases: usize::MAX,
            max_moves: 8,
            drain_limit: Duration::from_secs(10),
            mode: Mode::Polling,
            max_records: 10_000,
            calls_per_second: 5,
            idle_ceiling: Duration::from_secs(1),
            call_limit: Duration::from_secs(30),
            read_limit: Duration::from_secs(10),
            refusal_limit: Duration::from_secs(120),
            checkpoints: Checkpoints::Automatic,
            checkpoint_every: Duration::from_secs(5),
            handler_budget: Duration::from_secs(300),
            handler_warning: Duration::from_secs(30),
            on_failure: OnFailure::Retry,
            retry_from: Duration::from_millis(500),
            retry_to: Duration::from_secs(30),
            on_data_gap: OnDataGap::Continue,
            out_of_range: OutOfRange::HandOn,
            audit_every: Duration::from_secs(60),
            worker_label: WorkerLabel::WhereNamed,
            coordination_on: CoordinationOn::OwnThread,
        }
    }
}

impl Settings {
    pub(crate) fn timing(&self) -> Timing {
        Timing::for_failover(self.failover)
    }

    pub(crate) fn pace(&self) -> PaceSettings {
        let default = PaceSettings::default();
        PaceSettings {
            calls_per_second: self.calls_per_second.try_into().unwrap_or(default.calls_per_second),
            idle_from: default.idle_from.min(self.idle_ceiling),
            idle_to: self.idle_ceiling,
            ..default
        }
    }
}
