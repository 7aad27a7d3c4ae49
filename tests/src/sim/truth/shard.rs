use bytes::Bytes;
use kcl_core::aggregate::Aggregator;
use kcl_core::model::{
    Checkpoint, ChildShard, Facts, LeaseKey, Position, RawRecord, SequenceNumber, Shard, ShardId,
    Timestamp,
};
use kcl_core::stream::StartAt;

use crate::sim::runtime::At;

/// A shard with everything that was ever put into it.
#[derive(Debug)]
pub(crate) struct ShardTruth {
    pub(crate) shard: Shard,
    /// Which of the world's streams it is in.
    pub(crate) stream: usize,
    /// What its lease is called.
    pub(crate) key: LeaseKey,
    /// The indices of its parents.
    pub(crate) parents: Vec<usize>,
    pub(crate) opened: At,
    pub(crate) closed: Option<At>,
    /// When it left the stream with all that it held.
    pub(crate) left: Option<At>,
    pub(crate) children: Vec<ChildShard>,
    /// Nothing is ever put here.
    pub(crate) quiet: bool,
    /// Its stream was deleted, and another one made under its name.
    pub(crate) deleted: bool,
    raw: Vec<Raw>,
    /// The place of each user record.
    users: Vec<Position>,
    /// So many of `raw` are not retained any more.
    trimmed_raw: usize,
}

#[derive(Debug)]
struct Raw {
    record: RawRecord,
    at: At,
    /// The index behind its last user record.
    users_end: u32,
}

/// What one read finds.
pub(crate) struct ReadResult {
    pub(crate) records: Vec<RawRecord>,
    /// The index of the first raw record behind them.
    pub(crate) next: usize,
    pub(crate) more: bool,
}

impl ShardTruth {
    pub(crate) const fn new(
        shard: Shard,
        stream: usize,
        key: LeaseKey,
        parents: Vec<usize>,
        opened: At,
        quiet: bool,
    ) -> Self {
        Self {
            shard,
            stream,
            key,
            parents,
            opened,
            closed: None,
            left: None,
            children: Vec::new(),
            quiet,
            deleted: false,
            raw: Vec::new(),
            users: Vec::new(),
            trimmed_raw: 0,
        }
    }

    pub(crate) const fn id(&self) -> &ShardId {
        &self.shard.id
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Puts a record of so many user records; more than one are an aggregate.
    pub(crate) fn put(
        &mut self,
        index: usize,
        sequence: SequenceNumber,
        users: u32,
        at: At,
        wall: Timestamp,
    ) {
        let from = self.users.len() as u32;
        let hash_key = self.shard.hash_range.start();
        let key = KEYS[self.raw.len() % KEYS.len()];
        let data = if users == 1 {
            payload(index, from)
        } else {
            aggregate(index, from, users, (key, hash_key))
        };
        for sub in 0..users {
            self.users
                .push(Position::new(sequence.clone(), u64::from(sub)));
        }
        let record = RawRecord::new(sequence, key, data).arrived_at(wall);
        self.raw.push(Raw {
            record,
            at,
            users_end: from + users,
        });
    }

    /// Forgets what was put before this time. Returns whether anything went.
    pub(crate) fn trim(&mut self, before: At) -> bool {
        let keep = self.raw.partition_point(|raw| raw.at < before);
        let moved = keep > self.trimmed_raw;
        self.trimmed_raw = self.trimmed_raw.max(keep);
        moved
    }

    pub(crate) fn trim_all(&mut self) {
        self.trimmed_raw = self.raw.len();
    }

    /// Whether anything is retained.
    pub(crate) const fn retains_nothing(&self) -> bool {
        self.trimmed_raw >= self.raw.len()
    }

    /// How many user records there ever were.
    pub(crate) fn len(&self) -> u32 {
        self.users.len() as u32
    }

    /// So many user records are not retained any more: those with a lower index.
    pub(crate) fn trimmed(&self) -> u32 {
        self.trimmed_raw
            .checked_sub(1)
            .map_or(0, |last| self.raw[last].users_end)
    }

    /// The index of the first user record that comes after this checkpoint.
    pub(crate) fn after(&self, checkpoint: &Checkpoint, facts: &Facts) -> u32 {
        match checkpoint {
            Checkpoint::TrimHorizon => 0,
            Checkpoint::Latest | Checkpoint::AtTimestamp => facts.start_at.map_or(0, |time| {
                let first = self
                    .raw
                    .partition_point(|raw| raw.record.arrived_at < Some(time));
                first
                    .checked_sub(1)
                    .map_or(0, |before| self.raw[before].users_end)
            }),
            Checkpoint::At(position) => self.up_to(position),
            Checkpoint::ShardEnd => self.len(),
        }
    }

    /// How many user records there are up to and with this position.
    pub(crate) fn up_to(&self, position: &Position) -> u32 {
        self.users.partition_point(|user| user <= position) as u32
    }

    /// The key of a user record.
    pub(crate) fn key_of(&self, index: u32) -> &str {
        let raw = self.raw.partition_point(|raw| raw.users_end <= index);
        self.raw
            .get(raw)
            .map_or("", |raw| &*raw.record.partition_key)
    }

    /// The index of the raw record that a reader begins with.
    pub(crate) fn place(&self, at: &StartAt) -> usize {
        match at {
            StartAt::TrimHorizon => self.trimmed_raw,
            StartAt::Timestamp(time) => self
                .raw
                .partition_point(|raw| raw.record.arrived_at < Some(*time)),
            StartAt::Sequence(sequence) => self
                .raw
                .partition_point(|raw| raw.record.sequence < *sequence),
            StartAt::AfterSequence(sequence) => self
                .raw
                .partition_point(|raw| raw.record.sequence <= *sequence),
            _ => self.raw.len(),
        }
    }

    /// The index of the user record that a reader at this raw record is given first.
    pub(crate) fn user_at(&self, raw: usize) -> u32 {
        raw.min(self.raw.len())
            .checked_sub(1)
            .map_or(0, |before| self.raw[before].users_end)
    }

    /// The sequence number of the raw record before this one, retained or not.
    pub(crate) fn sequence_before(&self, raw: usize) -> Option<SequenceNumber> {
        raw.min(self.raw.len())
            .checked_sub(1)
            .map(|before| self.raw[before].record.sequence.clone())
    }

    /// So many raw records are not retained any more.
    pub(crate) const fn trimmed_raw(&self) -> usize {
        self.trimmed_raw
    }

    pub(crate) fn read(&self, from: usize, limit: usize) -> ReadResult {
        let from = from.max(self.trimmed_raw).min(self.raw.len());
        let to = self.raw.len().min(from + limit);
        ReadResult {
            records: self.raw[from..to]
                .iter()
                .map(|raw| raw.record.clone())
                .collect(),
            next: to,
            more: to < self.raw.len(),
        }
    }
}

/// The keys of the records, in turn. One letter each, so that all records of a size take the same
/// memory.
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What a user record says: which one of which shard it is.
fn payload(shard: usize, index: u32) -> Bytes {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&(shard as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&index.to_le_bytes());
    Bytes::copy_from_slice(&bytes)
}

/// The index that a user record says, if it is of this shard.
pub(crate) fn index_of(data: &[u8], shard: usize) -> Option<u32> {
    let (of, index) = data.split_at_checked(4)?;
    let of = u32::from_le_bytes(of.try_into().ok()?);
    (of as usize == shard).then_some(u32::from_le_bytes(index.try_into().ok()?))
}

/// The shard that a user record says that it is of.
pub(crate) fn shard_in(data: &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(data.split_at_checked(4)?.0.try_into().ok()?) as usize)
}

fn aggregate(shard: usize, from: u32, users: u32, (key, hash_key): (&str, u128)) -> Bytes {
    let mut aggregator = Aggregator::new();
    for index in from..from + users {
        // Far below every limit of an aggregate: nothing is given back before the end.
        let _ = aggregator.add(key, Some(hash_key), &payload(shard, index));
    }
    aggregator
        .finish()
        .map_or_else(Bytes::new, |aggregate| aggregate.data)
}
