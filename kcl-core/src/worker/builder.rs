use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use crate::deaggregate::OutOfRange;
use crate::decide::liveness::Liveness;
use crate::fetch::ByteBudget;
use crate::lease::LeaseTable;
use crate::meters::WorkerLabels;
use crate::model::{Capacity, InitialPosition, Timestamp, WorkerId};
use crate::processor::{ErasedFactory, OnFailure, RecordProcessorFactory};
use crate::runtime::{Clock, random_token, system_clock};
use crate::stream::Stream;

use super::mode::Mode;
use super::setting_error::SettingError;
use super::setting_limits::{NAME, check, check_application, named};
use super::settings::{
    Balance, Checkpoints, CoordinationOn, OnDataGap, Settings, Until, WorkerLabel,
};
use super::streams::{ReadStream, StreamConfig, Streams};
use super::worker::{Worker, WorkerParts};

/// Builds a [`Worker`]. Every setting is checked by [`build`](Self::build).
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
/// use std::time::Duration;
///
/// use kcl_core::ByteBudget;
///
/// # fn main() -> Result<(), BoxError> {
/// let worker = Worker::builder()
///     .stream("orders")
///     .source(MemoryStream::new("orders", 4)) // Without this line, the stream is read from AWS.
///     .application("printer")
///     .lease_table(MemoryLeaseTable::new())
///     .processor(|_: &ShardRef| Printer)
///     // The following settings have defaults.
///     .failover(Duration::from_secs(5))
///     .max_leases(16)
///     .byte_budget(ByteBudget::new(64 * 1024 * 1024)?)
///     .build()?;
/// assert_eq!(worker.settings().max_leases, 16);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use]
pub struct Builder {
    /// By name or ARN, as it was given: parsed by `build`, so that an error names the setting.
    stream: Option<String>,
    /// Where the stream is read. Without it, AWS is, as the environment says.
    source: Option<Arc<dyn Stream>>,
    /// Several streams, each with what is its own. Leases then name their stream in their key.
    streams: Vec<StreamConfig>,
    /// Names the fleet: workers of one application share the shards.
    application: Option<String>,
    /// Random unless it is given. Two live workers of one id end each other.
    worker_id: Option<String>,
    /// Where leases and checkpoints are kept.
    table: Option<Arc<dyn LeaseTable>>,
    /// Makes a processor for each acquired shard.
    factory: Option<Arc<dyn ErasedFactory>>,
    /// May be shared by several workers; one of its own otherwise.
    budget: Option<ByteBudget>,
    /// The system's, unless a test moves its own.
    clock: Option<Arc<dyn Clock>>,
    /// Whether `streams` was called, also with none: the worker then reads streams that are added
    /// later.
    several: bool,
    /// Everything that has a default.
    settings: Settings,
}

impl Builder {
    /// The stream, by name or ARN. Required, unless [`streams`](Self::streams) is used.
    pub fn stream(mut self, name_or_arn: impl Into<String>) -> Self {
        self.stream = Some(name_or_arn.into());
        self
    }

    /// How the stream is read. Optional with the feature `kinesis`: by default the stream is read
    /// from AWS, with region and credentials from the environment, and from the endpoint that
    /// `AWS_ENDPOINT_URL_KINESIS` names, if it is set.
    pub fn source(mut self, source: impl Stream) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Several streams, instead of one. The lease keys then contain the stream's identity, as in
    /// the KCL's multi-stream mode, so an application must not switch between
    /// [`stream`](Self::stream) and this. The list may be empty: [`Worker::add_stream`] and
    /// [`Worker::remove_stream`] change it while the worker runs.
    pub fn streams(mut self, streams: impl IntoIterator<Item = StreamConfig>) -> Self {
        self.several = true;
        self.streams.extend(streams);
        self
    }

    /// The name of the application: workers with the same name share the shards. Required.
    /// [`build`](Self::build) rejects a lease table that was opened for another application.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = Some(name.into());
        self
    }

    /// The id of this worker; no other live process may use it. Default: a random one.
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.worker_id = Some(id.into());
        self
    }

    /// Where leases and checkpoints are stored. Required.
    ///
    /// An `Arc<dyn LeaseTable>` is a lease table too, so a program can choose one at run time.
    /// Where the table is stored is decided when it is opened: `SqliteLeaseTable::open` takes the
    /// path of a file; `DynamoLeaseTable::open` takes region, credentials and endpoint from the
    /// environment (`AWS_ENDPOINT_URL_DYNAMODB`), and `kcl_dynamo::OpenOptions::open_with_client`
    /// takes your own client.
    pub fn lease_table(mut self, table: impl LeaseTable) -> Self {
        self.table = Some(Arc::new(table));
        self
    }

    /// Creates the processors, one for each shard that is acquired. Required.
    ///
    /// A closure needs the type of its parameter written out, because rustc cannot infer it:
    /// `.processor(|_shard: &ShardRef| MyProcessor)`.
    pub fn processor(mut self, factory: impl RecordProcessorFactory) -> Self {
        self.factory = Some(Arc::new(factory));
        self
    }

    /// The memory for fetched records; several workers may share one budget. Default: 128 MiB for
    /// this worker alone.
    pub fn byte_budget(mut self, budget: ByteBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The clock. Default: the system clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// See [`Settings::initial_position`].
    pub const fn initial_position(mut self, position: InitialPosition) -> Self {
        self.settings.initial_position = position;
        self
    }

    /// Reads what arrived up to this time, then ends: see [`Until`].
    pub const fn until(mut self, time: Timestamp) -> Self {
        self.settings.until = Some(Until::Time(time));
        self
    }

    /// Reads what has arrived when the worker starts, then ends: see [`Until`].
    pub const fn until_caught_up(mut self) -> Self {
        self.settings.until = Some(Until::CaughtUp);
        self
    }

    /// See [`Settings::start_within`].
    pub const fn start_within(mut self, span: Duration) -> Self {
        self.settings.start_within = Some(span);
        self
    }

    /// See [`Settings::failover`].
    pub const fn failover(mut self, failover: Duration) -> Self {
        self.settings.failover = failover;
        self
    }

    /// See [`Settings::max_leases`].
    pub const fn max_leases(mut self, leases: usize) -> Self {
        self.settings.max_leases = leases;
        self
    }

    /// See [`Balance`].
    pub const fn balance(mut self, balance: Balance) -> Self {
        self.settings.balance = balance;
        self
    }

    /// See [`Settings::capacity`].
    pub const fn capacity(mut self, capacity: f64) -> Self {
        self.settings.capacity = Some(capacity);
        self
    }

    /// See [`Settings::max_moves`].
    pub const fn max_moves(mut self, requests: usize) -> Self {
        self.settings.max_moves = requests;
        self
    }

    /// See [`Settings::idle_every`].
    pub const fn idle_every(mut self, span: Duration) -> Self {
        self.settings.idle_every = Some(span);
        self
    }

    /// See [`Settings::drain_limit`].
    pub const fn drain_limit(mut self, span: Duration) -> Self {
        self.settings.drain_limit = span;
        self
    }

    /// See [`Mode`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// See [`Settings::max_records`].
    pub const fn max_records(mut self, records: u32) -> Self {
        self.settings.max_records = records;
        self
    }

    /// See [`Settings::calls_per_second`].
    pub const fn calls_per_second(mut self, calls: usize) -> Self {
        self.settings.calls_per_second = calls;
        self
    }

    /// See [`Settings::idle_ceiling`].
    pub const fn idle_ceiling(mut self, ceiling: Duration) -> Self {
        self.settings.idle_ceiling = ceiling;
        self
    }

    /// See [`Settings::call_limit`].
    pub const fn call_limit(mut self, limit: Duration) -> Self {
        self.settings.call_limit = limit;
        self
    }

    /// See [`Settings::read_limit`].
    pub const fn read_limit(mut self, limit: Duration) -> Self {
        self.settings.read_limit = limit;
        self
    }

    /// See [`Settings::refusal_limit`].
    pub const fn refusal_limit(mut self, limit: Duration) -> Self {
        self.settings.refusal_limit = limit;
        self
    }

    /// See [`Settings::checkpoints`].
    pub const fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.settings.checkpoints = checkpoints;
        self
    }

    /// See [`Settings::checkpoint_every`].
    pub const fn checkpoint_every(mut self, span: Duration) -> Self {
        self.settings.checkpoint_every = span;
        self
    }

    /// See [`Settings::handler_budget`].
    pub const fn handler_budget(mut self, span: Duration) -> Self {
        self.settings.handler_budget = span;
        self
    }

    /// See [`Settings::handler_warning`].
    pub const fn handler_warning(mut self, span: Duration) -> Self {
        self.settings.handler_warning = span;
        self
    }

    /// See [`Settings::on_failure`].
    pub const fn on_failure(mut self, policy: OnFailure) -> Self {
        self.settings.on_failure = policy;
        self
    }

    /// See [`Settings::retry_from`] and [`Settings::retry_to`].
    pub const fn retry_pause(mut self, from: Duration, to: Duration) -> Self {
        self.settings.retry_from = from;
        self.settings.retry_to = to;
        self
    }

    /// See [`Settings::on_data_gap`].
    pub const fn on_data_gap(mut self, policy: OnDataGap) -> Self {
        self.settings.on_data_gap = policy;
        self
    }

    /// See [`Settings::out_of_range`].
    pub const fn out_of_range(mut self, policy: OutOfRange) -> Self {
        self.settings.out_of_range = policy;
        self
    }

    /// See [`Settings::liveness`].
    pub const fn liveness(mut self, liveness: Liveness) -> Self {
        self.settings.liveness = liveness;
        self
    }

    /// See [`Settings::audit_every`].
    pub const fn audit_every(mut self, span: Duration) -> Self {
        self.settings.audit_every = span;
        self
    }

    /// See [`WorkerLabel`].
    pub const fn worker_label(mut self, label: WorkerLabel) -> Self {
        self.settings.worker_label = label;
        self
    }

    /// See [`CoordinationOn`].
    pub const fn coordination_on(mut self, place: CoordinationOn) -> Self {
        self.settings.coordination_on = place;
        self
    }

    /// Checks every setting and creates the worker. Nothing is called and no task is started before
    /// [`Worker::run`].
    ///
    /// # Errors
    /// The first invalid setting: its name, its value, and what was expected.
    pub fn build(self) -> Result<Worker, SettingError> {
        let clock = self.clock.unwrap_or_else(system_clock);
        check(&self.settings, clock.wall())?;
        let mut configs = self.streams;
        if !self.several {
            let name = self
                .stream
                .ok_or_else(|| SettingError::missing("stream", "a stream's name or ARN"))?;
            configs.push(StreamConfig::of(name, self.source));
        } else if let Some(stream) = self.stream {
            let allowed = "either `stream` or `streams`".to_owned();
            return Err(SettingError {
                setting: "stream",
                value: format!("`{stream}`"),
                allowed,
            });
        }
        let has_no_source = configs.iter().any(StreamConfig::lacks_source);
        let application = named(
            "application",
            self.application
                .ok_or_else(|| SettingError::missing("application", NAME))?,
        )?;
        let mut streams: Vec<ReadStream> = Vec::new();
        for config in configs {
            let stream =
                config.checked(&self.settings, &application, self.several, clock.wall())?;
            if streams.iter().any(|other| other.name == stream.name) {
                let allowed = "each stream once".to_owned();
                return Err(SettingError {
                    setting: "streams",
                    value: format!("`{}` twice", stream.name),
                    allowed,
                });
            }
            streams.push(stream);
        }
        let is_named = self.worker_id.is_some();
        let worker = match self.worker_id {
            Some(id) => named("worker_id", id)?,
            None => format!("worker-{}", &random_token().as_str()[..12]),
        };
        let table = self
            .table
            .ok_or_else(|| SettingError::missing("lease_table", "a lease table"))?;
        let factory = self
            .factory
            .ok_or_else(|| SettingError::missing("processor", "a factory of record processors"))?;
        factory.check().map_err(|error| SettingError {
            setting: "processor",
            value: error.to_string(),
            allowed: "a factory with valid settings".to_owned(),
        })?;
        check_application(&*table, &application)?;
        if has_no_source {
            return Err(SettingError::no_source());
        }
        let budget = match self.budget {
            Some(budget) => budget,
            None => ByteBudget::new(ByteBudget::DEFAULT).map_err(|error| SettingError {
                setting: "byte_budget",
                value: ByteBudget::DEFAULT.to_string(),
                allowed: error.to_string(),
            })?,
        };
        let worker = WorkerId::new(worker);
        let is_labelled = match self.settings.worker_label {
            WorkerLabel::WhereNamed => is_named,
            WorkerLabel::Always => true,
            WorkerLabel::Never => false,
        };
        Ok(Worker::new(WorkerParts {
            streams: Streams::new(streams, self.several),
            labels: WorkerLabels::new(&application, is_labelled.then_some(&worker)),
            application,
            worker,
            table,
            factory,
            budget,
            clock,
            capacity: declared_capacity(&self.settings),
            settings: self.settings,
        }))
    }
}

/// What the worker's row declares. The number of cores is what this process may use: the limits of a
/// container count.
fn declared_capacity(settings: &Settings) -> Option<Capacity> {
    let cores = || {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Capacity::of_cores(cores)
    };
    match settings.balance {
        Balance::Count => None,
        Balance::Load => {
            let given = settings.capacity.map(Capacity::new);
            Some(given.and_then(Result::ok).unwrap_or_else(cores))
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("stream", &self.stream)
            .field("application", &self.application)
            .field("worker_id", &self.worker_id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
