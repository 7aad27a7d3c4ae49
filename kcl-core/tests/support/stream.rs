use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kcl_core::model::ShardId;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{
    Cursor, Error, Page, ShardFilter, ShardPage, ShardPageToken, StartAt, Stream, StreamDescription,
};

use super::locked;

type Hook =
    dyn Fn(Operation, Option<&ShardId>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A stream in memory whose calls can be held up, and which writes down where shards are opened.
#[derive(Clone)]
pub(crate) struct HookedStream {
    pub(crate) inner: MemoryStream,
    hook: Arc<Mutex<Option<Arc<Hook>>>>,
    opened: Arc<Mutex<Vec<(ShardId, StartAt)>>>,
}

impl HookedStream {
    pub(crate) fn new(inner: &MemoryStream) -> Self {
        Self {
            inner: inner.clone(),
            hook: Arc::default(),
            opened: Arc::default(),
        }
    }

    /// From now on this is waited for before each call is handed over.
    pub(crate) fn before<F>(
        &self,
        hook: impl Fn(Operation, Option<&ShardId>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        *locked(&self.hook) = Some(Arc::new(move |operation, shard| {
            Box::pin(hook(operation, shard))
        }));
    }

    /// Where a shard was opened, in order.
    pub(crate) fn opened(&self, shard: &ShardId) -> Vec<StartAt> {
        locked(&self.opened)
            .iter()
            .filter(|(of, _)| of == shard)
            .map(|(_, at)| at.clone())
            .collect()
    }

    async fn enter(&self, operation: Operation, shard: Option<&ShardId>) {
        let hook = locked(&self.hook).clone();
        if let Some(hook) = hook {
            hook(operation, shard).await;
        }
    }
}

impl fmt::Debug for HookedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Stream for HookedStream {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        self.enter(Operation::Describe, None).await;
        self.inner.describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        self.enter(Operation::ListShards, None).await;
        self.inner.list_shards(filter, page).await
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        locked(&self.opened).push((shard.clone(), at.clone()));
        self.enter(Operation::Open, Some(shard)).await;
        self.inner.open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        self.enter(Operation::Read, Some(cursor.shard())).await;
        self.inner.read(cursor, limit).await
    }
}
