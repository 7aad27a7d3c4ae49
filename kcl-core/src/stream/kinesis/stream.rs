use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;

use crate::Clock;
use crate::model::StreamName;
use crate::runtime::system_clock;
use crate::stream::Error;

use super::classify::{Failure, Operation, classify};

/// A stream of AWS Kinesis. Clones share the SDK's client.
#[derive(Clone)]
pub struct KinesisStream {
    pub(super) client: Client,
    pub(super) stream: StreamName,
    pub(super) clock: Arc<dyn Clock>,
}

/// A connection is there within this time, or something is wrong with the way to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A call is answered within this time: KCL's `kinesisRequestTimeout`. A page may have 10 MiB of records.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

impl KinesisStream {
    /// The stream, read with the settings of this client, except that the SDK does not try again and that calls have time limits:
    /// 3 s for a connection and 30 s for a call where the client has none of its own.
    ///
    /// Must be called where the client's connections may live; it sends nothing and does not check that the stream exists.
    #[must_use]
    pub fn new(client: &Client, stream: StreamName) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(CALL_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT);
        let timeouts = match client.config().timeout_config() {
            Some(own) => own.to_builder().take_unset_from(limits),
            None => limits,
        };
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts.build()).build();
        Self { client: Client::from_conf(config), stream, clock: system_clock() }
    }

    /// The same stream with this clock. It stands in for the service's time where an endpoint does not tell it.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Fails when the client lacks what every call needs. The SDK would fail too, but as if the network had.
    pub(super) fn check(&self, operation: Operation) -> Result<(), Error> {
        match self.client.config().region() {
            Some(_) => Ok(()),
            None => Err(Error::new(classify(operation, &Failure::NotBuilt), operation.name(), "the client has no AWS region")),
        }
    }

    /// The stream's bare name, unless it was named by its ARN: calls carry one of the two.
    pub(super) fn name(&self) -> Option<String> {
        self.stream.arn().is_none().then(|| self.stream.name().to_owned())
    }

    pub(super) fn arn(&self) -> Option<String> {
        self.stream.arn().map(ToOwned::to_owned)
    }
}

impl fmt::Debug for KinesisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KinesisStream").field(&self.stream).finish()
    }
}
