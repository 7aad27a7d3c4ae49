use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::deaggregate::OutOfRange;
use crate::fetch::ByteBudget;
use crate::lease::LeaseTable;
use crate::model::{InitialPosition, StreamName, Timestamp, WorkerId};
use crate::processor::{ErasedFactory, OnFailure, RecordProcessorFactory};
use crate::runtime::{Clock, random_token, system_clock};
use crate::stream::Stream;

use super::mode::Mode;
use super::settings::{Checkpoints, CoordinationOn, OnDataGap, Settings, Until, WorkerLabel};
use super::streams::{ReadStream, StreamConfig, Streams};
use super::worker::{Worker, WorkerParts};

/// An invalid setting.
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
/// # let stream = MemoryStream::new("orders", 1);
/// # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
/// let error = builder.processor(|_: &ShardRef| Printer).failover(Duration::from_millis(20)).build().unwrap_err();
/// assert_eq!(error.setting, "failover");
/// println!("{error}");
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid setting `{setting}`: got {value}, expected {allowed}")]
#[non_exhaustive]
pub struct SettingError {
    /// The name of the setting.
    pub setting: &'static str,
    /// The value that was set, or `nothing` if none was set.
    pub value: String,
    /// The values that are allowed.
    pub allowed: String,
}

// A `main` that returns an error prints its `Debug`: that has to be the sentence, not the fields.
impl fmt::Debug for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
///     .source(MemoryStream::new("orders", 4)) // Left out, the stream is read from AWS.
///     .application("printer")
///     .lease_table(MemoryLeaseTable::new())
///     .processor(|_: &ShardRef| Printer)
///     // What follows has defaults.
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
    stream: Option<String>,
    source: Option<Arc<dyn Stream>>,
    streams: Vec<StreamConfig>,
    application: Option<String>,
    worker_id: Option<String>,
    table: Option<Arc<dyn LeaseTable>>,
    factory: Option<Arc<dyn ErasedFactory>>,
    budget: Option<ByteBudget>,
    clock: Option<Arc<dyn Clock>>,
    several: bool,
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

    /// Several streams, instead of one: their identity in the lease keys tells their leases apart,
    /// as in the KCL's multi-stream mode. An application has to keep to one of the two ways. The
    /// list may be empty: [`Worker::add_stream`] and [`Worker::remove_stream`] change it while the
    /// worker runs.
    pub fn streams(mut self, streams: impl IntoIterator<Item = StreamConfig>) -> Self {
        self.several = true;
        self.streams.extend(streams);
        self
    }

    /// The name of the application: workers with the same name share the shards. Required. A lease
    /// table that was opened for another application is refused by [`build`](Self::build).
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
    /// An `Arc<dyn LeaseTable>` is a lease table too: that is how a program chooses one at run
    /// time. The table's place is given when it is opened: `SqliteLeaseTable::open` takes the file,
    /// and `DynamoLeaseTable::open` takes region, credentials and endpoint from the environment
    /// (`AWS_ENDPOINT_URL_DYNAMODB`); `kcl_dynamo::OpenOptions::open_with_client` takes a client of
    /// one's own.
    pub fn lease_table(mut self, table: impl LeaseTable) -> Self {
        self.table = Some(Arc::new(table));
        self
    }

    /// Creates the processors, one for each shard that is acquired. Required.
    ///
    /// A closure needs the type of its parameter, as rustc cannot infer it: `.processor(|_shard:
    /// &ShardRef| MyProcessor)`.
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

    /// The clock. Default: the machine's.
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

    /// See [`Settings::max_moves`].
    pub const fn max_moves(mut self, requests: usize) -> Self {
        self.settings.max_moves = requests;
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
                .ok_or_else(|| missing("stream", "a stream's name or ARN"))?;
            configs.push(StreamConfig::of(name, self.source));
        } else if let Some(stream) = self.stream {
            let allowed = "either `stream` or `streams`".to_owned();
            return Err(SettingError {
                setting: "stream",
                value: format!("`{stream}`"),
                allowed,
            });
        }
        let has_no_source = configs.iter().any(lacks_source);
        let application = named(
            "application",
            self.application
                .ok_or_else(|| missing("application", NAME))?,
        )?;
        let mut streams: Vec<ReadStream> = Vec::new();
        for config in configs {
            let stream = read_stream(
                config,
                &self.settings,
                &application,
                self.several,
                clock.wall(),
            )?;
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
            .ok_or_else(|| missing("lease_table", "a lease table"))?;
        let factory = self
            .factory
            .ok_or_else(|| missing("processor", "a factory of record processors"))?;
        factory.check().map_err(|error| SettingError {
            setting: "processor",
            value: error.to_string(),
            allowed: "a factory with valid settings".to_owned(),
        })?;
        check_application(&*table, &application)?;
        if has_no_source {
            return Err(no_source());
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
            application,
            label: is_labelled.then(|| worker.clone()),
            worker,
            table,
            factory,
            budget,
            clock,
            settings: self.settings,
        }))
    }
}

pub(super) fn stream_name(name_or_arn: &str) -> Result<StreamName, SettingError> {
    name_or_arn
        .parse()
        .map_err(|error: crate::model::InvalidStreamName| SettingError {
            setting: "stream",
            value: format!("`{name_or_arn}`"),
            allowed: error.to_string(),
        })
}

/// Without a source a stream is read from AWS, if that can be.
pub(super) const fn lacks_source(config: &StreamConfig) -> bool {
    cfg!(not(feature = "kinesis")) && !config.has_source()
}

pub(super) fn no_source() -> SettingError {
    missing("source", "a stream to read (the feature `kinesis` is off)")
}

pub(super) fn one_stream_only() -> SettingError {
    let allowed = "a worker that was built with `streams`".to_owned();
    SettingError {
        setting: "streams",
        value: "those of a worker of one stream".to_owned(),
        allowed,
    }
}

/// A stream to read, checked.
pub(super) fn read_stream(
    config: StreamConfig,
    settings: &Settings,
    application: &str,
    is_one_of_several: bool,
    now: Timestamp,
) -> Result<ReadStream, SettingError> {
    let name = stream_name(config.name_or_arn())?;
    let default = settings.initial_position;
    check_position(config.position().unwrap_or(default), now)?;
    let consumer = config
        .own_mode()
        .unwrap_or(&settings.mode)
        .consumer(application, &name)?;
    Ok(config.read(name, default, is_one_of_several, consumer))
}

/// A worker of one application on the leases of another would share that one's shards, and its own
/// workers would read them again: neither would notice.
fn check_application(table: &dyn LeaseTable, application: &str) -> Result<(), SettingError> {
    match table.application() {
        Some(opened) if opened != application => Err(SettingError {
            setting: "lease_table",
            value: format!("a table that was opened for the application `{opened}`"),
            allowed: format!(
                "one that was opened for `{application}`, as the worker's `application` says"
            ),
        }),
        _ => Ok(()),
    }
}

const NAME: &str = "a name of 1 to 255 letters, digits, `_`, `.`, `-`, `:` and `/`";

fn missing(setting: &'static str, allowed: &str) -> SettingError {
    SettingError {
        setting,
        value: "nothing".to_owned(),
        allowed: allowed.to_owned(),
    }
}

fn named(setting: &'static str, name: String) -> Result<String, SettingError> {
    let fits = (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-:/".contains(&b));
    if fits {
        Ok(name)
    } else {
        Err(SettingError {
            setting,
            value: format!("`{name}`"),
            allowed: NAME.to_owned(),
        })
    }
}

fn check_position(position: InitialPosition, now: Timestamp) -> Result<(), SettingError> {
    if let InitialPosition::AtTimestamp(time) = position
        && time > now
    {
        // The service refuses it, for every shard and until that time has come.
        let allowed = format!("a time that has come (it is {now}), TRIM_HORIZON or LATEST");
        return Err(SettingError {
            setting: "initial_position",
            value: position.to_string(),
            allowed,
        });
    }
    Ok(())
}

fn check(settings: &Settings, now: Timestamp) -> Result<(), SettingError> {
    check_position(settings.initial_position, now)?;
    let span = |setting, value: Duration, least: Duration, most: Duration| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(SettingError {
            setting,
            value: format!("{value:?}"),
            allowed: format!("{least:?} to {most:?}"),
        })
    };
    let number = |setting, value: usize, least: usize, most: usize| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(SettingError {
            setting,
            value: value.to_string(),
            allowed: format!("{least} to {most}"),
        })
    };
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let milli = Duration::from_millis(1);
    // Below a second the call limit falls under what a table on a network needs.
    span("failover", settings.failover, second, hour)?;
    if let Some(start_within) = settings.start_within {
        span("start_within", start_within, milli, hour * 24)?;
    }
    number("max_leases", settings.max_leases, 1, usize::MAX)?;
    number("max_records", settings.max_records as usize, 1, 10_000)?;
    number("calls_per_second", settings.calls_per_second, 1, 1_000_000)?;
    span(
        "idle_ceiling",
        settings.idle_ceiling,
        milli,
        Duration::from_secs(60),
    )?;
    span(
        "call_limit",
        settings.call_limit,
        Duration::from_millis(100),
        hour,
    )?;
    span(
        "read_limit",
        settings.read_limit,
        Duration::from_millis(100),
        hour,
    )?;
    span(
        "refusal_limit",
        settings.refusal_limit,
        Duration::ZERO,
        hour * 24,
    )?;
    span("checkpoint_every", settings.checkpoint_every, milli, hour)?;
    span("handler_budget", settings.handler_budget, second, hour * 24)?;
    span(
        "handler_warning",
        settings.handler_warning,
        milli,
        hour * 24,
    )?;
    span("drain_limit", settings.drain_limit, milli, second * 10)?;
    number("max_moves", settings.max_moves, 1, usize::MAX)?;
    span("retry_from", settings.retry_from, milli, hour)?;
    span("retry_to", settings.retry_to, settings.retry_from, hour)?;
    span("audit_every", settings.audit_every, second, hour * 24)
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
