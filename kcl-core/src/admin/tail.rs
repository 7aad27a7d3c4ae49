use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::deaggregate::Deaggregator;
use crate::decide::shards::{ShardGraph, followers, listing_for};
use crate::model::{InitialPosition, Moment, Record, SequenceNumber, ShardId};
use crate::runtime::Clock;
use crate::stream::{Cursor, Error, ErrorKind, ShardFilter, StartAt, Stream};

use super::list_shards;

/// From call to call on a shard with records: two of the five a second that its readers share.
const BUSY: Duration = Duration::from_millis(500);
/// The same on a shard without.
const IDLE: Duration = Duration::from_secs(1);
/// After a call that failed.
const FAILED: Duration = Duration::from_secs(2);
/// So often a call is made that fails for a moment.
const TRIES: u32 = 8;
/// The most records of a page. A terminal is slow.
const PAGE: u32 = 1000;

/// How a stream is followed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailSettings {
    /// Where to begin.
    pub from: InitialPosition,
    /// The shards to read; all that there are at that place, and what comes of them, if it is empty.
    pub shards: BTreeSet<ShardId>,
    /// Ends when each shard was read up to its tip.
    pub until_caught_up: bool,
}

impl TailSettings {
    /// All shards from there on, for ever.
    #[must_use]
    pub const fn new(from: InitialPosition) -> Self {
        Self {
            from,
            shards: BTreeSet::new(),
            until_caught_up: false,
        }
    }
}

/// Records of a shard, in order, aggregates taken apart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailPage {
    /// The shard.
    pub shard: ShardId,
    /// Its user records.
    pub records: Vec<Record>,
}

/// Follows a stream without a lease: nobody is told, and nothing is stored.
///
/// The order of records is kept within a shard, and a child shard is read after its parents. It
/// asks each shard at most twice a second, out of the five times that all readers of a shard share.
pub struct Tail {
    stream: Arc<dyn Stream>,
    clock: Arc<dyn Clock>,
    settings: TailSettings,
    deaggregator: Deaggregator,
    reading: FuturesUnordered<BoxFuture<'static, (FollowedShard, Outcome)>>,
    /// The shards that are being read, and whether each has reached its tip.
    open: BTreeMap<ShardId, bool>,
    done: BTreeSet<ShardId>,
    begun: bool,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("settings", &self.settings)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// A shard on its way.
#[derive(Debug)]
struct FollowedShard {
    shard: ShardId,
    start: StartAt,
    cursor: Option<Cursor>,
    last: Option<SequenceNumber>,
    next_at: Moment,
    failures: u32,
}

/// What a call said.
#[derive(Debug)]
enum Outcome {
    Page {
        raw: Vec<crate::model::RawRecord>,
        at_tip: bool,
        ended: bool,
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
        }
    }

    /// The next records of any shard; nothing when there are no more to come. Not cancel safe: after
    /// a call that was dropped a shard may be missing.
    ///
    /// # Errors
    /// A call that no further one mends: a stream that is not there, a right that is missing, or a
    /// shard that was named and that is not listed.
    pub async fn next(&mut self) -> Result<Option<TailPage>, Error> {
        if !self.begun {
            self.begin().await?;
            self.begun = true;
        }
        loop {
            if self.settings.until_caught_up && self.open.values().all(|at_tip| *at_tip) {
                return Ok(None);
            }
            let Some((reader, outcome)) = self.reading.next().await else {
                return Ok(None);
            };
            let shard = reader.shard.clone();
            if let Some(records) = self.take_in(reader, outcome).await?
                && !records.is_empty()
            {
                return Ok(Some(TailPage { shard, records }));
            }
        }
    }

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
                self.follow(shard.id, start.clone());
            }
        }
        Ok(())
    }

    fn follow(&mut self, shard: ShardId, start: StartAt) {
        if self.done.contains(&shard) || self.open.contains_key(&shard) {
            return;
        }
        self.open.insert(shard.clone(), false);
        self.read(FollowedShard {
            shard,
            start,
            cursor: None,
            last: None,
            next_at: self.clock.now(),
            failures: 0,
        });
    }

    fn read(&self, mut reader: FollowedShard) {
        let (stream, clock) = (Arc::clone(&self.stream), Arc::clone(&self.clock));
        self.reading.push(Box::pin(async move {
            clock.sleep_until(reader.next_at).await;
            let outcome = reader.page(&*stream).await;
            (reader, outcome)
        }));
    }

    /// What a page gives. The shard goes on, or those that follow it begin.
    async fn take_in(
        &mut self,
        mut reader: FollowedShard,
        outcome: Outcome,
    ) -> Result<Option<Vec<Record>>, Error> {
        let now = self.clock.now();
        match outcome {
            Outcome::Page { raw, at_tip, ended } => {
                reader.failures = 0;
                if let Some(last) = raw.last() {
                    reader.last = Some(last.sequence.clone());
                }
                let records = self.deaggregator.take_apart(raw).records;
                self.open.insert(reader.shard.clone(), at_tip);
                if ended {
                    self.end(reader, now).await?;
                } else {
                    reader.next_at = now + if records.is_empty() { IDLE } else { BUSY };
                    self.read(reader);
                }
                Ok(Some(records))
            }
            Outcome::Failed(error) if reader.forgives(&error) => {
                reader.next_at = now + FAILED;
                self.read(reader);
                Ok(None)
            }
            Outcome::Failed(error) => Err(error),
        }
    }

    /// A shard has given its last page: its children follow once each of their parents is done.
    async fn end(&mut self, mut reader: FollowedShard, now: Moment) -> Result<(), Error> {
        let listed = list_shards(&*self.stream, &ShardFilter::All).await?;
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
            reader.cursor = None;
            reader.next_at = now + IDLE;
            self.read(reader);
            return Ok(());
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
                self.follow(child.id, StartAt::TrimHorizon);
            }
        }
        Ok(())
    }

    /// Whether a shard is being read, or one is that it comes from: then it is still to be read.
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
        Ok(Outcome::Page {
            at_tip: !is_full && page.millis_behind_latest.is_none_or(|behind| behind == 0),
            ended: page.next.is_none(),
            raw: page.records,
        })
    }

    /// Whether another call may give what this one did not.
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
mod tests {
    use super::*;
    use crate::aggregate::Aggregator;
    use crate::stream::memory::Operation;
    use crate::{MemoryStream, SystemClock};

    async fn all(stream: &MemoryStream, settings: TailSettings) -> Vec<String> {
        let mut tail = Tail::new(Arc::new(stream.clone()), Arc::new(SystemClock), settings);
        let mut all = Vec::new();
        while let Some(page) = tail.next().await.unwrap() {
            let text = |record: &Record| String::from_utf8_lossy(&record.data).into_owned();
            all.extend(page.records.iter().map(text));
        }
        all
    }

    fn to_the_tip() -> TailSettings {
        TailSettings {
            until_caught_up: true,
            ..TailSettings::new(InitialPosition::TrimHorizon)
        }
    }

    #[tokio::test]
    async fn parents_come_before_their_children_and_it_ends_at_the_tip() {
        let stream = MemoryStream::new("orders", 2);
        let open = stream.open_shards();
        stream.put_to(&open[0], "k", "1").unwrap();
        let child = stream.merge(&open[0], &open[1]).unwrap();
        stream.put_to(&child, "k", "2").unwrap();
        let [grandchild, _] = stream.split_evenly(&child).unwrap();
        stream.put_to(&grandchild, "k", "3").unwrap();
        assert_eq!(all(&stream, to_the_tip()).await, ["1", "2", "3"]);
        let one = TailSettings {
            shards: [child].into(),
            ..to_the_tip()
        };
        assert_eq!(all(&stream, one).await, ["2"]);
    }

    #[tokio::test]
    async fn a_call_that_fails_for_a_moment_loses_and_repeats_nothing() {
        let stream = MemoryStream::new("orders", 1);
        stream.put("k", "1").unwrap();
        stream.fail_next(Operation::Read, ErrorKind::Expired, 1);
        assert_eq!(all(&stream, to_the_tip()).await, ["1"]);
    }

    #[tokio::test]
    async fn an_aggregate_is_taken_apart() {
        let stream = MemoryStream::new("orders", 1);
        let mut aggregator = Aggregator::new();
        for data in ["1", "2"] {
            aggregator.add("k", None, data.as_bytes()).unwrap();
        }
        let aggregate = aggregator.finish().unwrap();
        stream
            .put(&aggregate.partition_key, aggregate.data)
            .unwrap();
        assert_eq!(all(&stream, to_the_tip()).await, ["1", "2"]);
    }

    #[tokio::test]
    async fn a_shard_that_is_not_there_is_an_error() {
        let stream = MemoryStream::new("orders", 1);
        let settings = TailSettings {
            shards: ["shardId-9".into()].into(),
            ..to_the_tip()
        };
        let mut tail = Tail::new(Arc::new(stream), Arc::new(SystemClock), settings);
        let error = tail.next().await.unwrap_err().to_string();
        assert!(error.contains("no shard shardId-9"), "{error}");
    }
}
