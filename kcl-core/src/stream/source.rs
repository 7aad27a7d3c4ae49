//! The contract of a stream that is read by polling.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::ShardId;

use super::{
    Cursor, Error, FanOut, Page, ShardFilter, ShardPage, ShardPageToken, StartAt, StreamDescription,
};

/// What a polling reader needs from one Kinesis stream.
///
/// Implementations do not pace calls, and do not retry beyond what their transport does by itself:
/// pacing, backoff and the handling of an [`Error`] are up to the reader. Reading changes nothing
/// in the stream, so every future may be dropped at any time.
///
/// # Examples
/// A reader in its simplest form: it lists the shards, opens the first one, and reads until it has
/// caught up.
///
/// ```
/// use kcl_core::MemoryStream;
/// use kcl_core::stream::{ShardFilter, StartAt, Stream};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let stream = MemoryStream::new("orders", 1);
/// stream.put_many([("customer-7", "one"), ("customer-7", "two")])?;
///
/// let shards = stream.list_shards(&ShardFilter::AtLatest, None).await?.shards;
/// let mut cursor = stream.open(&shards[0].id, &StartAt::TrimHorizon).await?;
/// let mut read = 0;
/// loop {
///     let page = stream.read(&cursor, 1).await?;
///     read += page.records.len();
///     match page.next {
///         Some(next) if page.millis_behind_latest != Some(0) => cursor = next,
///         _ => break,
///     }
/// }
/// assert_eq!(read, 2);
/// # Ok::<(), kcl_core::stream::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait Stream: fmt::Debug + Send + Sync + 'static {
    /// Describes the stream.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`](super::ErrorKind::Gone) if there is no such stream.
    async fn describe(&self) -> Result<StreamDescription, Error>;

    /// Lists one page of shards. Start without a page token and continue with [`ShardPage::next`]
    /// until that is `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Expired`](super::ErrorKind::Expired) if the page token is too old: start the
    /// list again.
    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error>;

    /// Opens a shard at a position.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`](super::ErrorKind::Gone) if the shard has been removed from the stream.
    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error>;

    /// Reads at most `limit` records (1 to 10,000, the service's bounds) from a cursor.
    ///
    /// # Errors
    /// [`ErrorKind::Expired`](super::ErrorKind::Expired) if the cursor is too old: open the shard
    /// again.
    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error>;

    /// How much memory a page takes while it is being received, as a multiple of what it takes
    /// afterwards. With a text encoding, the message and the records decoded from it are in memory
    /// at the same time. The default is 1.
    fn memory_while_reading(&self) -> f64 {
        1.0
    }

    /// Says how much memory the worker's byte budget has, in bytes. A stream that keeps buffers for
    /// later pages keeps no more of them than fit into it beside those in use. The default keeps
    /// none.
    #[doc(hidden)]
    fn keep_within(&self, _budget: usize) {}

    /// The stream's enhanced fan-out, or `None` if it cannot push records, which is the default.
    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        None
    }
}

#[async_trait]
impl<T: Stream + ?Sized> Stream for Arc<T> {
    async fn describe(&self) -> Result<StreamDescription, Error> {
        (**self).describe().await
    }

    async fn list_shards(
        &self,
        filter: &ShardFilter,
        page: Option<&ShardPageToken>,
    ) -> Result<ShardPage, Error> {
        (**self).list_shards(filter, page).await
    }

    async fn open(&self, shard: &ShardId, at: &StartAt) -> Result<Cursor, Error> {
        (**self).open(shard, at).await
    }

    async fn read(&self, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
        (**self).read(cursor, limit).await
    }

    fn memory_while_reading(&self) -> f64 {
        (**self).memory_while_reading()
    }

    fn keep_within(&self, budget: usize) {
        (**self).keep_within(budget);
    }

    fn fan_out(&self) -> Option<Arc<dyn FanOut>> {
        (**self).fan_out()
    }
}
