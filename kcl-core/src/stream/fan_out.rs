use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{ChildShard, RawRecord, SequenceNumber, ShardId, Timestamp};

use super::{Error, StartAt};

/// What one Kinesis stream does for a reader to which records are pushed (enhanced fan-out).
///
/// A stream that can do it says so in [`Stream::fan_out`](super::Stream::fan_out). As with
/// [`Stream`](super::Stream), implementations do not pace and do not retry: that belongs to whoever
/// reads the shard. Every future may be dropped at any time; after a dropped registration, call
/// [`describe_consumer`](Self::describe_consumer) to see whether it took effect.
#[async_trait]
pub trait FanOut: fmt::Debug + Send + Sync + 'static {
    /// Says what a registered consumer is.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`](super::ErrorKind::Gone) when the stream has no such consumer.
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error>;

    /// Registers a consumer with the stream. It can be used when its description says
    /// [`ConsumerStatus::Active`].
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](super::ErrorKind::Busy) when there is one of this name,
    /// [`ErrorKind::Throttled`](super::ErrorKind::Throttled) when the stream has as many as it may
    /// (20, or 50 on some plans), or too many are being made.
    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error>;

    /// Removes a consumer and ends its subscriptions. One that is not there, or is being removed,
    /// is no error.
    ///
    /// # Errors
    /// As for any call.
    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error>;

    /// Subscribes a consumer to a shard: from here on its records come by themselves, for at most
    /// five minutes.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](super::ErrorKind::Busy) when the consumer is subscribed to the shard
    /// (the service demands five seconds between one subscription and the next), or is not active;
    /// [`ErrorKind::Gone`](super::ErrorKind::Gone) when the shard or the consumer is not there.
    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error>;

    /// For how long the stream keeps a record, at the least. Unless told otherwise 24 h, the
    /// shortest retention that Kinesis has.
    ///
    /// A subscription that follows another one goes on at the
    /// [`continuation`](Pushed::continuation) if nothing behind it can have aged out by then.
    fn retention(&self) -> Duration {
        Duration::from_hours(24)
    }
}

/// A shard's records as they come. Dropping it ends the subscription.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Waits until the next event has begun to come, and says how many bytes of memory it takes to
    /// receive it; 0 when it is there, is a small one, or when that is not known before it is
    /// there. [`next`](Self::next) then gives the event, or why there is none.
    ///
    /// Whoever reads makes room in between, if it takes that long: until `next` is called, no more
    /// of the event is received than the transport buffers. Cancel safe. It need not be called.
    async fn begins(&mut self) -> usize {
        0
    }

    /// The next event; nothing when the subscription has ended, which it does after five minutes,
    /// and for other reasons at any time. Nothing is received before it is asked for, beyond what
    /// the transport buffers. Cancel safe.
    ///
    /// # Errors
    /// The subscription has failed and gives nothing more.
    async fn next(&mut self) -> Result<Option<Pushed>, Error>;
}

/// An event of a subscription.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Pushed {
    /// The records, in the order of their sequence numbers. Often none: an idle shard sends an
    /// empty event every few seconds.
    pub records: Vec<RawRecord>,
    /// A place behind everything that the events up to this one gave, at which another subscription
    /// goes on. It moves on also when there are no records. Nothing when the service did not say,
    /// and in the last event of a shard.
    pub continuation: Option<SequenceNumber>,
    /// How old the newest record of the event is against the tip of the shard; nothing when the
    /// service did not say.
    pub millis_behind_latest: Option<u64>,
    /// The shards that follow, when this is the last event of the shard: it had no continuation.
    /// Nothing follows such an event.
    pub end: Option<Vec<ChildShard>>,
    /// The shards that follow, in an event that is not the last: it has a continuation too. The
    /// service names them with the last event only; a server that does so earlier may never send a
    /// last one, and is asked by polling whether the shard has ended.
    pub named: Vec<ChildShard>,
}

impl Pushed {
    /// An event with these records.
    #[must_use]
    pub fn new(records: Vec<RawRecord>) -> Self {
        Self {
            records,
            ..Self::default()
        }
    }

    /// The same event, this far behind the tip.
    #[must_use]
    pub const fn behind(mut self, millis: u64) -> Self {
        self.millis_behind_latest = Some(millis);
        self
    }

    /// The same event, after which a subscription at this place goes on.
    #[must_use]
    pub fn continued_at(mut self, continuation: SequenceNumber) -> Self {
        self.continuation = Some(continuation);
        self
    }

    /// The same event as the last of its shard, with the shards that follow.
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
    /// This text as the service gave it.
    #[must_use]
    pub fn new(arn: impl Into<Arc<str>>) -> Self {
        Self(arn.into())
    }

    /// Its text.
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

/// How a consumer is named in a question about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhichConsumer {
    /// By its name on this stream.
    Name(Arc<str>),
    /// By its ARN.
    Arn(ConsumerArn),
}

impl WhichConsumer {
    /// Its name or its ARN.
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
    /// The consumer with these facts.
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
    /// It is being made.
    Creating,
    /// It can subscribe.
    Active,
    /// It is being removed.
    Deleting,
}
