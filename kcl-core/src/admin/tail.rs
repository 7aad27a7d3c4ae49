//! Shows the records of a stream as they arrive, like `tail -f`.
//!
//! It is a reader without any of the promises: no lease, no checkpoint, no share of a fleet. It
//! takes calls from the readers that matter, so it is slow on purpose.
//!
//! ```text
//!   FollowedShard --- page ---> Outcome --- records ---> TailPage
//!         ^                        |
//!         +--- after a pause ------+--- last page ---> its children, when all their parents are done
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::deaggregate::Deaggregator;
use crate::decide::shards::{ShardGraph, followers, listing_for};
use crate::model::{InitialPosition, Moment, Record, SequenceNumber, Shard, ShardId};
use crate::runtime::Clock;
use crate::stream::{Cursor, Error, ErrorKind, ShardFilter, StartAt, Stream};

use super::list_shards;

/// The pause between two calls on a shard that has records: two of the five calls a second that all
/// its readers share.
const BUSY: Duration = Duration::from_millis(500);
/// The same on a shard that has none.
const IDLE: Duration = Duration::from_secs(1);
/// The pause after a failed call.
const FAILED: Duration = Duration::from_secs(2);
/// How many times in a row calls on a shard may fail for a passing cause: about a quarter of a
/// minute.
const TRIES: u32 = 8;
/// How many records to request at most. A terminal is slow, and a page is held in memory.
const PAGE: u32 = 1000;

/// How a stream is followed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailSettings {
    /// Where to begin. `LATEST` is the time of the first call, so that a shard that is opened again
    /// does not skip what has arrived in between.
    pub from: InitialPosition,
    /// The shards to read. If it is empty: all that have records from there on, and their children.
    /// The children of shards that are named here are not read.
    pub shards: BTreeSet<ShardId>,
    /// Whether to end when every shard was read up to its tip. Otherwise it ends only with the
    /// stream.
    pub until_caught_up: bool,
}

impl TailSettings {
    /// All shards from that position on, for ever.
    #[must_use]
    pub const fn new(from: InitialPosition) -> Self {
        Self {
            from,
            shards: BTreeSet::new(),
            until_caught_up: false,
        }
    }
}

/// Records of a shard, in order, aggregates taken apart. Never empty.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailPage {
    /// The shard.
    pub shard: ShardId,
    /// Its user records.
    pub records: Vec<Record>,
}

/// Follows a stream without a lease: no worker notices, and nothing is stored.
///
/// Records keep their order within a shard, and a child shard is read after its parents. Each shard
/// is called at most twice a second, of the five times that all its readers share.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use kcl_core::admin::{Tail, TailSettings};
/// use kcl_core::{InitialPosition, MemoryStream, SystemClock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::BoxError> {
/// let stream = MemoryStream::new("orders", 1);
/// stream.put("customer-7", "an order")?;
///
/// let mut settings = TailSettings::new(InitialPosition::TrimHorizon);
/// settings.until_caught_up = true;
/// let mut tail = Tail::new(Arc::new(stream), Arc::new(SystemClock), settings);
/// let mut seen = 0;
/// while let Some(page) = tail.next().await? {
///     seen += page.records.len();
/// }
/// assert_eq!(seen, 1);
/// # Ok(())
/// # }
/// ```
pub struct Tail {
    /// Shared with the calls under way, which own what they need.
    stream: Arc<dyn Stream>,
    /// For the pauses, and for the time that `LATEST` stands for.
    clock: Arc<dyn Clock>,
    /// As they were given.
    settings: TailSettings,
    /// Without a hash key range: nothing is dropped from what is shown.
    deaggregator: Deaggregator,
    /// One future per open shard: the pause and the call after it. Dropping the `Tail` drops them
    /// all.
    reading: FuturesUnordered<BoxFuture<'static, (FollowedShard, Outcome)>>,
    /// The shards that are being read, and whether each has reached its tip. The shard has reached
    /// it if its last page was not full and was not behind.
    open: BTreeMap<ShardId, bool>,
    /// The shards that were read to their end. Their children wait for these.
    done: BTreeSet<ShardId>,
    /// Nothing is called before the first `next`.
    begun: bool,
    /// What the next call fails with: the records that came with it are returned first.
    failed: Option<Error>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("settings", &self.settings)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// Where the reading of one shard stands. It travels with the call that is in flight.
#[derive(Debug)]
struct FollowedShard {
    /// Which shard.
    shard: ShardId,
    /// Whether the listing that named it showed it closed: then others follow it.
    closed: bool,
    /// Where to open it as long as it has given no record.
    start: StartAt,
    /// `None` before the first call and after a failure: an iterator is used once.
    cursor: Option<Cursor>,
    /// The last record that was shown. The shard is opened again after it, so none is shown twice.
    last: Option<SequenceNumber>,
    /// When the next call may be made.
    next_at: Moment,
    /// The failed calls since the last page.
    failures: u32,
}

/// What a call said.
#[derive(Debug)]
enum Outcome {
    /// A page of records.
    Page {
        raw: Vec<crate::model::RawRecord>,
        at_tip: bool,
        /// After the last page of a shard: the shards of the stream, listed then.
        listed: Option<Result<Vec<Shard>, Error>>,
    },
    Failed(Error),
}

impl Tail {
    /// Follows this stream from the first call of [`next`](Self::next) on.
    #[must_use]
    pub fn new(stream: Arc<dyn Stream>, clock: Arc<dyn Clock>, settings: TailSettings) -> Self {
        Self {
            stream,
            clock,
            settings,
            deaggregator: Deaggregator::new(None),
            reading: FuturesUnordered::new(),
            open: BTreeMap::new(),
            done: BTreeSet::new(),
            begun: false,
            failed: None,
        }
    }

    /// The next records of any shard, or `None` if no more will come.
    ///
    /// # Cancel safety
    /// Cancel safe: the calls under way are kept for the next one.
    ///
    /// # Errors
    /// If no further call can help: the stream does not exist, a permission is missing, a named
    /// shard is not listed, or calls keep failing. All records that were read before are returned
    /// first. The `Tail` is of no use after an error.
    pub async fn next(&mut self) -> Result<Option<TailPage>, Error> {
        if !self.begun {
            self.begin().await?;
            self.begun = true;
        }
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.settings.until_caught_up && self.open.values().all(|at_tip| *at_tip) {
                return Ok(None);
            }
            let Some((reader, outcome)) = self.reading.next().await else {
                return Ok(None);
            };
            let shard = reader.shard.clone();
            let records = self.take_in(reader, outcome);
            if !records.is_empty() {
                return Ok(Some(TailPage { shard, records }));
            }
        }
    }

    /// Lists the shards and starts to read those that are wanted.
    async fn begin(&mut self) -> Result<(), Error> {
        let wanted = self.settings.shards.clone();
        let filter = if wanted.is_empty() {
            listing_for(self.settings.from, true)
        } else {
            ShardFilter::All
        };
        let listed = list_shards(&*self.stream, &filter).await?;
        for shard in &wanted {
            if !listed.iter().any(|it| it.id == *shard) {
                return Err(Error::new(
                    ErrorKind::Gone,
                    "ListShards",
                    format!(
                        "the stream has no shard {shard} that holds records: expected one that it \
                         lists"
                    ),
                ));
            }
        }
        let start = match self.settings.from {
            InitialPosition::TrimHorizon => StartAt::TrimHorizon,
            InitialPosition::Latest => StartAt::Timestamp(self.clock.wall()),
            InitialPosition::AtTimestamp(at) => StartAt::Timestamp(at),
        };
        for shard in listed {
            if wanted.is_empty() || wanted.contains(&shard.id) {
                self.follow(shard.id, shard.closed, start.clone());
            }
        }
        Ok(())
    }

    /// Starts to read a shard, unless it is being read or was.
    fn follow(&mut self, shard: ShardId, closed: bool, start: StartAt) {
        if self.done.contains(&shard) || self.open.contains_key(&shard) {
            return;
        }
        self.open.insert(shard.clone(), false);
        self.read(FollowedShard {
            shard,
            closed,
            start,
            cursor: None,
            last: None,
            next_at: self.clock.now(),
            failures: 0,
        });
    }

    /// Queues the next call on a shard.
    fn read(&self, mut reader: FollowedShard) {
        let (stream, clock) = (Arc::clone(&self.stream), Arc::clone(&self.clock));
        self.reading.push(Box::pin(async move {
            clock.sleep_until(reader.next_at).await;
            let outcome = reader.page(&*stream).await;
            (reader, outcome)
        }));
    }

    /// Handles what a call returned: the shard is read on, or its children begin. Returns the
    /// records of a page, whatever else has failed.
    fn take_in(&mut self, mut reader: FollowedShard, outcome: Outcome) -> Vec<Record> {
        let now = self.clock.now();
        match outcome {
            Outcome::Page {
                raw,
                at_tip,
                listed,
            } => {
                if let Some(last) = raw.last() {
                    reader.last = Some(last.sequence.clone());
                }
                let records = self.deaggregator.take_apart(raw).records;
                // A shard that has ended has reached its tip only when its children are known; and what
                // is closed has an end, although the service may tell of it only with the next page.
                let is_caught_up = at_tip && !reader.closed && listed.is_none();
                self.open.insert(reader.shard.clone(), is_caught_up);
                match listed {
                    Some(Ok(listed)) => self.end(reader, listed, now),
                    Some(Err(error)) => self.failed(reader, error, now),
                    None => {
                        reader.failures = 0;
                        reader.next_at = now + if records.is_empty() { IDLE } else { BUSY };
                        self.read(reader);
                    }
                }
                records
            }
            Outcome::Failed(error) => {
                self.failed(reader, error, now);
                Vec::new()
            }
        }
    }

    /// Repeats a call that failed for a passing cause. The shard is opened again after its last
    /// record: at its end, that returns an empty last page, and the listing is asked for again.
    fn failed(&mut self, mut reader: FollowedShard, error: Error, now: Moment) {
        if reader.forgives(&error) {
            reader.cursor = None;
            reader.next_at = now + FAILED;
            self.read(reader);
        } else {
            self.failed = Some(error);
        }
    }

    /// Handles the last page of a shard: its children begin, each once all its parents are done.
    /// Only the listing knows them for certain; while it still shows the shard without children,
    /// the shard is asked again.
    fn end(&mut self, mut reader: FollowedShard, listed: Vec<Shard>, now: Moment) {
        let graph = ShardGraph::new(listed).ok();
        let wants_children = self.settings.shards.is_empty();
        let children = graph
            .as_ref()
            .and_then(|graph| followers(graph, &reader.shard));
        let has_left = graph
            .as_ref()
            .is_some_and(|graph| graph.has_lost(&reader.shard));
        if children.is_none() && !has_left {
            // The listing lags behind: ask again.
            (reader.cursor, reader.failures) = (None, 0);
            reader.next_at = now + IDLE;
            self.read(reader);
            return;
        }
        self.open.remove(&reader.shard);
        self.done.insert(reader.shard);
        for child in children.into_iter().flatten().filter(|_| wants_children) {
            let is_awaited = |parent| {
                graph
                    .as_ref()
                    .is_some_and(|graph| self.leads_to(graph, parent))
            };
            if !child.parents.iter().any(is_awaited) {
                let listed = graph.as_ref().and_then(|graph| graph.get(&child.id));
                let closed = listed.is_some_and(|shard| shard.closed);
                self.follow(child.id, closed, StartAt::TrimHorizon);
            }
        }
    }

    /// Whether a shard, or one that it came from, is being read: then its turn is still to come.
    /// The walk goes through shards that have not begun, as a shard may be split several times
    /// while its first parent is read.
    fn leads_to(&self, graph: &ShardGraph, shard: &ShardId) -> bool {
        let mut ahead = vec![shard.clone()];
        let mut seen = BTreeSet::new();
        while let Some(id) = ahead.pop() {
            if self.open.contains_key(&id) {
                return true;
            }
            if !self.done.contains(&id) && seen.insert(id.clone()) {
                ahead.extend(graph.parents(&id).map(|parent| parent.id.clone()));
            }
        }
        false
    }
}

impl FollowedShard {
    async fn page(&mut self, stream: &dyn Stream) -> Outcome {
        match self.try_page(stream).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// One page from where the shard stands; it is opened first if there is no cursor. The cursor
    /// is taken out before the call, so that one that fails is never used twice.
    async fn try_page(&mut self, stream: &dyn Stream) -> Result<Outcome, Error> {
        let cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => {
                let start = self
                    .last
                    .clone()
                    .map_or_else(|| self.start.clone(), StartAt::AfterSequence);
                stream.open(&self.shard, &start).await?
            }
        };
        let page = stream.read(&cursor, PAGE).await?;
        let is_full = page.records.len() >= PAGE as usize;
        self.cursor.clone_from(&page.next);
        // Within the same future: whoever drops the call of `next` drops no page with it.
        let listed = match page.next {
            Some(_) => None,
            None => Some(list_shards(stream, &ShardFilter::All).await),
        };
        Ok(Outcome::Page {
            at_tip: !is_full && page.millis_behind_latest.is_none_or(|behind| behind == 0),
            listed,
            raw: page.records,
        })
    }

    /// Whether to repeat a failed call.
    const fn forgives(&mut self, error: &Error) -> bool {
        let passes = matches!(
            error.kind,
            ErrorKind::Expired
                | ErrorKind::Throttled
                | ErrorKind::Transient
                | ErrorKind::Busy
                | ErrorKind::Unreachable
        );
        self.failures += 1;
        passes && self.failures < TRIES
    }
}

#[cfg(test)]
#[path = "tail_test.rs"]
mod tests;
