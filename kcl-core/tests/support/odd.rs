use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::model::{Shard, ShardId};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::stream::{
    Consumer, ConsumerArn, Cursor, Error, FanOut, Page, Pushed, ShardFilter, ShardPage,
    ShardPageToken, StartAt, Stream, StreamDescription, Subscription, WhichConsumer,
};

use super::locked;

type OnAnswer<T> = Arc<Mutex<Option<Box<dyn FnMut(&ShardId, &mut T) + Send>>>>;
type OnListing = Arc<Mutex<Option<Box<dyn FnMut(&mut Vec<Shard>) + Send>>>>;

/// A stream in memory behind something that changes its answers, as emulators and proxies do.
#[derive(Clone)]
pub(crate) struct Odd {
    pub(crate) inner: MemoryStream,
    pages: OnAnswer<Page>,
    events: OnAnswer<Pushed>,
    listings: OnListing,
}

impl Odd {
    pub(crate) fn new(inner: &MemoryStream) -> Self {
        Self {
            inner: inner.clone(),
            pages: Arc::default(),
            events: Arc::default(),
            listings: Arc::default(),
        }
    }

    /// From now on each page passes this.
    pub(crate) fn pages(&self, change: impl FnMut(&ShardId, &mut Page) + Send + 'static) {
        *locked(&self.pages) = Some(Box::new(change));
    }

    /// From now on each event of a subscription passes this.
    pub(crate) fn events(&self, change: impl FnMut(&ShardId, &mut Pushed) + Send + 'static) {
        *locked(&self.events) = Some(Box::new(change));
    }

    /// From now on each listing passes this.
    pub(crate) fn listings(&self, change: impl FnMut(&mut Vec<Shard>) + Send + 'static) {
        *locked(&self.listings) = Some(Box::new(change));
    }
}

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Stream for Odd {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.inner.describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        let mut listed = self.inner.list_shards(filter, page).await?;
        if let Some(change) = &mut *locked(&self.listings) {
            change(&mut listed.shards);
        }
        Ok(listed)
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        self.inner.open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        let mut page = self.inner.read(cursor, limit).await?;
        if let Some(change) = &mut *locked(&self.pages) {
            change(cursor.shard(), &mut page);
        }
        Ok(page)
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl FanOut for Odd {
    async fn describe_consumer(&self, which: &WhichConsumer) -> Result<Consumer, Error> {
        self.inner.describe_consumer(which).await
    }

    async fn register_consumer(&self, name: &str) -> Result<Consumer, Error> {
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
        let inner = self.inner.subscribe(consumer, shard, at).await?;
        Ok(Box::new(OddSubscription {
            inner,
            shard: shard.clone(),
            events: Arc::clone(&self.events),
            endless: false,
        }))
    }

    fn retention(&self) -> Duration {
        self.inner.retention()
    }
}

struct OddSubscription {
    inner: Box<dyn Subscription>,
    shard: ShardId,
    events: OnAnswer<Pushed>,
    /// The last event was changed into one that is not the last: nothing follows it.
    endless: bool,
}

impl fmt::Debug for OddSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Subscription for OddSubscription {
    async fn next(&mut self) -> Result<Option<Pushed>, Error> {
        if self.endless {
            tokio::time::sleep(Duration::from_secs(5)).await;
            return Ok(Some(Pushed::default().behind(0)));
        }
        let event = self.inner.next().await?;
        Ok(event.map(|mut event| {
            let was_last = event.end.is_some();
            if let Some(change) = &mut *locked(&self.events) {
                change(&self.shard, &mut event);
            }
            self.endless = was_last && event.end.is_none();
            event
        }))
    }
}
