use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::decide::bound::Bound;
use crate::fetch::ByteBudget;
use crate::lease::{LeaseTable, with_causes};
use crate::meters::{self, EventMeters, WorkerLabels, WorkerMeters};
use crate::model::{Capacity, Moment, WorkerId};
use crate::processor::ErasedFactory;
use crate::runtime::Clock;
use crate::tenancy::table_health::TableHealth;

use super::builder::Builder;
use super::end_guard::EndGuard;
use super::error::RunError;
use super::events::{EventSender, Events};
use super::log::WorkerLog;
use super::patient_table::PatientTable;
use super::report::{RunEnd, ShutdownReport};
use super::root;
use super::service_access::ServiceAccess;
use super::setting_error::SettingError;
use super::settings::{Settings, Until};
use super::status::{CallFailures, Phase, Status};
use super::status_registry::StatusRegistry;
use super::streams::{StreamConfig, Streams, stream_name};

/// What happens to the leases of a worker when it stops.
///
/// ```
/// # use std::time::Duration;
/// # use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
/// # struct Printer;
/// # impl RecordProcessor for Printer {
/// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
/// #         Ok(())
/// #     }
/// # }
/// use kcl_core::worker::Stop;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let stream = MemoryStream::new("orders", 1);
/// # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
/// // An id that the next process will use too.
/// let worker = builder.worker_id("printer-0").processor(|_: &ShardRef| Printer).build()?;
/// let restart = async {
///     // Await the request for a restart here.
///     worker.stop(Stop::Keep, Duration::from_secs(10)).await;
/// };
/// worker.run_until(restart, Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// They are released at once, and other workers continue with their shards.
    #[default]
    Release,
    /// They stay with this worker, so that a restart with the same id moves no shard. For a worker
    /// with a fixed [`worker_id`](Builder::worker_id) that is back within the failover time; if it
    /// is not, other workers take the leases like those of a dead worker.
    Keep,
}

/// The parts from which a worker is built.
pub(crate) struct WorkerParts {
    pub(crate) streams: Streams,
    pub(crate) application: String,
    pub(crate) worker: WorkerId,
    /// The labels of its metrics.
    pub(crate) labels: WorkerLabels,
    pub(crate) table: Arc<dyn LeaseTable>,
    pub(crate) factory: Arc<dyn ErasedFactory>,
    pub(crate) budget: ByteBudget,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    /// What its row says that it can carry. `None` if it balances by count.
    pub(crate) capacity: Option<Capacity>,
}

/// What every part of a running worker sees.
pub(crate) struct WorkerInner {
    pub(crate) parts: WorkerParts,
    /// Events, for those who listen, for the log and for the metrics.
    pub(crate) outlet: EventSender,
    /// What [`Worker::status`] shows of the shards.
    pub(crate) board: StatusRegistry,
    /// Whether the lease table answers: told by every call to it, from both threads.
    pub(crate) table_health: TableHealth,
    pub(crate) meters: WorkerMeters,
    /// How to stop, and by when. Set once.
    pub(crate) stop: watch::Sender<Option<(Stop, Moment)>>,
    /// Set when `run` has ended, in whatever way: those who wait in [`Worker::stop`] get it.
    pub(super) report: watch::Sender<Option<ShutdownReport>>,
    /// The time up to which records are read, set when the worker runs.
    bound: OnceLock<Bound>,
    /// Whether `run` was called: a worker runs once, as its tenancies and its report are those of
    /// one run.
    ran: AtomicBool,
}

/// A member of the fleet that reads a stream: it acquires leases of shards, passes their records to
/// processors and stores their checkpoints.
///
/// A `Worker` is a handle: clones refer to the same worker, and [`run`](Self::run) does the work.
///
/// ```
/// use std::time::Duration;
///
/// use kcl_core::worker::Event;
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
/// # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
/// let worker = builder.processor(|_: &ShardRef| Printer).build()?;
/// let mut events = worker.events();
///
/// // Stops when all existing records are processed; a service would use `kcl_core::stop_signal()?`.
/// let caught_up = async {
///     while let Some(event) = events.next().await {
///         if matches!(event, Event::CaughtUp { .. }) {
///             break;
///         }
///     }
///     println!("{:?}", worker.status().phase);
/// };
/// let report = worker.run_until(caught_up, Duration::from_secs(10)).await?;
/// assert_eq!(report.shards.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Worker(Arc<WorkerInner>);

impl Worker {
    /// Starts building a worker.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(mut parts: WorkerParts) -> Self {
        let log = WorkerLog::new(
            Arc::clone(&parts.clock),
            parts.worker.to_string(),
            parts.settings.clone(),
        );
        let outlet = EventSender::new(log, EventMeters::new(&parts.labels));
        let (clock, limit) = (Arc::clone(&parts.clock), parts.settings.refusal_limit);
        let refused = ServiceAccess::new("the lease table", limit, clock, outlet.clone());
        parts.table = Arc::new(PatientTable::new(refused, parts.table));
        Self(Arc::new(WorkerInner {
            outlet,
            board: StatusRegistry::default(),
            table_health: TableHealth::default(),
            meters: WorkerMeters::new(&parts.labels),
            stop: watch::Sender::new(None),
            report: watch::Sender::new(None),
            bound: OnceLock::new(),
            ran: AtomicBool::new(false),
            parts,
        }))
    }

    /// Runs until [`shutdown`](Self::shutdown) is called, until a [bounded read](Settings::until)
    /// is done, or until the worker cannot continue. To stop at a signal, call
    /// [`run_until`](Self::run_until) instead.
    ///
    /// **Never put it in a `select!` whose other branch may finish first**; use
    /// [`run_until`](Self::run_until).
    ///
    /// Must be awaited on a tokio runtime with its timer and I/O enabled. Processors run on it, one
    /// task per shard.
    ///
    /// # Errors
    /// Every fatal cause: see [`RunError`]. Before it is returned, the shards are drained as far as
    /// that is possible.
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: everything ends immediately, nothing is stored, and
    /// other workers take the leases over when they expire. A [`shutdown`](Self::shutdown) after
    /// that reports [`RunEnd::Dropped`].
    pub async fn run(&self) -> Result<ShutdownReport, RunError> {
        if self.0.ran.swap(true, Ordering::SeqCst) {
            return Err(RunError::AlreadyRun);
        }
        if let Some(until) = self.0.parts.settings.until {
            let time = match until {
                Until::Time(time) => time,
                Until::CaughtUp => self.0.parts.clock.wall(),
            };
            let _ = self.0.bound.set(Bound::new(time));
        }
        meters::describe_all();
        self.0.board.reach(Phase::Starting);
        let mut ending = EndGuard {
            inner: &self.0,
            report: None,
            phase: Phase::Dropped,
        };
        // Boxed, so that the large future of loading an AWS configuration is not on the caller's
        // stack.
        let (mut report, cause) = Box::pin(root::run(Arc::clone(&self.0))).await;
        report.run = if cause.is_some() {
            RunEnd::Failed
        } else {
            RunEnd::Finished
        };
        ending.report = Some(report.clone());
        ending.phase = cause.as_ref().map_or(Phase::Stopped, |cause| {
            Phase::Failed(with_causes(cause).into())
        });
        cause.map_or(Ok(report), Err)
    }

    /// [Runs](Self::run) until `signal` completes, and then shuts down gracefully; shards that are
    /// not drained by `deadline` are abandoned. The output of the signal is ignored.
    ///
    /// ```no_run
    /// # #[cfg(feature = "signal")]
    /// # async fn run(worker: kcl_core::Worker) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let report = worker.run_until(kcl_core::stop_signal()?, Duration::from_secs(30)).await?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The leases are released. To keep them for a restart, let the signal itself end with a call
    /// to [`stop`](Self::stop).
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run), dropping the future is a crash.
    pub async fn run_until(
        &self,
        signal: impl Future,
        deadline: Duration,
    ) -> Result<ShutdownReport, RunError> {
        let mut run = pin!(self.run());
        let mut signal = pin!(signal);
        tokio::select! {
            biased;
            ended = &mut run => return ended,
            _ = &mut signal => self.ask_to_stop(Stop::Release, deadline),
        }
        // The signal is kept until the worker has ended: when it is dropped, signals may no longer
        // be caught.
        run.await
    }

    /// Shuts the worker down gracefully and waits until that is done: nothing more is fetched, the
    /// batch in flight is finished, the last checkpoints are stored and the leases released, so
    /// that other workers continue at once, after what was finished;
    /// [`Stopped::Drained`](super::Stopped::Drained) says what may be delivered again. Shards that
    /// are not drained by `deadline` are abandoned: their leases expire.
    ///
    /// May be called more than once, and before `run`; the first deadline counts. Cancel safe: the
    /// shutdown continues. The report says how `run` ended ([`ShutdownReport::run`]): it may have
    /// been dropped, or have failed.
    ///
    /// ```
    /// # use std::time::Duration;
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
    /// let handle = worker.clone();
    /// let is_told_to_end = async move {
    ///     // Await whatever tells your service to end here.
    ///     handle.shutdown(Duration::from_secs(10)).await
    /// };
    /// let (ended, report) = tokio::join!(worker.run(), is_told_to_end);
    /// ended?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        self.stop(Stop::Release, deadline).await
    }

    /// Like [`shutdown`](Self::shutdown), with a choice of what happens to the leases. The first
    /// call decides.
    pub async fn stop(&self, how: Stop, deadline: Duration) -> ShutdownReport {
        self.ask_to_stop(how, deadline);
        if !self.0.ran.load(Ordering::SeqCst) {
            return ShutdownReport::default();
        }
        let mut report = self.0.report.subscribe();
        // The sender is in `self`, so this never fails.
        match report.wait_for(Option::is_some).await {
            Ok(report) => report.clone().unwrap_or_default(),
            Err(_) => ShutdownReport::default(),
        }
    }

    fn ask_to_stop(&self, how: Stop, deadline: Duration) {
        let until = self.0.parts.clock.now() + deadline;
        self.0.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert((how, until));
            first
        });
    }

    /// Starts reading one more stream, in a worker that was [built for several](Builder::streams).
    /// Does nothing if the worker already reads it.
    ///
    /// ```
    /// # use kcl_core::processor::{ProcessRecordsInput, ShardRef};
    /// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
    /// # struct Printer;
    /// # impl RecordProcessor for Printer {
    /// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// use kcl_core::worker::StreamConfig;
    ///
    /// # fn main() -> Result<(), BoxError> {
    /// # let builder = Worker::builder().application("printer").lease_table(MemoryLeaseTable::new()).processor(|_: &ShardRef| Printer);
    /// # let (orders, returns) = (MemoryStream::new("orders", 1), MemoryStream::new("returns", 1));
    /// let worker = builder.streams([StreamConfig::new("orders").source(orders)]).build()?;
    /// worker.add_stream(StreamConfig::new("returns").source(returns))?;
    /// assert_eq!(worker.status().streams.len(), 2);
    /// assert!(worker.remove_stream("orders")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The worker was built for one stream, or the stream's name, initial position or mode is
    /// invalid.
    pub fn add_stream(&self, stream: StreamConfig) -> Result<(), SettingError> {
        let parts = &self.0.parts;
        if !parts.streams.several {
            return Err(SettingError::one_stream_only());
        }
        if stream.lacks_source() {
            return Err(SettingError::no_source());
        }
        let stream = stream.checked(
            &parts.settings,
            &parts.application,
            true,
            parts.clock.wall(),
        )?;
        parts.streams.add(stream);
        Ok(())
    }

    /// Stops reading a stream. Its shards are drained as in a shutdown; their leases and
    /// checkpoints stay in the table, and other workers that read the stream continue with them.
    /// Returns whether the stream was being read.
    ///
    /// # Errors
    /// The worker was built for one stream, or this is not a valid stream name.
    pub fn remove_stream(&self, name_or_arn: &str) -> Result<bool, SettingError> {
        let streams = &self.0.parts.streams;
        if !streams.several {
            return Err(SettingError::one_stream_only());
        }
        Ok(streams.remove(&stream_name(name_or_arn)?))
    }

    pub(super) fn parts(&self) -> &WorkerParts {
        &self.0.parts
    }

    /// The events from now on, as a stream that never slows the worker down.
    #[must_use]
    pub fn events(&self) -> Events {
        self.0.outlet.listen()
    }

    /// What the worker is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.0.parts.clock.now();
        Status {
            worker: self.id().clone(),
            phase: self.0.board.phase(),
            streams: self
                .0
                .parts
                .streams
                .all()
                .iter()
                .map(|of| (of.name.clone(), of.state()))
                .collect(),
            lease_table: self.0.table_health.failing().map(|(outage, error)| {
                CallFailures::new(outage.since, outage.attempts, error, now)
            }),
            shards: self.0.board.snapshot(now),
            unreadable: self
                .0
                .board
                .unreadable(|lease| self.0.parts.streams.of(lease).is_some()),
            left_unread: self.0.board.left_unread(),
            budget_used: self.0.parts.budget.used(),
            budget_total: self.0.parts.budget.total(),
        }
    }

    /// The worker's id, as it appears in the leases.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.0.parts.worker
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }
}

impl WorkerInner {
    /// The time up to which records are read, if there is one.
    pub(crate) fn bound(&self) -> Option<Bound> {
        self.bound.get().copied()
    }

    /// How the worker was told to stop, if it was.
    pub(crate) fn stop_kind(&self) -> Option<Stop> {
        self.stop.borrow().map(|(how, _)| how)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("id", self.id())
            .field("streams", &self.0.parts.streams.names())
            .field("application", &self.0.parts.application)
            .finish_non_exhaustive()
    }
}
