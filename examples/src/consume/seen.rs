use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kcl_core::model::{Moment, Position, Record, ShardId};
use kcl_core::{Clock, SystemClock};
use tokio::sync::watch;

/// The records that this process has received, over all its shards.
///
/// A shard's records arrive in order, so its greatest position is enough to recognise a record that
/// was received before.
#[derive(Debug, Default)]
pub struct Seen {
    bytes: AtomicU64,
    duplicates: AtomicU64,
    first: OnceLock<Moment>,
    progress: watch::Sender<ShardProgress>,
    shards: Mutex<HashMap<ShardId, ShardSeen>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ShardProgress {
    records: u64,
    last: Option<Moment>,
}

/// The greatest position of one shard in this process, across all acquisitions.
pub type ShardSeen = Arc<Mutex<Option<Position>>>;

impl Seen {
    /// The greatest position of a shard, shared by all acquisitions.
    pub fn shard(&self, shard: &ShardId) -> ShardSeen {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shards.entry(shard.clone()).or_default())
    }

    /// Notes when the first record was received. Call it before anything else is done with a batch.
    pub fn began(&self) {
        self.first.get_or_init(|| SystemClock.now());
    }

    /// Counts a batch, without reading the payloads.
    pub fn count(&self, shard: &ShardSeen, records: &[Record]) {
        let mut greatest = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut bytes, mut duplicates) = (0, 0);
        let mut last = greatest.as_ref();
        for record in records {
            bytes += record.data.len() as u64;
            if last.is_some_and(|last| record.position <= *last) {
                duplicates += 1;
            } else {
                last = Some(&record.position);
            }
        }
        *greatest = last.cloned();
        drop(greatest);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        self.progress.send_modify(|progress| {
            progress.records += records.len() as u64;
            progress.last = Some(SystemClock.now());
        });
    }

    /// The number of records, duplicates included.
    pub fn records(&self) -> u64 {
        self.progress.borrow().records
    }

    /// The bytes of their payloads.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of records that this process received again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// When the first one was received.
    pub fn first(&self) -> Option<Moment> {
        self.first.get().copied()
    }

    /// Waits until there are this many records; without a number, forever. Cancel safe.
    pub async fn reached(&self, records: Option<u64>) {
        let mut progress = self.progress.subscribe();
        match records {
            // The sender is in `self`, so the wait cannot end otherwise.
            Some(records) => drop(
                progress
                    .wait_for(|progress| progress.records >= records)
                    .await,
            ),
            None => std::future::pending().await,
        }
    }

    /// Waits until no record has arrived for `span` from now on; without a span, forever. Cancel
    /// safe.
    pub async fn idle(&self, span: Option<Duration>) {
        let Some(span) = span else {
            return std::future::pending().await;
        };
        let begun = SystemClock.now();
        loop {
            let quiet_since = self.progress.borrow().last.unwrap_or(begun);
            let until = quiet_since + span;
            if SystemClock.now() >= until {
                return;
            }
            SystemClock.sleep_until(until).await;
        }
    }
}
