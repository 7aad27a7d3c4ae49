//! Which records of a shard are buffered together, when a buffer is flushed, and up to where all of
//! them are done.
//!
//! ```text
//!     accepted          the buffer of its key        due: by number, size, age,       flushed by one call
//!   --------------->  [ . . . . . . . . . . . ]  ----------------------------->  [ . . . . ]  ----> done
//!                                                  or because all are to be
//! ```
//!
//! Records are accepted in the order of the shard, each into the buffer of its key. A buffer that
//! is due is flushed from its oldest record on, with no more records than one flush may have. Of
//! the buffers that are due, full ones go first, then the oldest.
//!
//! Invariants: each key has at most one flush in progress, and its records are flushed in order; at
//! most `at_work` flushes are in progress; an accepted record is done only when
//! [`done`](RecordBuffers::done) says so; the finished prefix ends before the first record that is
//! not done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::Moment;

use super::window::RecordWindow;

/// The limits of the buffers of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferBounds {
    /// A buffer with this many records is flushed. Also the most that one call gets. At least 1.
    pub records: usize,
    /// A buffer with this many bytes is flushed. One record may exceed it: it is flushed alone.
    pub bytes: u64,
    /// A buffer whose oldest record has waited this long is flushed. Counted from its acceptance,
    /// not from its arrival in the stream.
    pub age: Duration,
    /// How many flushes may be in progress at the same time. At least 1.
    pub at_work: usize,
    /// How many records there may be from the first one that is not done to the last one that was
    /// accepted. It bounds what a restart delivers again.
    pub window: usize,
}

/// Why a buffer is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlushCause {
    /// It has reached the number of records.
    Records,
    /// It has reached the number of bytes.
    Bytes,
    /// Its oldest record has reached the age.
    Age,
    /// There is no room for the next records: the byte budget or the window is used up. Waiting
    /// would be useless: nothing can be accepted until something is done.
    Room,
    /// The shard has ended or was read up to the bound: no more records follow.
    End,
    /// The shard is being given up. What is not flushed in time is delivered to the next owner.
    Leaving,
}

impl FlushCause {
    /// The same as a word, for metrics: `records`, `bytes`, `age`, `room`, `end` or `leaving`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Room => "room",
            Self::End => "end",
            Self::Leaving => "leaving",
        }
    }
}

/// A flush that begins: the records of one key, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginningFlush<K> {
    /// Their key.
    pub key: K,
    /// The numbers of the records.
    pub numbers: Vec<u64>,
    /// Why they are flushed now.
    pub cause: FlushCause,
}

/// A record that waits for a flush.
#[derive(Clone, Copy, Debug)]
struct Gathered {
    /// In the window, from which the finished prefix is computed.
    number: u64,
    bytes: u64,
    /// When it was accepted.
    since: Moment,
}

/// The records of one key, with at most one flush of it in progress.
#[derive(Clone, Debug, Default)]
struct Buffer {
    /// Those that wait. A flush takes its records out of here.
    records: VecDeque<Gathered>,
    bytes: u64,
    /// While it is, the buffer is in neither index, so no second flush of the key can begin.
    at_work: bool,
}

/// The records of one shard that were accepted and may not be done, numbered in the order in which
/// they were accepted.
#[derive(Clone, Debug)]
pub struct RecordBuffers<K> {
    bounds: BufferBounds,
    /// Whether each accepted record is done.
    done: RecordWindow<bool>,
    /// A key whose records are all flushed has none, so memory does not grow with the number of
    /// keys.
    buffers: BTreeMap<K, Buffer>,
    /// The buffers without a flush in progress, by the time since which their oldest record has
    /// waited.
    by_age: BTreeSet<(Moment, u64, K)>,
    /// The full ones among them, by their oldest record.
    full: BTreeSet<(u64, K)>,
    at_work: usize,
    gathered: usize,
    gathered_bytes: u64,
}

impl<K: Ord + Clone> RecordBuffers<K> {
    /// Creates it without records. A limit of 0 counts as 1.
    #[must_use]
    pub fn new(bounds: BufferBounds) -> Self {
        let bounds = BufferBounds {
            records: bounds.records.max(1),
            at_work: bounds.at_work.max(1),
            ..bounds
        };
        Self {
            bounds,
            done: RecordWindow::new(bounds.window),
            buffers: BTreeMap::new(),
            by_age: BTreeSet::new(),
            full: BTreeSet::new(),
            at_work: 0,
            gathered: 0,
            gathered_bytes: 0,
        }
    }

    /// The number of the first record that is not done, or of the next one to be accepted.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.done.first()
    }

    /// How many flushes are in progress.
    #[must_use]
    pub const fn at_work(&self) -> usize {
        self.at_work
    }

    /// How many records wait for a flush, and how many bytes they have.
    #[must_use]
    pub const fn gathered(&self) -> (usize, u64) {
        (self.gathered, self.gathered_bytes)
    }

    /// How many keys have records that wait for a flush or are flushed.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.buffers.len()
    }

    /// Since when the oldest record has waited whose key has no flush in progress.
    #[must_use]
    pub fn oldest(&self) -> Option<Moment> {
        self.by_age.first().map(|(since, ..)| *since)
    }

    /// How many more records may be accepted.
    #[must_use]
    pub fn room(&self) -> usize {
        self.done.room()
    }

    /// Accepts the next record of the shard, with this many bytes, into the buffer of its key, and
    /// returns its number.
    pub fn accept(&mut self, key: K, bytes: u64, now: Moment) -> u64 {
        let number = self.done.accept(false);
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

    /// Accepts the next record of the shard as one that needs no work. Returns by how many records
    /// the finished prefix has grown.
    pub fn pass(&mut self) -> usize {
        self.done.accept(true);
        self.grow()
    }

    /// Begins the next flush, or returns `None` if none may begin. If `all` is given, every buffer
    /// is due for that cause.
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

    /// When the next buffer is due because of its age. `None` while no flush may begin.
    #[must_use]
    pub fn wake_at(&self) -> Option<Moment> {
        let oldest = self
            .oldest()
            .filter(|_| self.at_work < self.bounds.at_work)?;
        Some(oldest + self.bounds.age)
    }

    /// Marks a record of a flush as done. Returns by how many records the finished prefix has
    /// grown.
    pub fn done(&mut self, number: u64) -> usize {
        if let Some(done) = self.done.get_mut(number) {
            *done = true;
        }
        self.grow()
    }

    /// Ends the flush of this key with all its records done: the next one may begin.
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

    /// Ends the flush of this key with some records not done: no more records of the key are
    /// flushed.
    pub fn given_back(&mut self, key: &K) {
        self.leaves(key);
        if let Some(buffer) = self.buffers.get_mut(key) {
            // Marked as in progress for good, so that no flush of it begins.
            self.gathered -= buffer.records.len();
            self.gathered_bytes -= buffer.bytes;
            (buffer.records, buffer.bytes) = (VecDeque::new(), 0);
        }
    }

    /// The buffer to flush next, and why. Full ones go first: they hold the most memory.
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

    /// Indexes a key without a flush in progress by its oldest record, and by whether it is full.
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

    /// A flush is over, however it has ended.
    fn leaves(&mut self, key: &K) {
        if self.buffers.get(key).is_some_and(|buffer| buffer.at_work) {
            self.at_work = self.at_work.saturating_sub(1);
        }
    }

    /// Moves the finished prefix up to the first record that is not done.
    fn grow(&mut self) -> usize {
        self.done.pass_done(|done| *done)
    }
}

#[cfg(test)]
#[path = "buffers_test.rs"]
mod tests;
