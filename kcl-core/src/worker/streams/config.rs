use std::fmt;
use std::sync::Arc;

use crate::model::{InitialPosition, InvalidValue, StreamName, Timestamp};
use crate::stream::Stream;
use crate::worker::mode::Mode;
use crate::worker::setting_error::SettingError;
use crate::worker::setting_limits::check_position;
use crate::worker::settings::Settings;

use super::ReadStream;

/// A stream to read, in a worker that reads several.
///
/// ```
/// use kcl_core::InitialPosition;
/// use kcl_core::worker::{FanOutConfig, Mode, StreamConfig};
///
/// let orders = StreamConfig::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders");
/// let visits = StreamConfig::new("visits").initial_position(InitialPosition::Latest).mode(Mode::FanOut(FanOutConfig::managed()));
/// # use kcl_core::Worker;
/// let builder = Worker::builder().streams([orders, visits]);
/// # drop(builder);
/// ```
#[derive(Clone)]
#[must_use]
pub struct StreamConfig {
    /// Checked only by `build`, so that this type can be made without a `Result`.
    name_or_arn: String,
    /// `None`: the service, with what the environment says.
    source: Option<Arc<dyn Stream>>,
    /// `None`: the worker's.
    initial_position: Option<InitialPosition>,
    /// `None`: the worker's.
    mode: Option<Mode>,
}

impl StreamConfig {
    /// The stream with this name or ARN, read from AWS with region and credentials from the
    /// environment, starting at the worker's initial position.
    pub fn new(name_or_arn: impl Into<String>) -> Self {
        Self {
            name_or_arn: name_or_arn.into(),
            source: None,
            initial_position: None,
            mode: None,
        }
    }

    /// For a worker of one stream, whose position and mode are settings of the worker.
    pub(in crate::worker) const fn of(
        name_or_arn: String,
        source: Option<Arc<dyn Stream>>,
    ) -> Self {
        Self {
            name_or_arn,
            source,
            initial_position: None,
            mode: None,
        }
    }

    /// How the stream is read. For example a stream in memory, in a test. Without it, the first
    /// call to the service is made when the worker runs, not by `build`.
    ///
    /// # Examples
    /// ```
    /// use kcl_core::worker::StreamConfig;
    /// use kcl_core::{MemoryLeaseTable, MemoryStream, Worker};
    /// # use kcl_core::{Failure, RecordProcessor, processor::{ProcessRecordsInput, ShardRef}};
    /// # struct Orders;
    /// # impl RecordProcessor for Orders {
    /// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> { Ok(()) }
    /// # }
    ///
    /// let orders = StreamConfig::new("orders").source(MemoryStream::new("orders", 1));
    /// let visits = StreamConfig::new("visits").source(MemoryStream::new("visits", 4));
    /// let worker = Worker::builder()
    ///     .application("billing")
    ///     .streams([orders, visits])
    ///     .lease_table(MemoryLeaseTable::new())
    ///     .processor(|_: &ShardRef| Orders)
    ///     .build()?;
    /// assert_eq!(worker.status().streams.len(), 2);
    /// # Ok::<(), kcl_core::worker::SettingError>(())
    /// ```
    pub fn source(mut self, source: impl Stream) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Where to start on its shards without a checkpoint. Default: the worker's [initial
    /// position](Settings::initial_position).
    pub const fn initial_position(mut self, position: InitialPosition) -> Self {
        self.initial_position = Some(position);
        self
    }

    /// How its shards are read. Default: the worker's [mode](Settings::mode).
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Without a source, the stream is read from AWS, if the feature `kinesis` is on.
    pub(in crate::worker) const fn lacks_source(&self) -> bool {
        cfg!(not(feature = "kinesis")) && self.source.is_none()
    }

    /// Checks the settings, and returns the stream to read.
    pub(in crate::worker) fn checked(
        self,
        settings: &Settings,
        application: &str,
        is_one_of_several: bool,
        now: Timestamp,
    ) -> Result<ReadStream, SettingError> {
        let name = stream_name(&self.name_or_arn)?;
        let position = self.initial_position.unwrap_or(settings.initial_position);
        check_position(position, now)?;
        let mode = self.mode.as_ref().unwrap_or(&settings.mode);
        let consumer = mode.consumer(application, &name)?;
        Ok(ReadStream::new(
            name,
            position,
            is_one_of_several,
            consumer,
            self.source,
        ))
    }
}

impl fmt::Debug for StreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConfig")
            .field("name_or_arn", &self.name_or_arn)
            .finish_non_exhaustive()
    }
}

/// The error shows the text that was given and what a name or an ARN looks like.
pub(in crate::worker) fn stream_name(name_or_arn: &str) -> Result<StreamName, SettingError> {
    name_or_arn
        .parse()
        .map_err(|error: InvalidValue| SettingError {
            setting: "stream",
            value: format!("`{name_or_arn}`"),
            allowed: error.to_string(),
        })
}
