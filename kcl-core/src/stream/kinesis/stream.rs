use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{Builder, HttpClient, StalledStreamProtectionConfig};
use tokio::sync::OnceCell;

use crate::Clock;
use crate::model::StreamName;
use crate::runtime::system_clock;
use crate::stream::{Error, ErrorKind};

use super::call::{DirectCall, is_cbor_wanted};
use super::classify::{CallFailure, KinesisOperation, classify};
use super::http::{Http1Client, Http2Client};
use super::note_endpoint::NoteEndpoint;
use super::page_pool::PagePool;

/// A stream of AWS Kinesis. Clones share the SDK's client and the connections of subscriptions.
///
/// ```
/// use kcl_core::aws_sdk_kinesis::config::{BehaviorVersion, Region};
/// use kcl_core::aws_sdk_kinesis::{Client, Config};
/// use kcl_core::{KinesisStream, Worker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::BoxError> {
/// // Another region than that of the environment; an application takes `aws_config` for credentials as well.
/// let config = Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("eu-west-1")).build();
/// let orders = KinesisStream::new(&Client::from_conf(config), "orders".parse()?);
/// let builder = Worker::builder().stream("orders").source(orders);
/// # drop(builder);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KinesisStream {
    pub(super) client: Client,
    /// What is different for a subscription: what its response comes by, which the SDK must not cut
    /// off for being slow.
    pub(super) subscribing: Builder,
    /// A call is answered within this time; of a subscription, that is its first event.
    pub(super) call_limit: Duration,
    /// A connection is there within this time.
    pub(super) connect_limit: Duration,
    /// How pages are read, unless by the SDK.
    pub(super) direct: Option<Arc<DirectCall>>,
    /// Where calls go.
    pub(super) endpoint: NoteEndpoint,
    /// What events are received into, unless it is what pages are received into.
    pub(super) pages: PagePool,
    pub(super) stream: StreamName,
    /// The ARN of a stream that was named otherwise, once it was asked for.
    pub(super) arn_found: Arc<OnceCell<Arc<str>>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A connection is there within this time, or something is wrong with the way to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A call is answered within this time: KCL's `kinesisRequestTimeout`. A page may have 10 MiB of
/// records.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

impl KinesisStream {
    /// The stream, read with the settings of this client, except that the SDK does not try again
    /// and that calls have time limits: 3 s for a connection and 30 s for a call where the client
    /// has none of its own.
    ///
    /// Subscriptions go by connections of their own, an [`Http2Client`], unless the client was
    /// given an HTTP client: then by that one, as all else does, since it may know a way to the
    /// service that others do not. What is ahead of it is then to be minded by who gave it: one
    /// connection carries only so many streams, often 100, and what is beyond that may wait unseen.
    /// [`subscribe_over`](Self::subscribe_over) gives subscriptions another.
    ///
    /// Must be called where the client's connections may live; it sends nothing and does not check
    /// that the stream exists.
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
        let timeouts = timeouts.build();
        let call_limit = timeouts.operation_timeout().unwrap_or(CALL_TIMEOUT);
        let connect_limit = timeouts.connect_timeout().unwrap_or(CONNECT_TIMEOUT);
        let endpoint = NoteEndpoint::default();
        let config = client
            .config()
            .to_builder()
            .interceptor(endpoint.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        let own = config.http_client();
        // Five seconds without a byte are usual between the events of an idle shard.
        let subscribing =
            Builder::new().stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let plain = Self {
            client: Client::from_conf(config),
            subscribing,
            call_limit,
            connect_limit,
            direct: None,
            endpoint,
            pages: PagePool::new(),
            stream,
            arn_found: Arc::default(),
            clock: system_clock(),
        };
        match own {
            Some(_) => plain,
            None => plain.subscribe_over(Http2Client::new()),
        }
    }

    /// The same stream with its subscriptions over this HTTP client. Everything else goes over the
    /// one of the SDK's client.
    #[must_use]
    pub fn subscribe_over(mut self, client: impl HttpClient + 'static) -> Self {
        self.subscribing = self.subscribing.http_client(client);
        self
    }

    /// The same stream whose pages are read over these connections, by calls that are not the SDK's:
    /// in CBOR where the endpoint has it, at a third of the cost. The endpoint, the credentials, the
    /// time and the limits of a call are those that the SDK would use. A call that the SDK would
    /// make with more than that, it makes: to an endpoint with a signature of another kind. What the
    /// SDK's interceptors of calls do, this does not; `GetRecords` alone is read so.
    ///
    /// [`from_env`](Self::from_env) and [`from_config`](Self::from_config) do this, unless the
    /// configuration has an HTTP client of its own.
    #[must_use]
    pub fn read_over(mut self, client: Http1Client) -> Self {
        let direct = match &self.direct {
            Some(direct) => direct.over(client),
            None => DirectCall::new(client, is_cbor_wanted(|name| std::env::var(name).ok())),
        };
        self.direct = Some(Arc::new(direct));
        self
    }

    /// The same stream, never asked for pages in CBOR, but in JSON: for an endpoint that answers
    /// CBOR wrongly. One that does not understand it is noticed without this. The environment says
    /// the same with `AWS_CBOR_DISABLE` or `CBOR_ENABLED=false`, as for the SDK for Java.
    #[must_use]
    pub fn without_cbor(mut self) -> Self {
        self.direct = self.direct.map(|direct| Arc::new(direct.in_json()));
        self
    }

    /// The same stream with this clock. It stands in for the service's time where an endpoint does
    /// not tell it, and bounds the wait for the first event of a subscription.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Fails when the client lacks what every call needs. The SDK would fail too, but as if the
    /// network had.
    pub(super) fn check(&self, operation: KinesisOperation) -> Result<(), Error> {
        match self.client.config().region() {
            Some(_) => Ok(()),
            None => Err(Error::new(
                classify(operation, &CallFailure::NotBuilt),
                operation.name(),
                "the client has no AWS region",
            )),
        }
    }

    /// The same error. One that says that nobody or nothing is there says where as well.
    pub(super) fn placed(&self, mut error: Error) -> Error {
        let is_silence = error.kind == ErrorKind::Unreachable && error.code.is_none();
        if is_silence || error.kind == ErrorKind::Gone {
            let region = self.client.config().region();
            let region = region.map_or("unknown", |region| region.as_ref());
            if let Some(endpoint) = self.endpoint.noted() {
                error
                    .message
                    .push_str(&format!(" (asked: {endpoint}, region {region})"));
            }
        }
        error
    }

    /// The buffers that pages and events are received into.
    pub(super) fn pages(&self) -> PagePool {
        match &self.direct {
            Some(direct) => direct.pages().clone(),
            None => self.pages.clone(),
        }
    }

    /// The stream's bare name, unless it was named by its ARN: calls carry one of the two.
    pub(super) fn name(&self) -> Option<String> {
        self.stream
            .arn()
            .is_none()
            .then(|| self.stream.name().to_owned())
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
