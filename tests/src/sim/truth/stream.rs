use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::model::{
    ChildShard, HashKeyRange, LeaseKey, RawRecord, SequenceNumber, Shard, ShardId, Timestamp,
};
use kcl_core::stream::{ShardFilter, StartAt, StreamDescription};

use crate::sim::runtime::At;

use super::ShardTruth;

/// All shards that there ever were in the streams of a world, with all records. Shards of two
/// streams may have the same name.
#[derive(Debug)]
pub(crate) struct StreamTruth {
    /// When each was made, the first time or again.
    made: Vec<At>,
    /// Whether the keys of leases name the stream.
    several: bool,
    shards: Vec<ShardTruth>,
    /// Those of the streams as they are now.
    by_id: BTreeMap<(usize, ShardId), usize>,
    /// Where leases of two shards have the same key, as of one stream that was made again, the
    /// first one.
    by_key: BTreeMap<LeaseKey, usize>,
    events: u128,
}

/// A page of records.
pub(crate) struct Read {
    pub(crate) records: Vec<RawRecord>,
    /// Where the next page begins; nothing at the shard's end.
    pub(crate) next: Option<usize>,
    /// The place behind the records.
    pub(crate) behind: usize,
    pub(crate) millis_behind: u64,
    pub(crate) children: Vec<ChildShard>,
    /// User records that were trimmed between the place of the cursor and what was read.
    pub(crate) overtaken: Option<(u32, u32)>,
}

/// Wall time at the beginning of every world.
const EPOCH_MS: i64 = 1_900_000_000_000;

/// The time of day of the service.
pub(crate) fn wall(at: At) -> Timestamp {
    Timestamp::from_millis(EPOCH_MS + at.0 as i64)
}

/// How long after the beginning a time of day is.
pub(crate) fn since_beginning(time: Timestamp) -> At {
    At(u64::try_from(time.as_millis() - EPOCH_MS).unwrap_or(0))
}

impl StreamTruth {
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            made: vec![At(0); streams],
            several: streams > 1,
            shards: Vec::new(),
            by_id: BTreeMap::new(),
            by_key: BTreeMap::new(),
            events: 0,
        }
    }

    /// What the service says of a stream.
    pub(crate) fn describe(&self, stream: usize) -> StreamDescription {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/sim-{stream}");
        StreamDescription::new(arn, wall(self.made[stream]), Duration::from_hours(24))
    }

    /// Whether a stream was made again.
    pub(crate) fn is_replaced(&self, stream: usize) -> bool {
        self.made[stream] > At(0)
    }

    /// Deletes a stream with all that it holds, and makes it again, without shards so far.
    pub(crate) fn replace(&mut self, stream: usize, at: At) {
        self.made[stream] = at;
        for shard in self
            .shards
            .iter_mut()
            .filter(|shard| shard.stream == stream && !shard.deleted)
        {
            shard.deleted = true;
            shard.closed.get_or_insert(at);
            shard.left.get_or_insert(at);
            shard.trim_all();
        }
    }

    pub(crate) fn shards(&self) -> &[ShardTruth] {
        &self.shards
    }

    /// A shard of a stream.
    pub(crate) fn shard(&self, stream: usize, id: &ShardId) -> Option<(usize, &ShardTruth)> {
        // A look-up by parts would need a key of its own; ids are cheap to clone.
        self.by_id
            .get(&(stream, id.clone()))
            .map(|index| (*index, &self.shards[*index]))
    }

    /// The shard that a lease is for.
    pub(crate) fn leased(&self, key: &LeaseKey) -> Option<(usize, &ShardTruth)> {
        self.by_key
            .get(key)
            .map(|index| (*index, &self.shards[*index]))
    }

    /// Whether a lease is one of a stream that was deleted. A worker that has not heard of that yet may
    /// take the shards of the new stream for those of the old one.
    pub(crate) fn is_of_deleted(&self, key: &LeaseKey) -> bool {
        let is_its = |shard: &ShardTruth| shard.deleted && shard.key.stream == key.stream;
        key.stream.is_some() && self.shards.iter().any(is_its)
    }

    pub(crate) fn open_shards(&self) -> Vec<usize> {
        (0..self.shards.len())
            .filter(|index| self.shards[*index].is_open())
            .collect()
    }

    /// Opens a shard.
    pub(crate) fn open(
        &mut self,
        stream: usize,
        range: HashKeyRange,
        parents: &[usize],
        at: At,
        quiet: bool,
    ) -> usize {
        let index = self.shards.len();
        let number = self
            .shards
            .iter()
            .filter(|shard| shard.stream == stream && !shard.deleted)
            .count();
        let id = ShardId::from(format!("shardId-{number:012}"));
        let ids: Vec<ShardId> = parents
            .iter()
            .map(|parent| self.shards[*parent].id().clone())
            .collect();
        let mut shard = Shard::new(id.clone(), range).with_parents(ids);
        shard.starting_sequence = Some(self.next_sequence());
        let identity = self.several.then(|| self.describe(stream).identity());
        let key = LeaseKey {
            stream: identity,
            shard: id.clone(),
        };
        self.by_key.entry(key.clone()).or_insert(index);
        self.shards.push(ShardTruth::new(
            shard,
            stream,
            key,
            parents.to_vec(),
            at,
            quiet,
        ));
        self.by_id.insert((stream, id), index);
        index
    }

    fn next_sequence(&mut self) -> SequenceNumber {
        self.events += 1;
        // Long enough that a comparison as text or as 64 bits goes wrong.
        SequenceNumber::from_u128((1 << 70) - 1000 + self.events * 7)
    }

    pub(crate) fn put(&mut self, index: usize, users: u32, at: At) {
        let sequence = self.next_sequence();
        self.shards[index].put(index, sequence, users, at, wall(at));
    }

    /// Closes the parents and opens shards of these ranges behind them.
    fn follow(
        &mut self,
        parents: &[usize],
        ranges: &[HashKeyRange],
        at: At,
        quiet: bool,
    ) -> Vec<usize> {
        for parent in parents {
            self.shards[*parent].closed = Some(at);
            self.shards[*parent].shard.closed = true;
        }
        let stream = parents
            .first()
            .map_or(0, |parent| self.shards[*parent].stream);
        let opened: Vec<usize> = ranges
            .iter()
            .map(|range| self.open(stream, *range, parents, at, quiet))
            .collect();
        let children: Vec<ChildShard> = opened
            .iter()
            .map(|child| {
                let shard = &self.shards[*child].shard;
                ChildShard::new(shard.id.clone(), shard.parents.clone(), shard.hash_range)
            })
            .collect();
        for parent in parents {
            self.shards[*parent].children.clone_from(&children);
        }
        opened
    }

    /// Splits an open shard in its middle; nothing when it is too narrow.
    pub(crate) fn split(&mut self, index: usize, at: At, quiet: bool) -> Option<Vec<usize>> {
        let range = self.shards[index].shard.hash_range;
        let middle = range.start() + (range.end() - range.start()) / 2;
        let lower = HashKeyRange::new(range.start(), middle).ok()?;
        let upper = HashKeyRange::new(middle.checked_add(1)?, range.end()).ok()?;
        Some(self.follow(&[index], &[lower, upper], at, quiet))
    }

    /// Merges an open shard with the open one above it; nothing when there is none.
    pub(crate) fn merge(&mut self, index: usize, at: At, quiet: bool) -> Option<(usize, usize)> {
        let lower = self.shards[index].shard.hash_range;
        let above = lower.end().checked_add(1)?;
        let stream = self.shards[index].stream;
        let follows = |other: &usize| {
            self.shards[*other].stream == stream
                && self.shards[*other].shard.hash_range.start() == above
        };
        let other = self.open_shards().into_iter().find(follows)?;
        let range =
            HashKeyRange::new(lower.start(), self.shards[other].shard.hash_range.end()).ok()?;
        let child = *self.follow(&[index, other], &[range], at, quiet).first()?;
        Some((other, child))
    }

    /// Lets go of what was put before `before`; closed shards that hold nothing leave. Returns the
    /// shards that did.
    pub(crate) fn trim(&mut self, before: At, now: At) -> Vec<usize> {
        let mut left = Vec::new();
        for (index, shard) in self
            .shards
            .iter_mut()
            .enumerate()
            .filter(|(_, shard)| shard.left.is_none())
        {
            shard.trim(before);
            if shard.retains_nothing() && shard.closed.is_some_and(|closed| closed < before) {
                shard.trim_all();
                shard.left = Some(now);
                left.push(index);
            }
        }
        left
    }

    /// The listing of a stream's shards as it was at `seen`, in the order of their names.
    pub(crate) fn list(&self, stream: usize, filter: &ShardFilter, seen: At) -> Vec<Shard> {
        let mine = || {
            self.shards
                .iter()
                .filter(|s| s.stream == stream && !s.deleted)
        };
        let known: Vec<&ShardTruth> = mine()
            .filter(|s| s.opened <= seen && s.left.is_none_or(|left| left > seen))
            .collect();
        let is_known = |id: &ShardId| known.iter().any(|s| s.id() == id);
        let is_root = |s: &ShardTruth| !s.shard.parents.iter().any(is_known);
        let closed = |s: &ShardTruth| s.closed.filter(|closed| *closed <= seen);
        let horizon = mine()
            .filter(|s| s.left.is_some_and(|left| left <= seen))
            .filter_map(|s| s.closed)
            .max();
        let passes = |s: &ShardTruth| match filter {
            ShardFilter::All => true,
            ShardFilter::AtLatest => closed(s).is_none(),
            ShardFilter::AtTrimHorizon => is_root(s),
            ShardFilter::AtTimestamp(time) if Some(since_beginning(*time)) < horizon => is_root(s),
            ShardFilter::AtTimestamp(time) => {
                let time = since_beginning(*time);
                s.opened <= time && closed(s).is_none_or(|closed| closed >= time)
            }
            _ => true,
        };
        let shown = |s: &&ShardTruth| {
            let mut shard = s.shard.clone();
            shard.closed = closed(s).is_some();
            shard
        };
        known.iter().filter(|s| passes(s)).map(shown).collect()
    }

    /// The sequence number of the record before this place.
    pub(crate) fn sequence_before(&self, index: usize, raw: usize) -> Option<SequenceNumber> {
        self.shards[index].sequence_before(raw)
    }

    /// Where a reader begins who opens the shard here; nothing when the place is none of this
    /// stream.
    pub(crate) fn place(&self, index: usize, at: &StartAt) -> Option<usize> {
        let shard = &self.shards[index];
        if let (StartAt::Sequence(sequence) | StartAt::AfterSequence(sequence), true) =
            (at, self.is_replaced(shard.stream))
            && shard
                .shard
                .starting_sequence
                .as_ref()
                .is_some_and(|first| sequence < first)
        {
            return None;
        }
        Some(shard.place(at))
    }

    pub(crate) fn read(&self, index: usize, from: usize, limit: usize, now: At) -> Read {
        let shard = &self.shards[index];
        let found = shard.read(from, limit);
        let overtaken =
            (from < shard.trimmed_raw()).then(|| (shard.user_at(from), shard.trimmed()));
        let ended = shard.closed.is_some() && !found.more;
        let last = found.records.last().and_then(|record| record.arrived_at);
        let millis_behind = match last {
            Some(at) if found.more => now.since(since_beginning(at)).max(1),
            None if found.more => 1,
            _ => 0,
        };
        Read {
            next: (!ended).then_some(found.next),
            behind: found.next,
            children: if ended {
                shard.children.clone()
            } else {
                Vec::new()
            },
            records: found.records,
            millis_behind,
            overtaken,
        }
    }
}
