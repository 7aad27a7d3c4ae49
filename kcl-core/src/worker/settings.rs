use std::time::Duration;

use crate::deaggregate::OutOfRange;
use crate::decide::backoff::Backoff;
use crate::decide::expiry::Timing;
use crate::decide::liveness::Liveness;
use crate::decide::pace::PaceSettings;
use crate::model::{InitialPosition, Timestamp};
use crate::processor::OnFailure;

use super::mode::Mode;

/// When checkpoints are stored automatically.
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
///         // ... write everything and make sure that it is stored, and only then:
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
    /// The newest processed position (`process_records` returned `Ok` for it) is stored every
    /// [`Settings::checkpoint_every`] and when the shard is given up; where leases are renewed, also
    /// with each renewal (every third of the failover time, at no extra cost). A slow table delays no
    /// batch.
    #[default]
    Automatic,
    /// Only a [`Checkpointer`](crate::checkpoint::Checkpointer) moves the checkpoint. The worker
    /// still writes the shard's end, once `shard_ended` has returned `Ok`.
    Manual,
}

/// What happens when records expired before they were read, or may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDataGap {
    /// The gap is reported as an event and counted, and reading continues with the first record
    /// that is left.
    #[default]
    Continue,
    /// The worker stops, and `run` returns the gap. Nothing after the gap is delivered.
    Fail,
}

/// How far a worker reads, if not forever.
///
/// Each shard is read up to the first record that arrived after the bound, or to its tip if that is
/// requested at least a second after the bound. Then the shard is given up with its checkpoint and
/// not acquired again in this run. A shard that has ended by then is completed as usual, and its
/// children are read in the same way; the children of a shard that has not ended are not read. When
/// nothing is left for this worker to read, [`run`](super::Worker::run) returns a report of the
/// shards it has read.
///
/// In a fleet every worker needs this setting. A worker ends when everything that is left is held
/// by other live workers. It may briefly acquire a shard that another worker has already read; it
/// then receives no record of it.
///
/// A replay is an application with its own name and lease table: it does not touch the leases of
/// the live application. But all applications that poll a shard share its 5 calls and 2 MB per
/// second: `.calls_per_second(1)` leaves four of the calls to the live application, and
/// [`Mode::FanOut`](super::Mode::FanOut) takes nothing from it. The leases of a replay stay until
/// they are deleted: see [operations](crate::guide::operations).
///
/// Arrival times are from the stream's clock; the time at which the tip is requested is from this
/// machine's clock. If the records of a shard are not in the order of their arrival times, the
/// shard is read up to the first record that arrived after the bound.
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
/// // Replays January under its own name: the leases of the live application stay as they are.
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
    /// What arrived at or before this time, which may be in the future.
    Time(Timestamp),
    /// What has arrived when the worker starts.
    CaughtUp,
}

/// By what the leases are shared among the workers of a fleet.
///
/// All workers of a fleet should have the same. While one of them balances by count, or is of a
/// version that knows nothing else, or is a worker of the KCL, all do: two rules would move leases to
/// and fro without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// By what the shards carry, in bytes and records, and by what the workers
    /// [can](Settings::capacity). Idle shards are shared by their number. Noise moves nothing: a
    /// lease moves only if its receiver then carries at least a tenth less than its owner did, and
    /// not within a minute of its last move.
    #[default]
    Load,
    /// By the number of leases, however much each carries.
    Count,
}

/// Whether the [metrics](crate::meters) of a worker carry its id as the label `worker`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerLabel {
    /// If the application set one with [`Builder::worker_id`](super::Builder::worker_id). A random
    /// id would create new time series at every start.
    #[default]
    WhereNamed,
    /// Always: for several unnamed workers in one process, whose metrics would otherwise be mixed.
    Always,
    /// Never.
    Never,
}

/// Where a worker's coordination runs: lease renewals, scans of the lease table, and acquisition of
/// leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoordinationOn {
    /// On its own thread and runtime: a handler that blocks its thread does not cost any shard its
    /// lease.
    #[default]
    OwnThread,
    /// On the runtime on which [`Worker::run`](super::Worker::run) is awaited: for a simulated
    /// clock, and for programs that must not start threads. A handler that blocks then also stops
    /// the renewals.
    CallersRuntime,
}

/// The settings of a worker that are numbers or choices. Created and checked by the
/// [`Builder`](super::Builder).
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
    /// Where to start on a shard without a checkpoint. Default: `TRIM_HORIZON`, which loses nothing
    /// (KCL: `LATEST`).
    pub initial_position: InitialPosition,
    /// See [`Until`]. Default: read forever.
    pub until: Option<Until>,
    /// How long the worker may take to start, up to [`Event::Started`](super::Event::Started): if
    /// the lease table or a stream is unreachable for longer, [`run`](super::Worker::run) ends with
    /// [`RunError::NotStarted`](super::RunError::NotStarted). Default: no limit, because a waiting
    /// worker starts as soon as they are reachable; events say what it is waiting for.
    pub start_within: Option<Duration>,
    /// How long an owner may go without a heartbeat before its leases are taken. Default: 10 s, as
    /// in the KCL.
    pub failover: Duration,
    /// How many leases this worker holds at most. Default: no limit, as in the KCL.
    pub max_leases: usize,
    /// What the workers of the fleet share evenly. Default: [`Balance::Load`] (the KCL: the load of
    /// the processor, by a leader).
    pub balance: Balance,
    /// How much this worker can carry, compared with the others: one with twice the capacity gets
    /// twice the load. Default: `None`, the number of processor cores that this process may use. If
    /// one worker of a fleet has a number of its own, all should.
    pub capacity: Option<f64>,
    /// How many leases this worker may be requesting from others at the same time. Default: 8.
    pub max_moves: usize,
    /// How long a shard may take to finish the batch in flight after another worker has requested
    /// its lease. After that, the request is refused, and reading the shard continues. Also how
    /// long records that are processed in the background ([`handler`](crate::handler)) may take
    /// once their shard is handed over or given up; when the worker is stopped, its deadline counts
    /// instead. Default: 10 s (the KCL hands the lease over after 30 s, whatever the handler is
    /// doing).
    pub drain_limit: Duration,
    /// See [`Mode`]. Default: polling (KCL: fan-out). A [stream](super::StreamConfig::mode) may
    /// have its own.
    pub mode: Mode,
    /// How many records to request in one call at most. Default: 10,000, the limit of `GetRecords`
    /// and the KCL's default.
    pub max_records: u32,
    /// `GetRecords` calls per second and shard. Default: 5, the limit of the service.
    pub calls_per_second: usize,
    /// The longest pause between calls on a shard that returns no records. Default: 1 s (KCL:
    /// always 1.5 s).
    pub idle_ceiling: Duration,
    /// How long a shard may be quiet before its processor's
    /// [`idle`](crate::RecordProcessor::idle) is called, and again after each such time. Default:
    /// `None`, never (the KCL's `callProcessRecordsEvenForEmptyRecordList`, off by default as well,
    /// calls after each empty answer).
    pub idle_every: Option<Duration>,
    /// How long one call to the stream may take. Default: 30 s, as in the KCL.
    pub call_limit: Duration,
    /// How long one `GetRecords` call may take; a short limit detects a dead connection. (A page of
    /// 10 MB arrives in one or two seconds.) At most `call_limit`. Default: 10 s (KCL: 30 s).
    pub read_limit: Duration,
    /// For how long a call to the stream or the lease table that was permitted before may be denied
    /// (`AccessDeniedException`, rejected credentials) before the worker ends or, if it reads
    /// several streams, the stream counts as unreadable. While a policy is being changed, calls of
    /// a whole fleet may be denied for a second. If a call was never permitted, the worker ends at
    /// once. Default: 2 min.
    pub refusal_limit: Duration,
    /// See [`Checkpoints`]. Default: automatic.
    pub checkpoints: Checkpoints,
    /// The longest time until finished work is checkpointed automatically. Where leases are renewed
    /// ([`Settings::liveness`]), a renewal may store it earlier, so values above a third of the
    /// failover time save no writes there. Default: 5 s.
    pub checkpoint_every: Duration,
    /// How long one call of the handler, or the delivery of a dead letter, may take before the lease
    /// is released. Default: 5 min.
    pub handler_budget: Duration,
    /// How long one call of the handler may take before it is logged and reported
    /// ([`Event::HandlerSlow`](super::Event::HandlerSlow)), and how long a shard may wait for its
    /// parent before that is ([`Event::ChildWaits`](super::Event::ChildWaits)). Default: 30 s, a
    /// tenth of the budget.
    pub handler_warning: Duration,
    /// See [`OnFailure`]. Default: the batch is retried.
    pub on_failure: OnFailure,
    /// The first pause before a failed call is retried; it doubles. Default: 500 ms, the KCL's
    /// `taskBackoffTimeMillis`.
    pub retry_from: Duration,
    /// The longest such pause. Default: 30 s.
    pub retry_to: Duration,
    /// See [`OnDataGap`]. Default: continue.
    pub on_data_gap: OnDataGap,
    /// See [`OutOfRange`]. Default: deliver, flagged (the KCL drops the whole aggregate).
    pub out_of_range: OutOfRange,
    /// How often the shards of the stream are compared with the leases. Default: 60 s.
    pub audit_every: Duration,
    /// What shows that the worker holds its leases while it stores no checkpoint: heartbeats or
    /// renewals. Default: [`Liveness::Auto`]: heartbeats, by which a lease without progress costs no
    /// write, and renewals while the table shows a trace of a KCL (KCL: renewals).
    pub liveness: Liveness,
    /// See [`WorkerLabel`]. Default: if the application has named the worker.
    pub worker_label: WorkerLabel,
    /// See [`CoordinationOn`]. Default: its own thread.
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
            balance: Balance::Load,
            capacity: None,
            max_moves: 8,
            drain_limit: Duration::from_secs(10),
            mode: Mode::Polling,
            max_records: 10_000,
            calls_per_second: 5,
            idle_ceiling: Duration::from_secs(1),
            idle_every: None,
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
            liveness: Liveness::Auto,
            worker_label: WorkerLabel::WhereNamed,
            coordination_on: CoordinationOn::OwnThread,
        }
    }
}

impl Settings {
    pub(crate) fn timing(&self) -> Timing {
        Timing::for_failover(self.failover)
    }

    /// The pauses before a failed call of a handler is retried.
    pub(crate) const fn retry(&self) -> Backoff {
        Backoff::new(self.retry_from, self.retry_to)
    }

    pub(crate) fn pace(&self) -> PaceSettings {
        let default = PaceSettings::default();
        PaceSettings {
            calls_per_second: self
                .calls_per_second
                .try_into()
                .unwrap_or(default.calls_per_second),
            idle_from: default.idle_from.min(self.idle_ceiling),
            idle_to: self.idle_ceiling,
            ..default
        }
    }
}
