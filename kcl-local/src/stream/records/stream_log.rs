//! The records of one stream.
//!
//! Shards are locked one by one, so that readers of different shards do not wait for each other.
//! The gate is a lock of its own that only puts, and readers of closed shards, take.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, MutexGuard, watch};

use super::{Page, ShardLog, StoredRecord};

/// A stream's shards, and the gate for its puts.
#[derive(Debug, Default)]
pub(in crate::stream) struct StreamLog {
    /// Held by one put at a time.
    gate: Mutex<()>,
    /// By index. A shard is added when it is first used.
    shards: RwLock<BTreeMap<i64, Arc<ShardEntry>>>,
}

/// A shard with what its readers wait on.
#[derive(Debug)]
struct ShardEntry {
    /// Its records.
    log: RwLock<ShardLog>,
    /// The index of its next record: subscriptions wait until it changes.
    next: watch::Sender<u64>,
}

impl StreamLog {
    /// Waits until no other put is in progress, and then blocks others. Cancel safe.
    pub(in crate::stream) async fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// Reads a shard; see [`ShardLog::page`].
    pub(in crate::stream) fn page(
        &self,
        shard: i64,
        from: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Page {
        self.read(shard, |log| log.page(from, limit, max_bytes))
    }

    /// Reads from a shard's log.
    pub(in crate::stream) fn read<T>(&self, shard: i64, look: impl FnOnce(&ShardLog) -> T) -> T {
        let entry = self.entry(shard);
        let log = entry.log.read().unwrap_or_else(PoisonError::into_inner);
        look(&log)
    }

    /// Changes a shard's log, and wakes the readers that wait for records.
    ///
    /// The lock is released before anybody is woken, so that a reader does not wake up only to
    /// wait.
    pub(in crate::stream) fn change<T>(
        &self,
        shard: i64,
        change: impl FnOnce(&mut ShardLog) -> T,
    ) -> T {
        let entry = self.entry(shard);
        let mut log = entry.log.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut log);
        let next = log.next();
        drop(log);
        entry
            .next
            .send_if_modified(|seen| std::mem::replace(seen, next) != next);
        result
    }

    /// Stores records of a shard, in order.
    pub(in crate::stream) fn append(&self, shard: i64, records: Vec<StoredRecord>) {
        self.change(shard, |log| {
            for record in records {
                log.push(record);
            }
        });
    }

    /// A receiver of the index of a shard's next record.
    pub(in crate::stream) fn follow(&self, shard: i64) -> watch::Receiver<u64> {
        self.entry(shard).next.subscribe()
    }

    /// The shard, added if it is new.
    fn entry(&self, shard: i64) -> Arc<ShardEntry> {
        if let Some(entry) = self
            .shards
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&shard)
        {
            return Arc::clone(entry);
        }
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shards.entry(shard).or_insert_with(|| {
            let log = ShardLog::default();
            let next = watch::Sender::new(log.next());
            Arc::new(ShardEntry {
                log: RwLock::new(log),
                next,
            })
        }))
    }
}
