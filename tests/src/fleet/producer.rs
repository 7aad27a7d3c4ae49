use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard};
use kcl_core::BoxError;
use kcl_core::{Clock, SystemClock};

use examples::embedded::{Embedded, is_open};

use super::verdict::PutLog;

/// Puts so many records a second into each open shard, and knows which.
#[derive(Debug)]
pub struct Producer {
    stream: Arc<Embedded>,
    /// Records a second and shard.
    rate: AtomicU64,
    put: AtomicU64,
    log: Mutex<PutLog>,
    /// The shards have changed.
    stale: AtomicBool,
    /// A tick is under way.
    busy: AtomicBool,
}

const TICK: Duration = Duration::from_millis(100);
/// Kinesis: records of one `PutRecords`.
const BATCH: usize = 500;
/// A record's content: what it says is beside the point.
const BYTES: usize = 100;

impl Producer {
    /// A producer for this stream, which puts nothing before it [runs](Self::run).
    #[must_use]
    pub fn new(stream: &Arc<Embedded>, rate: u64) -> Self {
        Self {
            stream: Arc::clone(stream),
            rate: rate.into(),
            put: AtomicU64::new(0),
            log: Mutex::default(),
            stale: true.into(),
            busy: false.into(),
        }
    }

    fn log(&self) -> MutexGuard<'_, PutLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was put so far.
    #[must_use]
    pub fn put(&self) -> PutLog {
        self.log().clone()
    }

    /// How many records were put so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.put.load(Ordering::SeqCst)
    }

    /// From now on so many records a second and shard; 0 to rest. What is on its way is not called
    /// back: see [`is_resting`](Self::is_resting).
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::SeqCst);
    }

    /// Records a second and shard.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate.load(Ordering::SeqCst)
    }

    /// Whether nothing is put and nothing is on its way.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.rate() == 0 && !self.busy.load(Ordering::SeqCst)
    }

    /// The shards of the stream have changed.
    pub fn look_at_shards(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }

    /// Puts for ever.
    ///
    /// # Errors
    /// The stream refuses a record.
    pub async fn run(&self) -> Result<(), BoxError> {
        let mut hash_keys = Vec::new();
        let mut due = 0.0;
        let mut next = SystemClock.now();
        loop {
            // Late ticks are made up for, one after the other.
            next = next + TICK;
            SystemClock.sleep_until(next).await;
            if self.stale.swap(false, Ordering::SeqCst) {
                hash_keys = self.hash_keys().await?;
            }
            self.busy.store(true, Ordering::SeqCst);
            due += self.rate() as f64 * TICK.as_secs_f64();
            let each = due as usize;
            due -= each as f64;
            let keys: Vec<_> = (0..each).flat_map(|_| &hash_keys).collect();
            for keys in keys.chunks(BATCH) {
                self.put_each(keys).await?;
            }
            self.busy.store(false, Ordering::SeqCst);
        }
    }

    /// A hash key in each open shard.
    async fn hash_keys(&self) -> Result<Vec<String>, BoxError> {
        let shards = self.stream.shards().await?;
        let start = |shard: &Shard| Some(shard.hash_key_range()?.starting_hash_key().to_owned());
        Ok(shards
            .iter()
            .filter(|shard| is_open(shard))
            .filter_map(start)
            .collect())
    }

    async fn put_each(&self, hash_keys: &[&String]) -> Result<(), BoxError> {
        let entry = |hash_key: &&String| {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(*hash_key)
                .explicit_hash_key(*hash_key);
            entry.data(Blob::new([b'x'; BYTES])).build()
        };
        let entries = hash_keys.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let put = self
            .stream
            .client()
            .put_records()
            .stream_name(self.stream.name())
            .set_records(Some(entries))
            .send()
            .await?;
        let mut log = self.log();
        for taken in put.records() {
            match (taken.shard_id(), taken.sequence_number()) {
                (Some(shard), Some(sequence)) => {
                    log.entry(shard.into()).or_default().push(sequence.parse()?);
                }
                _ => {
                    return Err(format!(
                        "the stream rejected a record: {}",
                        taken.error_message().unwrap_or("no reason")
                    )
                    .into());
                }
            }
            self.put.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}
