//! How far behind an application is, measured from outside: without its workers, and even if none
//! of them runs.
//!
//! A worker knows its own lag ([`Worker::status`](crate::Worker::status),
//! `kcl_behind_latest_seconds`). A fleet that is down reports nothing, which is when the question
//! is most urgent. So the stream is asked for the record after each checkpoint:
//!
//! ```text
//!    retention begins             checkpoint  first undone               tip
//!    |                                 |         |                        |
//!  --+---------------------------------+---------+------------------------+-->  the shard
//!    |<-------- retention_left ------->|         |<------- behind ------->|
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::decide::gap::{DataGap, judge_first, shard_gone};
use crate::decide::lag::age;
use crate::model::{Checkpoint, Lease, LeaseKey, RawRecord, Timestamp};
use crate::runtime::{Clock, pause};
use crate::stream::{Cursor, Error, ErrorKind, Page, StartAt, Stream};

/// How many shards are asked at once. Calls are limited per shard, so only the connections of this
/// machine limit it.
const AT_ONCE: usize = 16;
/// The pause between two calls on one shard. Kinesis allows five calls per second, and the
/// application needs them, too.
const BETWEEN: Duration = Duration::from_millis(400);
/// How many pages of a shard are read at most: the service may return empty pages for a while,
/// although records follow.
const PAGES: u32 = 8;
/// How many times a call is made that is throttled or fails for a moment.
const TRIES: u32 = 4;

/// How far behind a lease is. If the shard could not be asked, `error` says why, and the other
/// values are `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LeaseLag {
    /// The lease.
    pub lease: LeaseKey,
    /// How long ago the first record arrived that is not done; zero if all are done. `None` if that
    /// could not be found out.
    ///
    /// The rest of an aggregate that is partly done does not count: the record after it does.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "behind_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub behind: Option<Duration>,
    /// Whether it may be less far behind, which is so only in what its holder says
    /// ([`PublishedLag::at_most`](super::PublishedLag::at_most)).
    pub at_most: bool,
    /// How long ago its holder was seen to say so; `None` if the stream was asked.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "seen_seconds_ago",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub seen_ago: Option<Duration>,
    /// When the record at its position arrived. If it has expired, that is the first record after
    /// it. `None` if no record was found.
    pub position_at: Option<Timestamp>,
    /// How long that record is still kept. Records expire in order, so when it is zero the next
    /// ones follow. Raising the retention helps only until then.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "retention_left_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub retention_left: Option<Duration>,
    /// How long the stream keeps records.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "retention_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub retention: Option<Duration>,
    /// What expired before it was read, or may have. A worker reports the same gap when it reads
    /// the shard.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "super::serialize::maybe_text")
    )]
    pub gap: Option<DataGap>,
    /// Why it could not be found out. The other leases are measured all the same.
    pub error: Option<String>,
}

/// What measuring a lag asked of the stream. It counts against the limits that the application
/// shares, and repeated calls are included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Asked {
    /// Calls of `GetShardIterator`.
    pub get_shard_iterator: u64,
    /// Calls of `GetRecords`.
    pub get_records: u64,
    /// Records that were read.
    pub records: u64,
}

/// Measures how far behind unfinished leases are, by asking the stream: one `GetShardIterator` and
/// one `GetRecords` of at most two records per shard, more only if a page is empty or a call fails.
/// Each shard is read where its lease would continue, at the record of its checkpoint, which shows
/// whether that record has expired.
///
/// It takes a fifth of what a shard allows all its readers in a second. `tell` is called after each
/// lease with the number of leases that are done. The result is ordered by key. Cancel safe:
/// nothing is written.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use kcl_core::admin::measure_lag;
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey};
/// use kcl_core::{MemoryStream, SystemClock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::BoxError> {
/// let stream = MemoryStream::new("orders", 1);
/// let (shard, first) = stream.put("customer-7", "first")?;
/// stream.put("customer-7", "second")?;
///
/// let day = Duration::from_secs(24 * 3600);
/// let lease = Lease::new(LeaseKey::single(shard), Checkpoint::At(first.into()));
/// let (lags, asked) = measure_lag(Arc::new(stream), day, &[lease], Arc::new(SystemClock), |_| {}).await;
/// assert!(lags[0].behind > Some(Duration::ZERO), "the second record is not done");
/// assert!(lags[0].retention_left > Some(day / 2));
/// assert_eq!((asked.get_shard_iterator, asked.get_records), (1, 1));
/// # Ok(())
/// # }
/// ```
pub async fn measure_lag(
    stream: Arc<dyn Stream>,
    retention: Duration,
    leases: &[Lease],
    clock: Arc<dyn Clock>,
    mut tell: impl FnMut(usize),
) -> (Vec<LeaseLag>, Asked) {
    let (mut all, mut asked) = (Vec::new(), Asked::default());
    // By hand and not as a stream of closures, which could not be sent to another thread.
    let (mut ahead, mut asking) = (leases.iter(), FuturesUnordered::new());
    loop {
        while asking.len() < AT_ONCE
            && let Some(lease) = ahead.next()
        {
            if !lease.checkpoint.is_shard_end() {
                let one = Asking {
                    stream: &*stream,
                    clock: &*clock,
                    asked: Asked::default(),
                };
                asking.push(one.lag(lease, retention));
            }
        }
        let Some((lag, more)) = asking.next().await else {
            break;
        };
        asked.get_shard_iterator += more.get_shard_iterator;
        asked.get_records += more.get_records;
        asked.records += more.records;
        all.push(lag);
        tell(all.len());
    }
    all.sort_by(|a, b| a.lease.cmp(&b.lease));
    (all, asked)
}

/// The calls about one lease, with their count.
struct Asking<'a> {
    stream: &'a dyn Stream,
    clock: &'a dyn Clock,
    asked: Asked,
}

/// What was read at the place where a lease continues.
#[derive(Debug, Default)]
struct Found {
    records: Vec<RawRecord>,
    /// What the last page said, in milliseconds.
    behind: Option<u64>,
    /// The shard has no more records.
    ended: bool,
}

/// Where a lease continues, and how many records tell what follows: the one at a checkpoint is
/// done, so the next one is needed as well. The error is for the reader of the result.
fn place(lease: &Lease) -> Result<(StartAt, usize), String> {
    let at = |time: Option<Timestamp>| match time {
        Some(time) => Ok((StartAt::Timestamp(time), 1)),
        None => Err(format!(
            "the row says {} without the time that it means, as the KCL writes it: nothing is \
             known before its first checkpoint",
            lease.checkpoint
        )),
    };
    match &lease.checkpoint {
        Checkpoint::At(position) => Ok((StartAt::Sequence(position.sequence.clone()), 2)),
        Checkpoint::TrimHorizon => Ok((StartAt::TrimHorizon, 1)),
        Checkpoint::Latest | Checkpoint::AtTimestamp => at(lease.facts.start_at),
        Checkpoint::ShardEnd => Err("its shard is done".to_owned()),
    }
}

impl Asking<'_> {
    /// Measures one lease. An error of the stream becomes part of the result.
    async fn lag(mut self, lease: &Lease, retention: Duration) -> (LeaseLag, Asked) {
        let mut lag = LeaseLag {
            retention: Some(retention),
            ..LeaseLag::unknown(lease.key.clone(), None)
        };
        match place(lease) {
            Err(why) => lag.error = Some(why),
            Ok((start, want)) => match self.read(lease, &start, want).await {
                Ok(found) => judge(&mut lag, lease, &found, retention, self.clock.wall()),
                Err(error) if error.kind == ErrorKind::Gone => {
                    lag.gap = shard_gone(&lease.checkpoint);
                }
                Err(error) => lag.error = Some(crate::lease::with_causes(&error)),
            },
        }
        (lag, self.asked)
    }

    /// Reads until there are enough records, the tip is reached or the shard ends. An empty page
    /// that is behind the tip says nothing, so the next one is read.
    async fn read(&mut self, lease: &Lease, start: &StartAt, want: usize) -> Result<Found, Error> {
        let mut cursor = self.open(lease, start).await?;
        let mut found = Found::default();
        for page in 0..PAGES {
            if page > 0 {
                pause(self.clock, BETWEEN).await;
            }
            let read = self.page(&cursor, want - found.records.len()).await?;
            self.asked.records += read.records.len() as u64;
            found.records.extend(read.records);
            found.behind = read.millis_behind_latest;
            found.ended = read.next.is_none();
            let is_tip = found.behind == Some(0) && found.records.len() < want;
            match read.next {
                Some(next) if !is_tip && found.records.len() < want => cursor = next,
                _ => break,
            }
        }
        Ok(found)
    }

    /// Opens the shard, again after a passing failure.
    async fn open(&mut self, lease: &Lease, start: &StartAt) -> Result<Cursor, Error> {
        let mut tries = 1;
        loop {
            self.asked.get_shard_iterator += 1;
            match self.stream.open(&lease.key.shard, start).await {
                Err(error) if tries < TRIES && is_passing(&error) => {
                    pause(self.clock, BETWEEN * tries).await;
                    tries += 1;
                }
                opened => return opened,
            }
        }
    }

    /// Reads a page, again after a passing failure.
    async fn page(&mut self, cursor: &Cursor, want: usize) -> Result<Page, Error> {
        let limit = u32::try_from(want).unwrap_or(1).max(1);
        let mut tries = 1;
        loop {
            self.asked.get_records += 1;
            match self.stream.read(cursor, limit).await {
                Err(error) if tries < TRIES && is_passing(&error) => {
                    pause(self.clock, BETWEEN * tries).await;
                    tries += 1;
                }
                page => return page,
            }
        }
    }
}

/// A fault of the network is not tried again: it concerns all shards, and each attempt may take as
/// long as its time limit.
const fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Busy
    )
}

/// Draws the conclusions from the records. The lag is the age of the first record that is not done,
/// by the wall clock and at least 1 ms; only without such a record does the stream's own figure
/// count.
fn judge(lag: &mut LeaseLag, lease: &Lease, found: &Found, retention: Duration, now: Timestamp) {
    let first = found.records.first();
    lag.position_at = first.and_then(|record| record.arrived_at);
    lag.retention_left = lag
        .position_at
        .map(|arrived| retention.saturating_sub(age(Some(arrived), now)));
    let undone = match &lease.checkpoint {
        Checkpoint::At(position) => {
            // Pages without records say nothing, unless the shard has ended with them.
            if first.is_some() || found.ended {
                lag.gap = judge_first(position, first.map(|record| &record.sequence));
            }
            found
                .records
                .iter()
                .find(|record| record.sequence > position.sequence)
        }
        _ => first,
    };
    let said = found.behind.map(Duration::from_millis);
    lag.behind = match undone {
        Some(record) if record.arrived_at.is_some() => {
            Some(age(record.arrived_at, now).max(Duration::from_millis(1)))
        }
        Some(_) => said,
        // Nothing is left to read here: the rest of an ended shard, or the tip.
        None if found.ended => Some(Duration::ZERO),
        None => said,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::memory::Operation;
    use crate::{MemoryStream, SystemClock};

    async fn lags(stream: &MemoryStream, leases: &[Lease]) -> (Vec<LeaseLag>, Asked) {
        let (stream, clock) = (Arc::new(stream.clone()), Arc::new(SystemClock));
        measure_lag(stream, Duration::from_secs(3600), leases, clock, |_| {}).await
    }

    fn at(stream: &MemoryStream, checkpoint: Checkpoint) -> Lease {
        Lease::new(
            LeaseKey::single(stream.open_shards()[0].clone()),
            checkpoint,
        )
    }

    #[tokio::test]
    async fn a_lease_is_behind_by_the_age_of_what_is_not_done() {
        let stream = MemoryStream::new("orders", 1);
        let (_, first) = stream.put("k", "1").unwrap();
        let (_, last) = stream.put("k", "2").unwrap();
        let leases = [
            at(&stream, Checkpoint::At(last.into())),
            at(&stream, Checkpoint::At(first.into())),
            at(&stream, Checkpoint::TrimHorizon),
            at(&stream, Checkpoint::ShardEnd),
        ];
        for (lease, caught_up) in leases.iter().zip([true, false, false]) {
            let (lag, asked) = lags(&stream, std::slice::from_ref(lease)).await;
            assert_eq!(lag[0].behind.unwrap().is_zero(), caught_up, "{lag:?}");
            assert_eq!(lag[0].gap, None);
            assert!(lag[0].retention_left.unwrap() > Duration::from_secs(3500));
            assert_eq!((asked.get_shard_iterator, asked.get_records), (1, 1));
        }
        assert!(lags(&stream, &leases[3..]).await.0.is_empty());
    }

    #[tokio::test]
    async fn a_checkpoint_whose_record_has_expired_is_a_gap() {
        let stream = MemoryStream::new("orders", 1);
        let (_, first) = stream.put("k", "1").unwrap();
        stream.put("k", "2").unwrap();
        let shard = stream.open_shards()[0].clone();
        stream.trim(&shard, &first).unwrap();
        let (lag, _) = lags(&stream, &[at(&stream, Checkpoint::At(first.into()))]).await;
        assert!(
            lag[0].gap.as_ref().is_some_and(|gap| !gap.certain),
            "{lag:?}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_found_out_is_said() {
        let stream = MemoryStream::new("orders", 1);
        let (lag, _) = lags(&stream, &[at(&stream, Checkpoint::Latest)]).await;
        assert!(lag[0].error.as_ref().unwrap().contains("LATEST"), "{lag:?}");
        stream.fail_next(Operation::Read, ErrorKind::Denied, 1);
        let (lag, _) = lags(&stream, &[at(&stream, Checkpoint::TrimHorizon)]).await;
        assert!(lag[0].error.is_some() && lag[0].behind.is_none(), "{lag:?}");
        stream.fail_next(Operation::Read, ErrorKind::Throttled, 1);
        let (lag, asked) = lags(&stream, &[at(&stream, Checkpoint::TrimHorizon)]).await;
        assert_eq!(lag[0].error, None);
        assert_eq!(asked.get_records, 2);
    }
}
