//! The contract of a stream that pushes its records (enhanced fan-out).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{ChildShard, RawRecord, SequenceNumber, ShardId, Timestamp};

use super::{Error, StartAt};

/// What a reader needs from one Kinesis stream to have records pushed to it (enhanced fan-out).
///
/// A stream that supports it returns an implementation from
/// [`Stream::fan_out`](super::Stream::fan_out). As with [`Stream`](super::Stream), implementations
/// do not pace or retry calls: that is up to the reader of the shard. Every future may be dropped
/// at any time; after a dropped registration, call [`describe_consumer`](Self::describe_consumer)
/// to see whether it took effect.
///
/// # Examples
/// ```
/// use kcl_core::MemoryStream;
/// use kcl_core::stream::{FanOut, StartAt};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let stream = MemoryStream::new("orders", 1);
/// let (shard, sequence) = stream.put("customer-7", "an order")?;
///
/// let consumer = stream.register_consumer("billing").await?;
/// let mut subscription = stream.subscribe(&consumer.arn, &shard, &StartAt::TrimHorizon).await?;
/// let event = subscription.next().await?.expect("an event");
/// assert_eq!(event.records[0].sequence, sequence);
/// # Ok::<(), kcl_core::stream::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait FanOut: fmt::Debug + Send + Sync + 'static {
    /// Describes a registered consumer.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`](super::ErrorKind::Gone) if the stream has no such consumer.
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error>;

    /// Registers a consumer with the stream. It can be used once its status is
    /// [`ConsumerStatus::Active`].
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](super::ErrorKind::Busy) if a consumer with this name exists, and
    /// [`ErrorKind::Throttled`](super::ErrorKind::Throttled) if the stream has as many consumers as
    /// Kinesis allows (20, or 50 on some plans) or too many are being created.
    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error>;

    /// Deregisters a consumer, which ends its subscriptions. It is not an error if the consumer
    /// does not exist or is being deleted already.
    ///
    /// # Errors
    /// As for any call.
    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error>;

    /// Subscribes a consumer to a shard: the service then pushes the shard's records, for at most
    /// five minutes.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](super::ErrorKind::Busy) if the consumer is subscribed to the shard
    /// already (the service demands five seconds between one subscription and the next) or is not
    /// active, and [`ErrorKind::Gone`](super::ErrorKind::Gone) if the shard or the consumer does
    /// not exist.
    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error>;

    /// How long the stream retains a record at least. The default is 24 hours, the shortest
    /// retention that Kinesis allows.
    ///
    /// A reader continues a subscription at the last [`continuation`](Pushed::continuation) only if
    /// no record after it can have expired in the meantime.
    fn retention(&self) -> Duration {
        Duration::from_hours(24)
    }
}

/// The records of a shard as they are pushed. Dropping it ends the subscription.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Waits until the next event starts to arrive, and returns how many bytes of memory are needed
    /// to receive it. Returns 0 if the event is small, has been received already, or its size is
    /// not known before it has been received. [`next`](Self::next) then returns the event, or why
    /// there is none.
    ///
    /// This lets the reader wait for free memory between the two calls: until `next` is called, no
    /// more of the event is received than the transport buffers. Calling this method is optional.
    /// Cancel safe.
    async fn begins(&mut self) -> usize {
        0
    }

    /// The next event, or `None` when the subscription has ended. It ends after five minutes, and
    /// may end for other reasons at any time. Beyond what the transport buffers, nothing is
    /// received until this is called. Cancel safe.
    ///
    /// # Errors
    /// If the subscription has failed. It returns no more events.
    async fn next(&mut self) -> Result<Option<Pushed>, Error>;
}

/// An event of a subscription.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Pushed {
    /// The records, in the order of their sequence numbers. Often none: an idle shard sends an
    /// empty event every few seconds.
    pub records: Vec<RawRecord>,
    /// Where the next subscription should start: after every record of the events up to this one.
    /// It also advances in events without records. `None` if the service did not say, and in the
    /// last event of a shard.
    pub continuation: Option<SequenceNumber>,
    /// How far the newest record of the event is behind the tip of the shard, in milliseconds. `None`
    /// if the service did not say.
    pub millis_behind_latest: Option<u64>,
    /// The child shards, if this is the last event of the shard, which has no continuation. No
    /// event follows it.
    pub end: Option<Vec<ChildShard>>,
    /// The child shards in an event that is not the last, because it has a continuation too.
    /// Kinesis names the children only in the last event. An emulator that names them earlier may
    /// never send a last event, so the reader then polls to find out whether the shard has ended.
    pub named: Vec<ChildShard>,
}

impl Pushed {
    /// Creates an event with these records.
    #[must_use]
    pub fn new(records: Vec<RawRecord>) -> Self {
        Self {
            records,
            ..Self::default()
        }
    }

    /// The same event, this many milliseconds behind the tip.
    #[must_use]
    pub const fn behind(mut self, millis: u64) -> Self {
        self.millis_behind_latest = Some(millis);
        self
    }

    /// The same event with this continuation.
    #[must_use]
    pub fn continued_at(mut self, continuation: SequenceNumber) -> Self {
        self.continuation = Some(continuation);
        self
    }

    /// The same event as the last of its shard, with the child shards.
    #[must_use]
    pub fn last(mut self, children: Vec<ChildShard>) -> Self {
        self.end = Some(children);
        self
    }
}

/// The ARN of a registered consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerArn(Arc<str>);

impl ConsumerArn {
    /// Creates the ARN from the service's text.
    #[must_use]
    pub fn new(arn: impl Into<Arc<str>>) -> Self {
        Self(arn.into())
    }

    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a call identifies a consumer.
///
/// A name is what an operator configures, and an ARN is what the service returned: a consumer that
/// was deleted and registered again has the same name and another ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhichConsumer {
    /// By its name, which is unique on a stream.
    Name(Arc<str>),
    /// By its ARN.
    Arn(ConsumerArn),
}

impl WhichConsumer {
    /// The name or the ARN as text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Arn(arn) => arn.as_str(),
        }
    }
}

/// A registered consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumer {
    /// Its ARN.
    pub arn: ConsumerArn,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it can be used.
    pub status: ConsumerStatus,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl Consumer {
    /// Creates the description of a consumer.
    #[must_use]
    pub fn new(
        arn: ConsumerArn,
        name: impl Into<Arc<str>>,
        status: ConsumerStatus,
        created_at: Timestamp,
    ) -> Self {
        Self {
            arn,
            name: name.into(),
            status,
            created_at,
        }
    }
}

/// Whether a registered consumer can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsumerStatus {
    /// It is being created and cannot subscribe yet.
    Creating,
    /// It can subscribe.
    Active,
    /// It is being deleted.
    Deleting,
}
