//! Which records of a shard may be at work at the same time, and up to where all of them are done.
//!
//! ```text
//!              the finished prefix         first unfinished                     last accepted
//!   -----------------------------------------[ . . . . . . . . . . . . . . . . . .]---->  records of the shard
//!                                             done, at work, failed, or waiting:
//!                                             never more than the window holds
//! ```
//!
//! Records are accepted in the order of the shard, each into a lane of its own or into the lane of
//! its key. In a lane they are worked on one after the other, in order; of those that may begin,
//! the oldest begins first. A record that failed keeps its lane and leaves its place among those at
//! work to others until it is to be tried again.
//!
//! Invariants: at most `at_work` records are at work; of one lane at most one; nothing of a lane
//! begins before all that precedes it there is done; the finished prefix ends before the first
//! record that is not done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The bounds of the work on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBounds {
    /// How many records may be at work at the same time.
    pub at_work: usize,
    /// How many records there may be from the first that is not done to the last that was accepted.
    pub window: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    /// Another record of its lane is not done.
    Behind,
    Ready,
    AtWork,
    /// It failed, and is to be tried again later.
    Failed,
    Done,
}

#[derive(Clone, Debug)]
struct Slot<K> {
    state: SlotState,
    key: Option<K>,
    /// The next record of its lane.
    next: Option<u64>,
}

/// The records of one shard that are accepted and not known to be done, each under the number in
/// which it was accepted.
#[derive(Clone, Debug)]
pub struct RecordLanes<K> {
    bounds: LaneBounds,
    /// The number of the first slot: all before it is done.
    first: u64,
    slots: VecDeque<Slot<K>>,
    /// The last record of each lane of a key that has one which is not done.
    last: BTreeMap<K, u64>,
    ready: BTreeSet<u64>,
    at_work: usize,
}

impl<K: Ord + Clone> RecordLanes<K> {
    /// Nothing is accepted yet. A bound of nothing counts as 1.
    #[must_use]
    pub fn new(bounds: LaneBounds) -> Self {
        let bounds = LaneBounds {
            at_work: bounds.at_work.max(1),
            window: bounds.window.max(1),
        };
        Self {
            bounds,
            first: 0,
            slots: VecDeque::new(),
            last: BTreeMap::new(),
            ready: BTreeSet::new(),
            at_work: 0,
        }
    }

    /// The first record that is not done, or else the one that is accepted next: everything before
    /// it is done.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many records are at work.
    #[must_use]
    pub const fn at_work(&self) -> usize {
        self.at_work
    }

    /// How many of those that may begin could begin now.
    #[must_use]
    pub fn can_begin(&self) -> usize {
        self.ready.len().min(self.bounds.at_work - self.at_work)
    }

    /// Whether a further record may be accepted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.slots.len() < self.bounds.window
    }

    /// Whether it is time to bring more: when nothing that was accepted can begin, when fewer can
    /// than may be at work (those of one key wait for each other, and what comes next may be of
    /// others), or when an eighth of the window is free. Fewer would be brought one by one.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        let busy = self.at_work + self.ready.len() >= self.bounds.at_work;
        self.has_room()
            && (self.ready.is_empty()
                || !busy
                || self.bounds.window - self.slots.len() >= self.bounds.window / 8)
    }

    /// Takes in the next record of the shard, into the lane of its key, or into one of its own. Its
    /// number.
    pub fn accept(&mut self, key: Option<K>) -> u64 {
        let number = self.first + self.slots.len() as u64;
        let before = key
            .as_ref()
            .and_then(|key| self.last.insert(key.clone(), number));
        let state = if let Some(before) = before {
            if let Some(slot) = self.slot(before) {
                slot.next = Some(number);
            }
            SlotState::Behind
        } else {
            self.ready.insert(number);
            SlotState::Ready
        };
        self.slots.push_back(Slot {
            state,
            key,
            next: None,
        });
        number
    }

    /// The record that begins now: the oldest that may. Nothing when none may.
    pub fn begin(&mut self) -> Option<u64> {
        if self.at_work >= self.bounds.at_work {
            return None;
        }
        let number = self.ready.pop_first()?;
        self.at_work += 1;
        self.set(number, SlotState::AtWork);
        Some(number)
    }

    /// A record that is at work, or has failed, is done: the next one of its lane may begin. How
    /// many records the finished prefix has grown by.
    pub fn done(&mut self, number: u64) -> usize {
        let Some(slot) = self.slot(number) else {
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
            (Some(next), _) => {
                self.set(next, SlotState::Ready);
                self.ready.insert(next);
            }
            (None, Some(key)) => {
                self.last.remove(&key);
            }
            (None, None) => {}
        }
        let before = self.first;
        while self
            .slots
            .pop_front_if(|slot| slot.state == SlotState::Done)
            .is_some()
        {
            self.first += 1;
        }
        usize::try_from(self.first - before).unwrap_or(usize::MAX)
    }

    /// A record that is at work has failed: it is not at work any more, and holds its lane.
    pub fn failed(&mut self, number: u64) {
        if self.is(number, SlotState::AtWork) {
            self.set(number, SlotState::Failed);
            self.at_work -= 1;
        }
    }

    /// A record that has failed may begin again.
    pub fn again(&mut self, number: u64) {
        if self.is(number, SlotState::Failed) {
            self.set(number, SlotState::Ready);
            self.ready.insert(number);
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot<K>> {
        self.slots
            .get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn is(&mut self, number: u64, state: SlotState) -> bool {
        self.slot(number).is_some_and(|slot| slot.state == state)
    }

    fn set(&mut self, number: u64, state: SlotState) {
        if let Some(slot) = self.slot(number) {
            slot.state = state;
        }
    }
}

#[cfg(test)]
#[path = "lanes_test.rs"]
mod tests;
