use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::Clock;
use crate::model::{Moment, SequenceNumber, Shard, ShardId, Timestamp};
use crate::runtime::system_clock;
use crate::stream::{Consumer, Error, ErrorKind, StreamDescription};
use crate::watermark::Watermark;

use super::consumers::{Consumers, Subscribed, SubscriptionFault};
use super::ledger::{Call, Ledger, Operation};
use super::log::StreamLog;
use super::shard::ShardLog;

/// A stream in the memory of this process. Clones are handles to the same stream.
///
/// ```
/// use kcl_core::stream::memory::MemoryStream;
/// use kcl_core::stream::{StartAt, Stream};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let stream = MemoryStream::new("orders", 4);
/// let (shard, sequence) = stream.put("customer-7", "an order")?;
///
/// let cursor = stream.open(&shard, &StartAt::TrimHorizon).await?;
/// let page = stream.read(&cursor, 100).await?;
/// assert_eq!(page.records[0].sequence, sequence);
/// assert_eq!(page.millis_behind_latest, Some(0));
/// # Ok::<(), kcl_core::stream::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStream(Arc<MemoryInner>);

struct MemoryInner {
    /// Fixed at the beginning: name, ARN, time of creation, retention.
    description: StreamDescription,
    /// Arrival times, subscriptions and consumers go by it.
    clock: Arc<dyn Clock>,
    /// Locked for the length of one call, never over an await.
    state: Mutex<MemoryState>,
    /// Raised by every change that a subscription may wait for.
    changes: Watermark,
}

pub(super) struct MemoryState {
    /// The shards with their records.
    pub(super) log: StreamLog,
    /// The calls that came, and the failures that a test has ordered.
    pub(super) ledger: Ledger,
    /// The registered consumers and their subscriptions.
    pub(super) consumers: Consumers,
    /// How many times all cursors have been expired. A cursor of an earlier generation is expired.
    pub(super) generation: u64,
    /// How many shards a page of the listing has: the service's number, unless a test wants several
    /// pages.
    pub(super) shards_a_page: usize,
}

/// How many shards the service lists on one page.
const SHARDS_A_PAGE: usize = 1000;
/// The service's default retention. Here it is only part of the description: nothing expires by
/// itself.
const RETENTION: Duration = Duration::from_hours(24);

impl MemoryStream {
    /// Creates a stream with this many open shards (0 means 1), which divide the hash keys evenly,
    /// on the system clock.
    #[must_use]
    pub fn new(name: &str, shards: u32) -> Self {
        Self::with_clock(name, shards, system_clock())
    }

    /// Creates a stream on this clock, from which arrivals, shards, calls and lag get their times.
    #[must_use]
    pub fn with_clock(name: &str, shards: u32, clock: Arc<dyn Clock>) -> Self {
        let now = clock.wall();
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}");
        let log = StreamLog::new(shards, now);
        let description = StreamDescription::new(arn, now, RETENTION);
        let consumers = Consumers::new(Arc::clone(&description.arn));
        let state = MemoryState {
            log,
            ledger: Ledger::default(),
            consumers,
            generation: 0,
            shards_a_page: SHARDS_A_PAGE,
        };
        Self(Arc::new(MemoryInner {
            description,
            clock,
            state: Mutex::new(state),
            changes: Watermark::default(),
        }))
    }

    /// Puts a record and returns its shard and sequence number. The key decides which open shard it
    /// goes to. Keys are hashed evenly and always in the same way, but with another hash than the
    /// service's.
    ///
    /// # Errors
    /// If no open shard has the key in its range, which can only be after a [`close`](Self::close).
    pub fn put(
        &self,
        key: &str,
        data: impl Into<Bytes>,
    ) -> Result<(ShardId, SequenceNumber), Error> {
        self.change(|log, now| {
            let shard = log.shard_of(hash_key(key))?;
            let sequence = log.put(&shard, key, data.into(), now)?;
            Ok((shard, sequence))
        })
    }

    /// Puts a record into this shard, whatever its key, and returns its sequence number.
    ///
    /// # Errors
    /// If there is no such shard, or it is closed.
    pub fn put_to(
        &self,
        shard: &ShardId,
        key: &str,
        data: impl Into<Bytes>,
    ) -> Result<SequenceNumber, Error> {
        self.change(|log, now| log.put(shard, key, data.into(), now))
    }

    /// Puts records with their keys, as [`put`](Self::put) does. Returns their shards and sequence
    /// numbers, in the same order.
    ///
    /// # Errors
    /// As for [`put`](Self::put). The records before the one that failed have been put.
    pub fn put_many<K, D>(
        &self,
        records: impl IntoIterator<Item = (K, D)>,
    ) -> Result<Vec<(ShardId, SequenceNumber)>, Error>
    where
        K: AsRef<str>,
        D: Into<Bytes>,
    {
        records
            .into_iter()
            .map(|(key, data)| self.put(key.as_ref(), data))
            .collect()
    }

    /// Puts records with their keys into one shard. Returns their sequence numbers.
    ///
    /// # Errors
    /// As for [`put_to`](Self::put_to). The records before the one that failed have been put.
    pub fn put_many_to<K, D>(
        &self,
        shard: &ShardId,
        records: impl IntoIterator<Item = (K, D)>,
    ) -> Result<Vec<SequenceNumber>, Error>
    where
        K: AsRef<str>,
        D: Into<Bytes>,
    {
        records
            .into_iter()
            .map(|(key, data)| self.put_to(shard, key.as_ref(), data))
            .collect()
    }

    /// Splits an open shard: the lower child's range ends before the hash key `at`, and the upper
    /// child's begins there.
    ///
    /// # Errors
    /// If there is no such shard, it is closed, or `at` would leave a child without hash keys.
    pub fn split(&self, shard: &ShardId, at: u128) -> Result<[ShardId; 2], Error> {
        self.change(|log, now| log.split(shard, at, now))
    }

    /// Splits an open shard in the middle of its range.
    ///
    /// ```
    /// use kcl_core::MemoryStream;
    ///
    /// let stream = MemoryStream::new("orders", 1);
    /// let (parent, _) = stream.put("customer-7", "an order")?;
    /// let [left, right] = stream.split_evenly(&parent)?;
    /// assert_eq!(stream.open_shards(), [left.clone(), right.clone()]);
    /// let merged = stream.merge(&left, &right)?;
    /// assert_eq!(stream.open_shards(), [merged]);
    /// # Ok::<(), kcl_core::BoxError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`split`](Self::split).
    pub fn split_evenly(&self, shard: &ShardId) -> Result<[ShardId; 2], Error> {
        self.change(|log, now| {
            let range = log.shard("SplitShard", shard)?.shard.hash_range;
            let half = (range.end() - range.start()) / 2;
            log.split(shard, range.start().saturating_add(half + 1), now)
        })
    }

    /// Merges two open shards with adjacent hash key ranges.
    ///
    /// # Errors
    /// If one does not exist or is closed, or the ranges are not adjacent.
    pub fn merge(&self, a: &ShardId, b: &ShardId) -> Result<ShardId, Error> {
        self.change(|log, now| log.merge(a, b, now))
    }

    /// Closes an open shard without children: its last page ends the shard and names no child.
    ///
    /// # Errors
    /// If there is no such shard, or it is closed.
    pub fn close(&self, shard: &ShardId) -> Result<(), Error> {
        self.change(|log, now| log.close_for_good(shard, now))
    }

    /// Removes the records of a shard up to and including this one, as retention does. Returns how
    /// many were removed.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn trim(&self, shard: &ShardId, up_to: &SequenceNumber) -> Result<usize, Error> {
        self.state().log.trim(shard, up_to)
    }

    /// Removes a shard from the stream with all its records, as Kinesis does with a closed shard
    /// when its last record has expired.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn drop_shard(&self, shard: &ShardId) -> Result<(), Error> {
        self.change(|log, _| log.drop_shard(shard))
    }

    /// All shards of the stream, ordered by id.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        self.state()
            .log
            .shards()
            .map(|log| log.shard.clone())
            .collect()
    }

    /// The open shards, ordered by id.
    #[must_use]
    pub fn open_shards(&self) -> Vec<ShardId> {
        self.state()
            .log
            .shards()
            .filter(|log| !log.shard.closed)
            .map(|log| log.id().clone())
            .collect()
    }

    /// How many records the shard retains.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn retained(&self, shard: &ShardId) -> Result<usize, Error> {
        self.state()
            .log
            .shard("CountRecords", shard)
            .map(ShardLog::len)
    }

    /// Sets how many shards one page of the list has: at least 1. The default is 1000.
    pub fn set_shards_a_page(&self, shards: usize) {
        self.state().shards_a_page = shards.max(1);
    }

    /// Expires every existing cursor.
    pub fn expire_cursors(&self) {
        self.state().generation += 1;
    }

    /// Makes the next `calls` calls of an operation fail, on any shard. The failures of one
    /// operation happen in the order in which they were requested.
    pub fn fail_next(&self, operation: Operation, kind: ErrorKind, calls: u32) {
        self.state().ledger.fail_next(operation, None, kind, calls);
    }

    /// Makes the next `calls` calls of an operation on one shard fail.
    pub fn fail_next_of(&self, shard: &ShardId, operation: Operation, kind: ErrorKind, calls: u32) {
        self.state()
            .ledger
            .fail_next(operation, Some(shard.clone()), kind, calls);
    }

    /// The consumers that are registered, being created or being deleted, ordered by name.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        self.state().consumers.all(self.now())
    }

    /// All subscriptions that were opened, oldest first.
    #[doc(hidden)]
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscribed> {
        self.state().consumers.made().to_vec()
    }

    /// Sets how long it takes until a new consumer is active, and until a deregistered one is gone.
    /// The default is no time.
    pub fn set_consumer_delay(&self, delay: Duration) {
        self.state().consumers.delay = delay;
    }

    /// Sets how many consumers can be registered. The default is 20, as in the service.
    pub fn set_most_consumers(&self, most: usize) {
        self.state().consumers.most = most;
    }

    /// Sets how long subscriptions that are opened from now on last. The default is five minutes,
    /// as in the service.
    pub fn set_session(&self, session: Duration) {
        self.state().consumers.session = session;
    }

    /// Sets the minimum retention that [`FanOut::retention`](crate::stream::FanOut::retention)
    /// reports. The default is no time, because [`trim`](Self::trim) can remove records at any
    /// time.
    pub fn set_retention(&self, retention: Duration) {
        self.state().consumers.retention = retention;
    }

    /// Gives the next subscription to a shard a fault. Several calls apply to the next
    /// subscriptions, in order.
    pub fn next_subscription(&self, shard: &ShardId, fault: SubscriptionFault) {
        self.state().consumers.next_subscription(shard, fault);
    }

    /// The calls that were made, failed ones included, oldest first. Only the last 65,536 are kept.
    #[doc(hidden)]
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().ledger.calls()
    }

    /// How many calls of an operation were made, for one shard or for all, failed ones included.
    #[must_use]
    pub fn call_count(&self, operation: Operation, shard: Option<&ShardId>) -> u64 {
        self.state().ledger.count(operation, shard)
    }

    /// Changes the stream's contents and wakes the subscriptions that wait for a change.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut StreamLog, Timestamp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let changed = change(&mut self.state().log, self.wall());
        self.changed();
        changed
    }

    /// Wakes the subscriptions.
    pub(super) fn changed(&self) {
        self.0.changes.raise_by_one();
    }

    /// Waits for the next change after this call.
    pub(super) fn next_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let (changes, next) = (self.0.changes.clone(), self.0.changes.now() + 1);
        async move { changes.reaches(next).await }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, MemoryState> {
        // A poisoned lock is safe to use: no code that can panic leaves the state half written.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn description(&self) -> &StreamDescription {
        &self.0.description
    }

    pub(super) fn wall(&self) -> Timestamp {
        self.0.clock.wall()
    }

    pub(super) fn now(&self) -> Moment {
        self.0.clock.now()
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryStream")
            .field(&self.0.description.arn)
            .finish()
    }
}

/// A hash key for a partition key: FNV-1a, whose upper bits hardly depend on the last characters,
/// mixed by the finaliser of `SplitMix64`.
fn hash_key(key: &str) -> u128 {
    let fnv = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let stir = |mut value: u64| {
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    (u128::from(stir(fnv)) << 64) | u128::from(stir(!fnv))
}
