//! The records of a shard from the first that is not done on, each under the number in which it was
//! accepted.

use std::collections::VecDeque;

/// What is known of each of these records. It ends before no more than so many. Lanes and buffers
/// both keep one. A number is never used again, so a late report about a record that has left is
/// harmless.
#[derive(Clone, Debug)]
pub struct RecordWindow<T> {
    /// At least 1, so that a shard always makes progress.
    most: usize,
    /// The number of the first slot: all records before it are done.
    first: u64,
    /// In the order of the shard. The record at the front is not done, or the window is empty.
    slots: VecDeque<T>,
}

impl<T> RecordWindow<T> {
    /// Creates it without records, for at most so many. A limit of 0 counts as 1.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            first: 0,
            slots: VecDeque::new(),
        }
    }

    /// The number of the first record that is not done, or of the next one to be accepted. Every
    /// record before it is done.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many more records may be accepted. Zero while the first record is not done and the
    /// window is full: then the shard waits.
    #[must_use]
    pub fn room(&self) -> usize {
        self.most.saturating_sub(self.slots.len())
    }

    /// How many records it holds when it is full.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Accepts the next record of the shard, and returns its number.
    pub fn accept(&mut self, slot: T) -> u64 {
        let number = self.first + self.slots.len() as u64;
        self.slots.push_back(slot);
        number
    }

    /// What is known of the record with this number. `None` if it is done and has left, or was not
    /// accepted.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        self.slots
            .get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Removes the finished records at the front, and returns how many there were.
    pub fn pass_done(&mut self, is_done: impl Fn(&T) -> bool) -> usize {
        let before = self.slots.len();
        while self.slots.pop_front_if(|slot| is_done(slot)).is_some() {
            self.first += 1;
        }
        before - self.slots.len()
    }
}
