//! Which records of a shard are processed at the same time, and up to where all of them are done.
//!
//! ```text
//!              the finished prefix         first unfinished                     last accepted
//!   -----------------------------------------[ . . . . . . . . . . . . . . . . . .]---->  records of the shard
//!                                             done, in progress, failed, or waiting:
//!                                             never more than the window holds
//! ```
//!
//! Records are accepted in the order of the shard, each into a lane of its own or into the lane of
//! its key. The records of a lane are processed one after the other, in order; of all records that
//! may begin, the oldest begins first. A failed record blocks its lane, but frees its place among
//! the records in progress until it is tried again.
//!
//! Invariants: at most `at_work` records are in progress, and at most one of each lane; a record
//! begins only when all earlier ones of its lane are done; the finished prefix ends before the
//! first record that is not done.

use std::collections::{BTreeMap, BTreeSet};

use super::window::RecordWindow;

/// The limits of the work on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBounds {
    /// How many records may be in progress at the same time. At least 1.
    pub at_work: usize,
    /// How many records there may be from the first one that is not done to the last one that was
    /// accepted. It bounds what a restart delivers again, and the memory of a shard whose first
    /// record hangs.
    pub window: usize,
}

/// ```text
///   Behind --> Ready --> AtWork --> Done
///                ^         |
///                |         v
///                +----- Failed        its lane waits, others go on
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    /// An earlier record of its lane is not done.
    Behind,
    /// Nothing of its lane is before it; it waits only for a free place.
    Ready,
    /// A call of the handler is working on it.
    AtWork,
    /// It failed and will be tried again later.
    Failed,
    /// Processed, skipped or passed. It leaves the window when everything before it is done.
    Done,
}

/// A record that was accepted.
#[derive(Clone, Debug)]
struct Slot<K> {
    state: SlotState,
    /// Its lane. `None` if it has one for itself.
    key: Option<K>,
    /// The next record of its lane.
    next: Option<u64>,
}

/// The records of one shard that were accepted and may not be done, numbered in the order in which
/// they were accepted.
#[derive(Clone, Debug)]
pub struct RecordLanes<K> {
    /// The limit of records in progress.
    most_at_work: usize,
    slots: RecordWindow<Slot<K>>,
    /// For each key with a record that is not done, the last record of its lane. The next record of
    /// the key goes behind it.
    last: BTreeMap<K, u64>,
    /// In order, so that the oldest begins first and the finished prefix grows.
    ready: BTreeSet<u64>,
    /// The records in lanes of their own that are not done.
    alone: usize,
    /// Failed records do not count: while one waits for its next attempt, others use its place.
    at_work: usize,
}

impl<K: Ord + Clone> RecordLanes<K> {
    /// Creates it without records. A limit of 0 counts as 1.
    #[must_use]
    pub fn new(bounds: LaneBounds) -> Self {
        Self {
            most_at_work: bounds.at_work.max(1),
            slots: RecordWindow::new(bounds.window),
            last: BTreeMap::new(),
            ready: BTreeSet::new(),
            alone: 0,
            at_work: 0,
        }
    }

    /// The number of the first record that is not done, or of the next one to be accepted. Every
    /// record before it is done.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.slots.first()
    }

    /// How many records are in progress.
    #[must_use]
    pub const fn at_work(&self) -> usize {
        self.at_work
    }

    /// How many lanes have a record that is not done.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.last.len() + self.alone
    }

    /// How many records could begin now.
    #[must_use]
    pub fn can_begin(&self) -> usize {
        self.ready.len().min(self.most_at_work - self.at_work)
    }

    /// Whether another record may be accepted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more records may be accepted.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.room()
    }

    /// Whether more records should be accepted now: when no accepted record can begin, when fewer
    /// can begin than may be in progress (records of one key wait for each other, and the next ones
    /// may have other keys), or when an eighth of the window is free. Below that, records would be
    /// passed on one by one.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        let busy = self.at_work + self.ready.len() >= self.most_at_work;
        self.has_room() && (self.ready.is_empty() || !busy || self.room() >= self.slots.most() / 8)
    }

    /// Accepts the next record of the shard, into the lane of its key or into one of its own, and
    /// returns its number.
    pub fn accept(&mut self, key: Option<K>) -> u64 {
        let number = self.slots.accept(Slot {
            state: SlotState::Behind,
            key: key.clone(),
            next: None,
        });
        self.alone += usize::from(key.is_none());
        let before = key.and_then(|key| self.last.insert(key, number));
        match before.and_then(|before| self.slots.get_mut(before)) {
            Some(before) => before.next = Some(number),
            None => self.makes_ready(number),
        }
        number
    }

    /// Accepts the next record of the shard as one that needs no work. Returns by how many records
    /// the finished prefix has grown.
    pub fn pass(&mut self) -> usize {
        self.slots.accept(Slot {
            state: SlotState::Done,
            key: None,
            next: None,
        });
        self.grow()
    }

    /// Begins the oldest record that may begin, and returns its number. `None` if none may.
    pub fn begin(&mut self) -> Option<u64> {
        if self.at_work >= self.most_at_work {
            return None;
        }
        let number = self.ready.pop_first()?;
        self.at_work += 1;
        self.set(number, SlotState::AtWork);
        Some(number)
    }

    /// Marks a record that is in progress or has failed as done, so that the next one of its lane
    /// may begin. Returns by how many records the finished prefix has grown.
    pub fn done(&mut self, number: u64) -> usize {
        let Some(slot) = self.slots.get_mut(number) else {
            return 0;
        };
        match slot.state {
            SlotState::AtWork | SlotState::Failed => {}
            SlotState::Behind | SlotState::Ready | SlotState::Done => return 0,
        }
        let was_at_work = std::mem::replace(&mut slot.state, SlotState::Done) == SlotState::AtWork;
        let (next, key) = (slot.next, slot.key.take());
        self.at_work -= usize::from(was_at_work);
        match (next, key) {
            (Some(next), _) => self.makes_ready(next),
            (None, Some(key)) => {
                self.last.remove(&key);
            }
            (None, None) => self.alone -= 1,
        }
        self.grow()
    }

    /// Marks a record in progress as failed: it is no longer in progress, but blocks its lane.
    pub fn failed(&mut self, number: u64) {
        if self.is(number, SlotState::AtWork) {
            self.set(number, SlotState::Failed);
            self.at_work -= 1;
        }
    }

    /// Lets a failed record begin again.
    pub fn again(&mut self, number: u64) {
        if self.is(number, SlotState::Failed) {
            self.makes_ready(number);
        }
    }

    /// Removes the finished records at the front, and returns how many there were.
    fn grow(&mut self) -> usize {
        self.slots.pass_done(|slot| slot.state == SlotState::Done)
    }

    /// The record may begin.
    fn makes_ready(&mut self, number: u64) {
        self.set(number, SlotState::Ready);
        self.ready.insert(number);
    }

    /// Whether the record is in this state. A record that has left the window is in none.
    fn is(&mut self, number: u64, state: SlotState) -> bool {
        self.slots
            .get_mut(number)
            .is_some_and(|slot| slot.state == state)
    }

    fn set(&mut self, number: u64, state: SlotState) {
        if let Some(slot) = self.slots.get_mut(number) {
            slot.state = state;
        }
    }
}

#[cfg(test)]
#[path = "lanes_test.rs"]
mod tests;
