//! Which records of a shard are gathered together, when a buffer of them is flushed, and up to
//! where all of them are done.
//!
//! ```text
//!     accepted          the buffer of its key        due: by number, size, age,       flushed by one call
//!   --------------->  [ . . . . . . . . . . . ]  ----------------------------->  [ . . . . ]  ----> done
//!                                                  or because all are to be
//! ```
//!
//! Records are accepted in the order of the shard, each into the buffer of its key. A buffer that is
//! due is flushed from its oldest record on, with no more records than one flush may have. Of those
//! that are due, full ones go first, then the oldest.
//!
//! Invariants: of one key at most one flush is at work, and its records are flushed in order; at
//! most `at_work` flushes are; a record that was accepted is done only when
//! [`done`](RecordBuffers::done) says so; the finished prefix ends before the first record that is
//! not done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::Moment;

/// The bounds of the buffers of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferBounds {
    /// As many records are flushed, and never more by one call.
    pub records: usize,
    /// A buffer with so many bytes is flushed.
    pub bytes: u64,
    /// A buffer whose oldest record has waited so long is flushed.
    pub age: Duration,
    /// How many flushes may be at work at the same time.
    pub at_work: usize,
    /// How many records there may be from the first that is not done to the last that was accepted.
    pub window: usize,
}

/// Why a buffer is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlushCause {
    /// It holds as many records as were set.
    Records,
    /// It holds as many bytes as were set.
    Bytes,
    /// Its oldest record has waited as long as was set.
    Age,
    /// There is no room for the next records: the byte budget or the window is used up.
    Room,
    /// The shard has ended, or was read up to the bound of the reading: no more records follow.
    End,
    /// The shard is given up.
    Leaving,
}

/// A flush that begins: the records of one key, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginningFlush<K> {
    /// Their key.
    pub key: K,
    /// Each record's number.
    pub numbers: Vec<u64>,
    /// Why now.
    pub cause: FlushCause,
}

#[derive(Clone, Copy, Debug)]
struct Gathered {
    number: u64,
    bytes: u64,
    since: Moment,
}

#[derive(Clone, Debug, Default)]
struct Buffer {
    records: VecDeque<Gathered>,
    bytes: u64,
    at_work: bool,
}

/// The records of one shard that are accepted and not known to be done, each under the number in
/// which it was accepted.
#[derive(Clone, Debug)]
pub struct RecordBuffers<K> {
    bounds: BufferBounds,
    /// The number of the first record that is not known to be done.
    first: u64,
    /// From that one on: whether it is done.
    done: VecDeque<bool>,
    buffers: BTreeMap<K, Buffer>,
    /// Of those with no flush at work: since when the oldest record waits.
    by_age: BTreeSet<(Moment, u64, K)>,
    /// Those of them that are full, by their oldest record.
    full: BTreeSet<(u64, K)>,
    at_work: usize,
    gathered: usize,
    gathered_bytes: u64,
}

impl<K: Ord + Clone> RecordBuffers<K> {
    /// Nothing is accepted yet. A bound of nothing counts as 1.
    #[must_use]
    pub fn new(bounds: BufferBounds) -> Self {
        let bounds = BufferBounds {
            records: bounds.records.max(1),
            at_work: bounds.at_work.max(1),
            window: bounds.window.max(1),
            ..bounds
        };
        Self {
            bounds,
            first: 0,
            done: VecDeque::new(),
            buffers: BTreeMap::new(),
            by_age: BTreeSet::new(),
            full: BTreeSet::new(),
            at_work: 0,
            gathered: 0,
            gathered_bytes: 0,
        }
    }

    /// The first record that is not done, or else the one that is accepted next.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many flushes are at work.
    #[must_use]
    pub const fn at_work(&self) -> usize {
        self.at_work
    }

    /// How many records wait for their flush, and their bytes.
    #[must_use]
    pub const fn gathered(&self) -> (usize, u64) {
        (self.gathered, self.gathered_bytes)
    }

    /// Since when the oldest record waits whose key has no flush at work.
    #[must_use]
    pub fn oldest(&self) -> Option<Moment> {
        self.by_age.first().map(|(since, ..)| *since)
    }

    /// How many further records may be accepted.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bounds.window.saturating_sub(self.done.len())
    }

    /// Takes in the next record of the shard, of so many bytes, into the buffer of its key. Its
    /// number.
    pub fn accept(&mut self, key: K, bytes: u64, now: Moment) -> u64 {
        let number = self.first + self.done.len() as u64;
        self.done.push_back(false);
        self.gathered += 1;
        self.gathered_bytes += bytes;
        let buffer = self.buffers.entry(key.clone()).or_default();
        buffer.records.push_back(Gathered {
            number,
            bytes,
            since: now,
        });
        buffer.bytes += bytes;
        // Those between change nothing of what its oldest record says.
        let tells = buffer.records.len() == 1
            || buffer.records.len() >= self.bounds.records
            || buffer.bytes >= self.bounds.bytes;
        if tells && !buffer.at_work {
            self.index(key);
        }
        number
    }

    /// Takes in the next record of the shard, with which nothing is to be done. How many records
    /// the finished prefix has grown by.
    pub fn pass(&mut self) -> usize {
        self.done.push_back(true);
        self.grow()
    }

    /// The flush that begins now: nothing when none may. With a cause, every buffer is due for it.
    pub fn begin(&mut self, now: Moment, all: Option<FlushCause>) -> Option<BeginningFlush<K>> {
        if self.at_work >= self.bounds.at_work {
            return None;
        }
        let (key, cause) = self.due(now, all)?;
        let buffer = self.buffers.get_mut(&key)?;
        let oldest = *buffer.records.front()?;
        self.by_age
            .remove(&(oldest.since, oldest.number, key.clone()));
        self.full.remove(&(oldest.number, key.clone()));
        let (mut numbers, mut bytes) = (Vec::new(), 0);
        while numbers.len() < self.bounds.records
            && (numbers.is_empty() || bytes < self.bounds.bytes)
            && let Some(record) = buffer.records.pop_front()
        {
            numbers.push(record.number);
            bytes += record.bytes;
        }
        buffer.bytes -= bytes;
        buffer.at_work = true;
        self.gathered -= numbers.len();
        self.gathered_bytes -= bytes;
        self.at_work += 1;
        Some(BeginningFlush {
            key,
            numbers,
            cause,
        })
    }

    /// When the next buffer is due by its age. Nothing while no flush may begin.
    #[must_use]
    pub fn wake_at(&self) -> Option<Moment> {
        let oldest = self
            .oldest()
            .filter(|_| self.at_work < self.bounds.at_work)?;
        Some(oldest + self.bounds.age)
    }

    /// A record of a flush is done. How many records the finished prefix has grown by.
    pub fn done(&mut self, number: u64) -> usize {
        let index = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(done) = index.and_then(|index| self.done.get_mut(index)) {
            *done = true;
        }
        self.grow()
    }

    /// The flush of this key is over, and all of its records are done: the next one may begin.
    pub fn flushed(&mut self, key: &K) {
        self.leaves(key);
        match self.buffers.get_mut(key) {
            Some(buffer) if buffer.records.is_empty() => {
                self.buffers.remove(key);
            }
            Some(buffer) => {
                buffer.at_work = false;
                self.index(key.clone());
            }
            None => {}
        }
    }

    /// The flush of this key is over, and something of it is not done: nothing of the key is
    /// flushed any more.
    pub fn given_back(&mut self, key: &K) {
        self.leaves(key);
        if let Some(buffer) = self.buffers.get_mut(key) {
            // For good at work, so that nothing of it begins.
            self.gathered -= buffer.records.len();
            self.gathered_bytes -= buffer.bytes;
            (buffer.records, buffer.bytes) = (VecDeque::new(), 0);
        }
    }

    fn due(&self, now: Moment, all: Option<FlushCause>) -> Option<(K, FlushCause)> {
        if let Some((_, key)) = self.full.first() {
            let is_long = self.buffers.get(key)?.records.len() >= self.bounds.records;
            let cause = if is_long {
                FlushCause::Records
            } else {
                FlushCause::Bytes
            };
            return Some((key.clone(), cause));
        }
        let (since, _, key) = self.by_age.first()?;
        let is_old = *since + self.bounds.age <= now;
        let room = || (self.room() == 0).then_some(FlushCause::Room);
        let cause = all
            .or_else(|| is_old.then_some(FlushCause::Age))
            .or_else(room)?;
        Some((key.clone(), cause))
    }

    /// Of a key with no flush at work: by its oldest record, and whether it is full.
    fn index(&mut self, key: K) {
        let Some(buffer) = self.buffers.get(&key) else {
            return;
        };
        let Some(oldest) = buffer.records.front() else {
            return;
        };
        let is_full =
            buffer.records.len() >= self.bounds.records || buffer.bytes >= self.bounds.bytes;
        if is_full {
            self.full.insert((oldest.number, key.clone()));
        }
        self.by_age.insert((oldest.since, oldest.number, key));
    }

    fn leaves(&mut self, key: &K) {
        if self.buffers.get(key).is_some_and(|buffer| buffer.at_work) {
            self.at_work = self.at_work.saturating_sub(1);
        }
    }

    fn grow(&mut self) -> usize {
        let before = self.first;
        while self.done.pop_front_if(|done| *done).is_some() {
            self.first += 1;
        }
        usize::try_from(self.first - before).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
#[path = "buffers_test.rs"]
mod tests;
