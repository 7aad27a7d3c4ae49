//! A cache of streams.
//!
//! The emulator's store returns a stream as a copy with all its shards, and every read of a shard
//! needs it: 256 subscriptions to 256 shards would copy 65,536 shards at each heartbeat. So the
//! last copy of a stream is kept while nothing can change it.
//!
//! A copy is never older than the last finished change, on which puts depend:
//!
//! - Changes are made one at a time, and are counted when they begin and when they end, so the
//!   count is odd during a change.
//! - A copy is kept, and used, only while the count is even and the same as when it was read.
//! - A change that the store will finish later shows in the stream's status, so only an ACTIVE
//!   stream is kept.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError, RwLock};

use ferrokinesis::store::Store;
use ferrokinesis::types::{Stream, StreamStatus};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::wire::Refusal;

/// The streams of a store.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Held by a change from its beginning to its end.
    one_at_a_time: Mutex<()>,
    /// Odd while a change is in progress.
    count: AtomicU64,
    /// Notified after each change.
    done: watch::Sender<()>,
    /// Copies of streams, each with the count at which it was read.
    read: RwLock<HashMap<String, (u64, Arc<Stream>)>>,
}

/// A change of streams or consumers in progress, which ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the change"]
pub(super) struct Change<'a> {
    /// Whose count it moves.
    streams: &'a Streams,
    _one_at_a_time: MutexGuard<'a, ()>,
}

impl Streams {
    /// A stream by its name.
    ///
    /// # Errors
    ///
    /// If there is no such stream.
    ///
    /// A copy that could be older than a change is read again, even if it later turns out to be the
    /// same.
    pub(super) async fn get(&self, store: &Store, name: &str) -> Result<Arc<Stream>, Refusal> {
        let count = self.count.load(SeqCst);
        let kept = self
            .read
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some((_, stream)) = kept.filter(|(at, _)| *at == count && is_still(count)) {
            return Ok(stream);
        }
        let stream = Arc::new(store.get_stream(name).await?);
        if stream.stream_status == StreamStatus::Active
            && is_still(count)
            && self.count.load(SeqCst) == count
        {
            let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
            read.retain(|_, (at, _)| *at == count);
            read.insert(name.to_owned(), (count, Arc::clone(&stream)));
        }
        Ok(stream)
    }

    /// Waits until no other change is in progress, and begins one: the store reads, changes and
    /// writes back. Cancel safe.
    pub(super) async fn change(&self) -> Change<'_> {
        let one_at_a_time = self.one_at_a_time.lock().await;
        self.count.fetch_add(1, SeqCst);
        Change {
            streams: self,
            _one_at_a_time: one_at_a_time,
        }
    }

    /// A receiver that is notified after each change.
    pub(super) fn follow(&self) -> watch::Receiver<()> {
        self.done.subscribe()
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.streams.count.fetch_add(1, SeqCst);
        self.streams.done.send_replace(());
    }
}

/// Whether no change was in progress at this count.
fn is_still(count: u64) -> bool {
    count.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use ferrokinesis::store::StoreOptions;
    use ferrokinesis::types::StreamStatus::{Active, Updating};
    use serde_json::json;

    use super::*;

    async fn store() -> Store {
        let store = Store::new(StoreOptions {
            create_stream_ms: 0,
            ..StoreOptions::default()
        });
        let operation = ferrokinesis::actions::Operation::CreateStream;
        ferrokinesis::actions::dispatch(
            &store,
            operation,
            json!({ "StreamName": "s", "ShardCount": 1 }),
        )
        .await
        .expect("creates");
        while store.get_stream("s").await.expect("a stream").stream_status != Active {
            tokio::task::yield_now().await;
        }
        store
    }

    async fn retain(store: &Store, hours: u32) {
        let set = store.update_stream("s", |stream| {
            stream.retention_period_hours = hours;
            Ok(())
        });
        set.await.expect("changes");
    }

    #[tokio::test]
    async fn a_stream_is_copied_once_between_two_changes() {
        let (store, streams) = (store().await, Streams::default());
        let first = streams.get(&store, "s").await.expect("a stream");
        assert!(Arc::ptr_eq(
            &first,
            &streams.get(&store, "s").await.expect("a stream")
        ));
        let change = streams.change().await;
        retain(&store, 48).await;
        drop(change);
        assert_eq!(
            streams
                .get(&store, "s")
                .await
                .expect("a stream")
                .retention_period_hours,
            48
        );
    }

    #[tokio::test]
    async fn nothing_is_kept_while_a_change_is_under_way() {
        let (store, streams) = (store().await, Streams::default());
        let change = streams.change().await;
        assert_eq!(
            streams
                .get(&store, "s")
                .await
                .expect("a stream")
                .retention_period_hours,
            24
        );
        retain(&store, 48).await;
        assert_eq!(
            streams
                .get(&store, "s")
                .await
                .expect("a stream")
                .retention_period_hours,
            48
        );
        drop(change);
        assert_eq!(
            streams
                .get(&store, "s")
                .await
                .expect("a stream")
                .retention_period_hours,
            48
        );
    }

    #[tokio::test]
    async fn a_stream_that_is_being_updated_is_read_anew_each_time() {
        let (store, streams) = (store().await, Streams::default());
        let status = |status| {
            store.update_stream("s", move |stream| {
                stream.stream_status = status;
                Ok(())
            })
        };
        status(Updating).await.expect("changes");
        assert_eq!(
            streams
                .get(&store, "s")
                .await
                .expect("a stream")
                .stream_status,
            Updating
        );
        status(Active).await.expect("changes");
        assert_eq!(
            streams
                .get(&store, "s")
                .await
                .expect("a stream")
                .stream_status,
            Active
        );
    }
}
