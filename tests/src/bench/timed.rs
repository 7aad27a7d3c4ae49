use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::model::{Moment, SequenceNumber, ShardId};
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::{
    Consumer, ConsumerArn, Cursor, Error, FanOut, Page, Pushed, ShardFilter, ShardPage,
    ShardPageToken, StartAt, Stream, StreamDescription, Subscription, WhichConsumer,
};
use kcl_core::{Clock, SystemClock};

/// The stream of the SDK, which notes when each event of a subscription was there.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    stream: KinesisStream,
    arrivals: Arc<Arrivals>,
}

/// When events were there that have not been handed to the application yet, by their first records.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<HashMap<(ShardId, SequenceNumber), Moment>>);

impl Arrivals {
    fn note(&self, shard: &ShardId, first: &SequenceNumber, at: Moment) {
        let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What comes again after a subscription was renewed came when it came first.
        arrivals.entry((shard.clone(), first.clone())).or_insert(at);
    }

    /// When the event with this first record was there. Asked once.
    pub(super) fn take(&self, shard: &ShardId, first: &SequenceNumber) -> Option<Moment> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(shard.clone(), first.clone()))
    }
}

impl Timed {
    pub(super) fn new(stream: KinesisStream) -> (Self, Arc<Arrivals>) {
        let arrivals = Arc::<Arrivals>::default();
        (
            Self {
                stream,
                arrivals: Arc::clone(&arrivals),
            },
            arrivals,
        )
    }
}

#[async_trait]
impl Stream for Timed {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.stream.describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.stream.list_shards(filter, page).await
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        self.stream.open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        self.stream.read(cursor, limit).await
    }

    fn memory_while_reading(&self) -> f64 {
        self.stream.memory_while_reading()
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl FanOut for Timed {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        self.stream.describe_consumer(which).await
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        self.stream.register_consumer(name).await
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        self.stream.deregister_consumer(arn).await
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        let subscription = self.stream.subscribe(consumer, shard, at).await?;
        Ok(Box::new(TimedSubscription {
            subscription,
            shard: shard.clone(),
            arrivals: Arc::clone(&self.arrivals),
        }))
    }

    fn retention(&self) -> Duration {
        self.stream.retention()
    }
}

#[derive(Debug)]
struct TimedSubscription {
    subscription: Box<dyn Subscription>,
    shard: ShardId,
    arrivals: Arc<Arrivals>,
}

#[async_trait]
impl Subscription for TimedSubscription {
    async fn begins(&mut self) -> usize {
        self.subscription.begins().await
    }

    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        let next = self.subscription.next().await;
        let at = SystemClock.now();
        if let Ok(Some(pushed)) = &next
            && let Some(first) = pushed.records.first()
        {
            self.arrivals.note(&self.shard, &first.sequence, at);
        }
        next
    }
}
