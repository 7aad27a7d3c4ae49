use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::Clock;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::ShardId;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{
    Consumer, ConsumerArn, Cursor, Error, FanOut, Page, ShardFilter, ShardPage, ShardPageToken,
    StartAt, Stream, StreamDescription, Subscription, WhichConsumer,
};
use kcl_core::worker::{Builder, CoordinationOn, FanOutConfig, Mode};

use super::{Fleet, TokioClock};

/// A stream that pushes and a table, on tokio's time; workers of it read by fan-out.
pub(crate) struct Pushing {
    pub(crate) stream: MemoryStream,
    pub(crate) table: MemoryLeaseTable,
    pub(crate) clock: TokioClock,
}

impl Pushing {
    pub(crate) fn new(shards: u32) -> Self {
        let clock = TokioClock::new();
        Self {
            stream: MemoryStream::with_clock("orders", shards, Arc::new(clock)),
            table: MemoryLeaseTable::new(),
            clock,
        }
    }

    /// The name of the only shard there is.
    pub(crate) fn shard(&self) -> ShardId {
        self.stream.open_shards().remove(0)
    }

    pub(crate) fn fleet(&self) -> Fleet {
        self.fleet_as(Mode::FanOut(FanOutConfig::managed()))
    }

    pub(crate) fn fleet_as(&self, mode: Mode) -> Fleet {
        self.fleet_of(&self.stream, mode)
    }

    /// Workers that see the stream in another way.
    pub(crate) fn fleet_of(&self, stream: &(impl Stream + Clone), mode: Mode) -> Fleet {
        let own = |builder: Builder| {
            let builder = builder
                .clock(self.clock)
                .coordination_on(CoordinationOn::CallersRuntime);
            builder.mode(mode).failover(Duration::from_secs(30))
        };
        Fleet::new(stream, &self.table).with(own)
    }

    /// What the pace demands of the calls: never two of one shard within a second.
    pub(crate) fn assert_paced(&self) {
        for shard in self.stream.shards() {
            let calls = self
                .stream
                .calls()
                .into_iter()
                .filter(|call| call.operation == Operation::Subscribe);
            let at: Vec<_> = calls
                .filter(|call| call.shard.as_ref() == Some(&shard.id))
                .map(|call| call.at)
                .collect();
            for two in at.windows(2) {
                assert!(
                    two[1].since(two[0]) > Duration::from_secs(1),
                    "{}: {two:?}",
                    shard.id
                );
            }
        }
    }

    /// How long the longest pause was from a subscription's end, or from a call that was refused,
    /// to the next call.
    pub(crate) fn longest_pause(&self) -> Duration {
        let (calls, made) = (self.stream.calls(), self.stream.subscriptions());
        let mut longest = Duration::ZERO;
        for shard in self.stream.shards() {
            let calls = calls.iter().filter(|call| {
                call.operation == Operation::Subscribe && call.shard.as_ref() == Some(&shard.id)
            });
            let calls: Vec<_> = calls.map(|call| call.at).collect();
            for two in calls.windows(2) {
                let made = made
                    .iter()
                    .find(|made| made.shard == shard.id && made.at == two[0]);
                let free = made
                    .map_or(Some(two[0]), |made| made.over)
                    .expect("a subscription that was replaced was over");
                longest = longest.max(two[1].since(free));
            }
        }
        longest
    }

    pub(crate) fn now(&self) -> kcl_core::model::Moment {
        self.clock.now()
    }
}

/// The same stream, a while away: each call about consumers takes so long to arrive.
#[derive(Clone, Debug)]
pub(crate) struct Distant(pub(crate) MemoryStream, pub(crate) Duration);

#[async_trait]
impl Stream for Distant {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.0.describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.0.list_shards(filter, page).await
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        self.0.open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        self.0.read(cursor, limit).await
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl FanOut for Distant {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        tokio::time::sleep(self.1).await;
        self.0.describe_consumer(which).await
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        tokio::time::sleep(self.1).await;
        self.0.register_consumer(name).await
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        self.0.deregister_consumer(arn).await
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        self.0.subscribe(consumer, shard, at).await
    }

    fn retention(&self) -> Duration {
        self.0.retention()
    }
}
