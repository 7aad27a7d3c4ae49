//! Between the worker and its stream: decides whether a denied call is an error or only a bad
//! moment.
//!
//! ```text
//!   worker --> Patient --> Stream, FanOut, Subscription
//!                |
//!                +-- ServiceAccess: the result, as the worker should see it
//! ```
//!
//! Which [`Tells`] a call gets follows from the permissions that it needs. To read records needs
//! the iterator and the stream's key as well, so a page proves that the credentials are whole. The
//! calls about consumers need permissions that a polling application does not have.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::ShardId;
use crate::stream::{
    Consumer, ConsumerArn, Cursor, Error, FanOut, Page, Pushed, ShardFilter, ShardPage,
    ShardPageToken, StartAt, Stream, StreamDescription, Subscription, WhichConsumer,
};

use super::service_access::{ServiceAccess, Tells};

/// A wrapper around a stream or its fan-out, in which a denial counts only after it has lasted.
/// Every call with which a worker reads goes through it.
#[derive(Debug)]
pub(super) struct Patient<T: ?Sized> {
    /// Shared with the subscriptions and with the other shards of the stream, because permissions
    /// are given for a stream.
    refused: Arc<ServiceAccess>,
    /// The stream as the application gave it, or as it was made from the environment.
    inner: Arc<T>,
}

impl<T: ?Sized> Patient<T> {
    /// `refused` is that of the stream, so that what one shard has learned counts for all.
    pub(super) const fn new(refused: Arc<ServiceAccess>, inner: Arc<T>) -> Self {
        Self { refused, inner }
    }
}

#[async_trait]
impl Stream for Patient<dyn Stream> {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.refused.stream(
            Tells::Itself,
            "DescribeStreamSummary",
            self.inner.describe().await,
        )
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.refused.stream(
            Tells::Itself,
            "ListShards",
            self.inner.list_shards(filter, page).await,
        )
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        self.refused.stream(
            Tells::Itself,
            "GetShardIterator",
            self.inner.open(shard, at).await,
        )
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        self.refused.stream(
            Tells::Everything,
            "GetRecords",
            self.inner.read(cursor, limit).await,
        )
    }

    // These three make no call, so there is nothing to judge.
    fn memory_while_reading(&self) -> f64 {
        self.inner.memory_while_reading()
    }

    fn keep_within(&self, budget: usize) {
        self.inner.keep_within(budget);
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(Patient::new(
            Arc::clone(&self.refused),
            self.inner.fan_out()?,
        )))
    }
}

#[async_trait]
impl FanOut for Patient<dyn FanOut> {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        self.refused.stream(
            Tells::ItselfAlone,
            "DescribeStreamConsumer",
            self.inner.describe_consumer(which).await,
        )
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        self.refused.stream(
            Tells::ItselfAlone,
            "RegisterStreamConsumer",
            self.inner.register_consumer(name).await,
        )
    }

    /// Not judged: a worker never calls it while it reads. Only
    /// [`Worker::retire_consumers`](crate::Worker::retire_consumers) does, on the stream itself.
    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        self.inner.deregister_consumer(arn).await
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        let answer = self.inner.subscribe(consumer, shard, at).await;
        let inner = self
            .refused
            .stream(Tells::Everything, "SubscribeToShard", answer)?;
        Ok(Box::new(PatientSubscription {
            refused: Arc::clone(&self.refused),
            inner,
        }))
    }

    fn retention(&self) -> Duration {
        self.inner.retention()
    }
}

/// A subscription. A denial may come with any event, for example if the key of the stream is
/// disabled while a subscription is open.
#[derive(Debug)]
struct PatientSubscription {
    refused: Arc<ServiceAccess>,
    /// The subscription itself.
    inner: Box<dyn Subscription>,
}

#[async_trait]
impl Subscription for PatientSubscription {
    async fn begins(&mut self) -> usize {
        self.inner.begins().await
    }

    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        self.refused.stream(
            Tells::Everything,
            "SubscribeToShard",
            self.inner.next().await,
        )
    }
}
