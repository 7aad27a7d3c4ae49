//! All shards of the stream: puts, splits and merges, and what the list of shards shows.
//!
//! It is as strict as the service where a reader could come to depend on something: sequence
//! numbers and arrival times that only grow, hash keys that always have exactly one open shard, ids
//! that are never used again.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{
    ChildShard, HashKeyRange, RawRecord, SequenceNumber, Shard, ShardId, Timestamp,
};
use crate::stream::{Error, ErrorKind, ShardFilter};

use super::place::sequence_number;
use super::shard::ShardLog;

/// All shards of a stream with their records.
///
/// ```text
///   split   shard 0  [0 ... 99]   closed at t     merge   shard 1  [0 ... 49]   closed at t
///                                                         shard 2  [50 .. 99]   closed at t
///           shard 1  [0 ... 49]   open from t             shard 3  [0 ... 99]   open from t
///           shard 2  [50 .. 99]   open from t
/// ```
///
/// A parent and its children share the moment `t`, so a listing at `t` has both, as in the service.
#[derive(Debug)]
pub(super) struct StreamLog {
    /// By id, which is also the order of the listing.
    shards: BTreeMap<ShardId, ShardLog>,
    /// How many shards have ever been created.
    shards_made: u64,
    /// How many sequence numbers have been assigned, to records and to shards. One count for the
    /// whole stream: in the service they grow within a shard and from a parent to its child, which
    /// this gives as well.
    events: u64,
    /// The last arrival time. The next one is not earlier, even if the clock goes back.
    last_arrival: Timestamp,
    /// The close time of the latest shard that has been removed. Which shards were open before then
    /// is not known any more.
    horizon: Option<Timestamp>,
}

impl StreamLog {
    /// Creates shards at this time that divide the hash keys evenly. 0 shards means 1.
    pub(super) fn new(shards: u32, now: Timestamp) -> Self {
        let mut log = Self {
            shards: BTreeMap::new(),
            shards_made: 0,
            events: 0,
            last_arrival: now,
            horizon: None,
        };
        for range in even_ranges(shards) {
            log.open_shard(range, Vec::new(), now);
        }
        log
    }

    /// The shard, or the error of the operation that wanted it.
    pub(super) fn shard(&self, operation: &'static str, id: &ShardId) -> Result<&ShardLog, Error> {
        self.shards.get(id).ok_or_else(|| no_shard(operation, id))
    }

    /// All that are retained, in the order of the listing.
    pub(super) fn shards(&self) -> impl Iterator<Item = &ShardLog> {
        self.shards.values()
    }

    /// The sequence number of the next event: greater than every assigned one. A reader that starts
    /// there gets all that is put from now on.
    pub(super) fn tip(&self) -> SequenceNumber {
        sequence_number(self.events + 1)
    }

    /// The open shard whose range contains this hash key.
    pub(super) fn shard_of(&self, hash_key: u128) -> Result<ShardId, Error> {
        let mut open = self.shards.values().filter(|log| !log.shard.closed);
        let taker = open
            .find(|log| log.shard.hash_range.contains(hash_key))
            .map(|log| log.id().clone());
        taker.ok_or_else(|| {
            Error::new(
                ErrorKind::Gone,
                "PutRecord",
                format!("no open shard has the hash key {hash_key} in its range"),
            )
        })
    }

    /// Appends a record to an open shard. Its arrival is never before that of an earlier record,
    /// because a reader that starts at a time finds its place by a binary search.
    pub(super) fn put(
        &mut self,
        id: &ShardId,
        key: &str,
        data: Bytes,
        now: Timestamp,
    ) -> Result<SequenceNumber, Error> {
        // Checked before a sequence number is assigned: a rejected record leaves no trace.
        self.open_shard_mut("PutRecord", id)?;
        let sequence = self.next_sequence();
        self.last_arrival = self.last_arrival.max(now);
        let record = RawRecord::new(sequence.clone(), key, data).arrived_at(self.last_arrival);
        self.open_shard_mut("PutRecord", id)?.append(record);
        Ok(sequence)
    }

    /// Closes the shard and opens two children at the same moment, so that no hash key is ever
    /// without an open shard.
    pub(super) fn split(
        &mut self,
        id: &ShardId,
        at: u128,
        now: Timestamp,
    ) -> Result<[ShardId; 2], Error> {
        let range = self.open_shard_mut("SplitShard", id)?.shard.hash_range;
        let (start, end) = (range.start(), range.end());
        // The first key of the upper child: each of the two must have at least one.
        if at <= start || at > end {
            let message = format!(
                "cannot split {id} at hash key {at}: expected a key above {start} and up to {end}"
            );
            return Err(refused("SplitShard", message));
        }
        let bounded = |start, end| {
            HashKeyRange::new(start, end).map_err(|error| refused("SplitShard", error.to_string()))
        };
        let (lower, upper) = (bounded(start, at - 1)?, bounded(at, end)?);
        // Both bounds were made before anything is closed: a split that is refused leaves no trace.
        let now = self.close(&[id], now);
        let children = [
            self.open_shard(lower, vec![id.clone()], now),
            self.open_shard(upper, vec![id.clone()], now),
        ];
        self.follow(&[id], &children);
        Ok(children)
    }

    /// Closes two neighbours and opens one child for both. The child names both as its parents.
    pub(super) fn merge(
        &mut self,
        a: &ShardId,
        b: &ShardId,
        now: Timestamp,
    ) -> Result<ShardId, Error> {
        let one = self.open_shard_mut("MergeShards", a)?.shard.hash_range;
        let other = self.open_shard_mut("MergeShards", b)?.shard.hash_range;
        // In whichever order they are named.
        let (lower, upper) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        // Neighbours in the hash keys, whatever their ids say. The upper bound is inclusive.
        if lower.end().checked_add(1) != Some(upper.start()) {
            return Err(refused(
                "MergeShards",
                format!("cannot merge {a} and {b}: expected shards with adjacent hash key ranges"),
            ));
        }
        let range = HashKeyRange::new(lower.start(), upper.end())
            .map_err(|error| refused("MergeShards", error.to_string()))?;
        let now = self.close(&[a, b], now);
        let child = self.open_shard(range, vec![a.clone(), b.clone()], now);
        self.follow(&[a, b], std::slice::from_ref(&child));
        Ok(child)
    }

    /// Closes an open shard without children, as no reshard of the service does and as emulators
    /// show it: a reader must not wait for children that never come.
    pub(super) fn close_for_good(&mut self, id: &ShardId, now: Timestamp) -> Result<(), Error> {
        self.open_shard_mut("CloseShard", id)?;
        self.close(&[id], now);
        Ok(())
    }

    /// Removes the oldest records of a shard, as retention does.
    pub(super) fn trim(&mut self, id: &ShardId, up_to: &SequenceNumber) -> Result<usize, Error> {
        let log = self
            .shards
            .get_mut(id)
            .ok_or_else(|| no_shard("Trim", id))?;
        Ok(log.trim(up_to))
    }

    /// Removes a shard with all its records, as retention removes closed shards.
    pub(super) fn drop_shard(&mut self, id: &ShardId) -> Result<(), Error> {
        // Its children are roots from now on, without being told: `passes` looks for the parents.
        let log = self.shards.remove(id).ok_or_else(|| no_shard("Trim", id))?;
        self.horizon = self.horizon.max(log.closed_at);
        Ok(())
    }

    /// Whether the shard matches the service's filter.
    pub(super) fn passes(&self, filter: &ShardFilter, log: &ShardLog) -> bool {
        // A root is among the oldest known shards: all its parents have been removed.
        let is_root = || {
            !log.shard
                .parents
                .iter()
                .any(|parent| self.shards.contains_key(parent))
        };
        match filter {
            ShardFilter::All => true,
            ShardFilter::AtLatest => !log.shard.closed,
            ShardFilter::AtTrimHorizon => is_root(),
            ShardFilter::AtTimestamp(time) if self.is_before_horizon(*time) => is_root(),
            // Both the open and the close time are inclusive, as the service documents it, so a
            // parent and its children may both be listed.
            ShardFilter::AtTimestamp(time) => {
                log.opened_at <= *time && log.closed_at.is_none_or(|closed| closed >= *time)
            }
        }
    }

    /// Whether it is not known any more which shards were open at that time. The service then lists
    /// those at the trim horizon.
    fn is_before_horizon(&self, time: Timestamp) -> bool {
        let oldest = self.shards.values().map(|log| log.opened_at).min();
        Some(time) < self.horizon || oldest.is_some_and(|oldest| time < oldest)
    }

    /// The shard, if it takes records: a closed one is refused, as by the service.
    fn open_shard_mut(
        &mut self,
        operation: &'static str,
        id: &ShardId,
    ) -> Result<&mut ShardLog, Error> {
        let log = self
            .shards
            .get_mut(id)
            .ok_or_else(|| no_shard(operation, id))?;
        if log.shard.closed {
            return Err(refused(operation, format!("{id} is closed")));
        }
        Ok(log)
    }

    /// The next sequence number. Numbers are shared by all shards, so those of children are above
    /// those of their parents.
    fn next_sequence(&mut self) -> SequenceNumber {
        self.events += 1;
        sequence_number(self.events)
    }

    /// Opens a shard with the next id. Ids are never used again, and its starting sequence number
    /// is greater than all that its parents have.
    fn open_shard(
        &mut self,
        range: HashKeyRange,
        parents: Vec<ShardId>,
        now: Timestamp,
    ) -> ShardId {
        let id = ShardId::from(format!("shardId-{:012}", self.shards_made));
        self.shards_made += 1;
        let mut shard = Shard::new(id.clone(), range).with_parents(parents);
        shard.starting_sequence = Some(self.next_sequence());
        self.shards.insert(id.clone(), ShardLog::new(shard, now));
        id
    }

    /// Closes the shards at a time between the last arrival and the next one, and returns that
    /// time.
    fn close(&mut self, ids: &[&ShardId], now: Timestamp) -> Timestamp {
        // A clock that was set back must not close a shard before its last record arrived.
        let now = now.max(self.last_arrival);
        self.last_arrival = now;
        for id in ids {
            if let Some(log) = self.shards.get_mut(*id) {
                log.close(now);
            }
        }
        now
    }

    /// Adds the children to their parents, whose last pages name them.
    fn follow(&mut self, parents: &[&ShardId], children: &[ShardId]) {
        let described: Vec<_> = children
            .iter()
            .filter_map(|id| self.shards.get(id))
            .map(as_child)
            .collect();
        for id in parents {
            if let Some(log) = self.shards.get_mut(*id) {
                log.children.clone_from(&described);
            }
        }
    }
}

/// The shard as its parents' last pages name it.
fn as_child(log: &ShardLog) -> ChildShard {
    ChildShard::new(
        log.id().clone(),
        log.shard.parents.clone(),
        log.shard.hash_range,
    )
}

/// The error for a shard that does not exist, or does not exist any more.
fn no_shard(operation: &'static str, id: &ShardId) -> Error {
    Error::new(
        ErrorKind::Gone,
        operation,
        format!("the stream has no shard {id}"),
    )
}

/// The error for a request that cannot be granted.
fn refused(operation: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Fatal, operation, message)
}

/// All hash keys in this many ranges of equal width. The last range gets the remainder, as in
/// Kinesis.
fn even_ranges(count: u32) -> Vec<HashKeyRange> {
    let count = u128::from(count.max(1));
    // 2^128 / count; saturating, because 2^128 itself (count = 1) does not fit into a `u128`.
    let width = (u128::MAX / count).saturating_add(u128::from(u128::MAX % count == count - 1));
    let start = |index: u128| index * width;
    let end = |index: u128| {
        if index + 1 == count {
            u128::MAX
        } else {
            start(index + 1) - 1
        }
    };
    (0..count)
        .filter_map(|index| HashKeyRange::new(start(index), end(index)).ok())
        .collect()
}
