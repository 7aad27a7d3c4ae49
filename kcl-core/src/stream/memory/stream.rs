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

/// A stream in the memory of this process. Clones are the same stream.
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
    description: StreamDescription,
    clock: Arc<dyn Clock>,
    state: Mutex<MemoryState>,
    /// Grows with whatever a subscription may wait for.
    changes: Watermark,
}

pub(super) struct MemoryState {
    pub(super) log: StreamLog,
    pub(super) ledger: Ledger,
    pub(super) consumers: Consumers,
    /// How often all cursors were expired: a cursor of an earlier generation is no good.
    pub(super) generation: u64,
    pub(super) shards_a_page: usize,
}

/// What the service lists on one page.
const SHARDS_A_PAGE: usize = 1000;
/// How long the service keeps records unless it is told otherwise. Here it only stands in the
/// description.
const RETENTION: Duration = Duration::from_hours(24);

impl MemoryStream {
    /// A new stream of this name with so many open shards (0 is as good as 1) that share the hash
    /// keys evenly, on the machine's clock.
    #[must_use]
    pub fn new(name: &str, shards: u32) -> Self {
        Self::with_clock(name, shards, system_clock())
    }

    /// A new stream on this clock: it dates arrivals, shards, calls and lag.
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

    /// Puts a record: its key decides which open shard takes it. Keys are hashed evenly and always
    /// alike, but not as the service does it.
    ///
    /// # Errors
    /// When no open shard takes the key, after a [`close`](Self::close).
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

    /// Puts a record into this shard, whatever its key.
    ///
    /// # Errors
    /// When there is no such shard, or it is closed.
    pub fn put_to(
        &self,
        shard: &ShardId,
        key: &str,
        data: impl Into<Bytes>,
    ) -> Result<SequenceNumber, Error> {
        self.change(|log, now| log.put(shard, key, data.into(), now))
    }

    /// Puts records, each with its key, as [`put`](Self::put) does. Gives back where they are, in
    /// their order.
    ///
    /// # Errors
    /// As [`put`](Self::put) does. What precedes the record that failed is put.
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

    /// Puts records, each with its key, into one shard. Gives back their sequence numbers.
    ///
    /// # Errors
    /// As [`put_to`](Self::put_to) does. What precedes the record that failed is put.
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

    /// Splits an open shard: the lower child ends before the hash key `at`, the upper one begins
    /// there.
    ///
    /// # Errors
    /// When there is no such shard, it is closed, or `at` leaves a child without hash keys.
    pub fn split(&self, shard: &ShardId, at: u128) -> Result<[ShardId; 2], Error> {
        self.change(|log, now| log.split(shard, at, now))
    }

    /// Splits an open shard in its middle.
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
    /// As [`split`](Self::split) does.
    pub fn split_evenly(&self, shard: &ShardId) -> Result<[ShardId; 2], Error> {
        self.change(|log, now| {
            let range = log.shard("SplitShard", shard)?.shard.hash_range;
            let half = (range.end() - range.start()) / 2;
            log.split(shard, range.start().saturating_add(half + 1), now)
        })
    }

    /// Merges two open shards whose hash keys are next to each other.
    ///
    /// # Errors
    /// When one does not exist or is closed, or they are not next to each other.
    pub fn merge(&self, a: &ShardId, b: &ShardId) -> Result<ShardId, Error> {
        self.change(|log, now| log.merge(a, b, now))
    }

    /// Closes an open shard without a child: its last page ends it and names no shard that follows.
    ///
    /// # Errors
    /// When there is no such shard, or it is closed.
    pub fn close(&self, shard: &ShardId) -> Result<(), Error> {
        self.change(|log, now| log.close_for_good(shard, now))
    }

    /// Forgets the records of a shard up to and with this one, as retention does. Gives back how
    /// many went.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn trim(&self, shard: &ShardId, up_to: &SequenceNumber) -> Result<usize, Error> {
        self.state().log.trim(shard, up_to)
    }

    /// Lets a shard leave the stream with all its records, as closed shards do when the last of
    /// them has aged out.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn drop_shard(&self, shard: &ShardId) -> Result<(), Error> {
        self.change(|log, _| log.drop_shard(shard))
    }

    /// All shards that the stream has, in the order of their names.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        self.state()
            .log
            .shards()
            .map(|log| log.shard.clone())
            .collect()
    }

    /// The shards that take records, in the order of their names.
    #[must_use]
    pub fn open_shards(&self) -> Vec<ShardId> {
        self.state()
            .log
            .shards()
            .filter(|log| !log.shard.closed)
            .map(|log| log.id().clone())
            .collect()
    }

    /// How many records a shard retains.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn retained(&self, shard: &ShardId) -> Result<usize, Error> {
        self.state()
            .log
            .shard("CountRecords", shard)
            .map(ShardLog::len)
    }

    /// Sets how many shards a page of the list has (at least 1; 1000 at first).
    pub fn set_shards_a_page(&self, shards: usize) {
        self.state().shards_a_page = shards.max(1);
    }

    /// Expires every cursor that was given out.
    pub fn expire_cursors(&self) {
        self.state().generation += 1;
    }

    /// Lets the next `calls` calls of an operation fail, on whichever shard. Failures of one
    /// operation come in the order in which they were asked for.
    pub fn fail_next(&self, operation: Operation, kind: ErrorKind, calls: u32) {
        self.state().ledger.fail_next(operation, None, kind, calls);
    }

    /// Lets the next `calls` calls of an operation on one shard fail.
    pub fn fail_next_of(&self, shard: &ShardId, operation: Operation, kind: ErrorKind, calls: u32) {
        self.state()
            .ledger
            .fail_next(operation, Some(shard.clone()), kind, calls);
    }

    /// The consumers that are registered, or on their way to be or not to be, in the order of their
    /// names.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        self.state().consumers.all(self.now())
    }

    /// The subscriptions that were made, the oldest first.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscribed> {
        self.state().consumers.made().to_vec()
    }

    /// Sets how long a consumer is being made before it is active, and being removed before it is
    /// gone (no time at first).
    pub fn set_consumer_delay(&self, delay: Duration) {
        self.state().consumers.delay = delay;
    }

    /// Sets how many consumers there may be (20 at first, as in the service).
    pub fn set_most_consumers(&self, most: usize) {
        self.state().consumers.most = most;
    }

    /// Sets how long the subscriptions last that are made from now on (five minutes at first, as in
    /// the service).
    pub fn set_session(&self, session: Duration) {
        self.state().consumers.session = session;
    }

    /// Sets for how long records are kept for certain, as
    /// [`FanOut::retention`](crate::stream::FanOut::retention) says it (no time at first:
    /// [`trim`](Self::trim) takes them at any time).
    pub fn set_retention(&self, retention: Duration) {
        self.state().consumers.retention = retention;
    }

    /// Says what becomes of the next subscription to a shard. Asked for several times, of the next
    /// ones in this order.
    pub fn next_subscription(&self, shard: &ShardId, fault: SubscriptionFault) {
        self.state().consumers.next_subscription(shard, fault);
    }

    /// The calls that came, the oldest first; the last 65,536 are remembered. Failed ones count.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().ledger.calls()
    }

    /// How many calls of an operation came, for one shard or for all. Failed ones count.
    #[must_use]
    pub fn call_count(&self, operation: Operation, shard: Option<&ShardId>) -> u64 {
        self.state().ledger.count(operation, shard)
    }

    /// Changes what the stream holds, and wakes who waits for that.
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

    /// Waits for whatever changes from now on.
    pub(super) fn next_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let (changes, next) = (self.0.changes.clone(), self.0.changes.now() + 1);
        async move { changes.reaches(next).await }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, MemoryState> {
        // No code that can panic leaves the state half written.
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

/// A hash key of a partition key: FNV-1a, whose upper bits hardly depend on the last letters,
/// stirred by `SplitMix64`'s finaliser.
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
