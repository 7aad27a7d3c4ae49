use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::model::ShardId;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::stream::{
    Consumer, ConsumerArn, Cursor, Error, ErrorKind, FanOut, Page, Pushed, ShardFilter, ShardPage,
    ShardPageToken, StartAt, Stream, StreamDescription, Subscription, WhichConsumer,
};

use super::locked;

/// A stream as one process sees it: its calls can be made to fail while those of other processes
/// are answered.
#[derive(Clone, Debug)]
pub(crate) struct CutStream {
    inner: MemoryStream,
    fails: Arc<Mutex<Fails>>,
}

#[derive(Debug, Default)]
struct Fails {
    with: Option<ErrorKind>,
    /// Only these calls; all if there are none.
    only: BTreeSet<&'static str>,
}

impl CutStream {
    pub(crate) fn new(inner: &MemoryStream) -> Self {
        Self {
            inner: inner.clone(),
            fails: Arc::default(),
        }
    }

    /// From now on each call fails so.
    pub(crate) fn fail(&self, with: ErrorKind) {
        self.fail_only(with, &[]);
    }

    /// From now on these calls fail so.
    pub(crate) fn fail_only(&self, with: ErrorKind, calls: &[&'static str]) {
        *locked(&self.fails) = Fails {
            with: Some(with),
            only: calls.iter().copied().collect(),
        };
    }

    pub(crate) fn mend(&self) {
        *locked(&self.fails) = Fails::default();
    }

    fn check(&self, call: &'static str) -> Result<(), Error> {
        let fails = locked(&self.fails);
        let Some(kind) = fails
            .with
            .filter(|_| fails.only.is_empty() || fails.only.contains(call))
        else {
            return Ok(());
        };
        Err(Error::new(kind, call, "this process is cut off").caused_by("the token has expired"))
    }
}

#[async_trait]
impl Stream for CutStream {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.check("DescribeStreamSummary")?;
        self.inner.describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.check("ListShards")?;
        self.inner.list_shards(filter, page).await
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        self.check("GetShardIterator")?;
        self.inner.open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        self.check("GetRecords")?;
        self.inner.read(cursor, limit).await
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(CutFanOut {
            cut: self.clone(),
            inner: self.inner.fan_out()?,
        }))
    }
}

#[derive(Debug)]
struct CutFanOut {
    cut: CutStream,
    inner: Arc<dyn FanOut>,
}

#[async_trait]
impl FanOut for CutFanOut {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        self.cut.check("DescribeStreamConsumer")?;
        self.inner.describe_consumer(which).await
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
        self.cut.check("RegisterStreamConsumer")?;
        self.inner.register_consumer(name).await
    }

    async fn deregister_consumer(&self, arn: &ConsumerArn) -> Result<(), Error> {
        self.inner.deregister_consumer(arn).await
    }

    async fn subscribe(
        &self,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: &StartAt,
    ) -> Result<Box<dyn Subscription>, Error> {
        self.cut.check("SubscribeToShard")?;
        let inner = self.inner.subscribe(consumer, shard, at).await?;
        Ok(Box::new(CutSubscription {
            cut: self.cut.clone(),
            inner,
        }))
    }

    fn retention(&self) -> Duration {
        self.inner.retention()
    }
}

#[derive(Debug)]
struct CutSubscription {
    cut: CutStream,
    inner: Box<dyn Subscription>,
}

#[async_trait]
impl Subscription for CutSubscription {
    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        let next = self.inner.next().await;
        self.cut.check("SubscribeToShard")?;
        next
    }
}
