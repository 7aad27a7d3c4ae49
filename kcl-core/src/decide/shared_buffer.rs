//! Which records of several shards are gathered together, when they are flushed, and up to where
//! the records of each shard are done.
//!
//! ```text
//!   shard 1   [ . . . ]  \
//!   shard 2   [ . ]       >---  in the order of their acceptance  ---->  one flush at a time
//!   shard 3   [ . . . ]  /      [ 1 1 3 2 1 3 3 ]
//! ```
//!
//! Each shard is a member, for as long as one acquisition of its lease lasts. One flush takes the
//! oldest records, of whatever members they are; the finished prefix is counted for each member.
//!
//! Invariants: at most one flush is in progress; the records of a member are flushed in order, and
//! none after one of it that was given back; the finished prefix of a member ends before its first
//! record that is not done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::Moment;

use super::buffers::FlushCause;
use super::window::RecordWindow;

/// The limits of a buffer that shards share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedBounds {
    /// A buffer with this many records is flushed. Also the most that one call gets. At least 1.
    pub records: usize,
    /// A buffer with this many bytes is flushed. One record may exceed it: it is flushed alone.
    pub bytes: u64,
    /// A buffer whose oldest record has waited this long is flushed.
    pub age: Duration,
    /// How many records of one member there may be from the first one that is not done to the last
    /// one that was accepted.
    pub window: usize,
}

/// A flush that begins: records of members, in the order of their acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginningSharedFlush<M> {
    /// The records, each by its member and its number there.
    pub records: Vec<(M, u64)>,
    /// Why they are flushed now.
    pub cause: FlushCause,
}

/// A record that waits for a flush.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    number: u64,
    bytes: u64,
    since: Moment,
}

/// The records of one member.
#[derive(Clone, Debug)]
struct Member {
    /// Whether each accepted record is done.
    done: RecordWindow<bool>,
    /// Those that wait, in order.
    waiting: VecDeque<Waiting>,
    bytes: u64,
    /// How many of its records are in the flush in progress.
    in_flush: usize,
    /// Nothing more of it is flushed.
    is_given_back: bool,
}

/// The records of several shards that were accepted and may not be done. Members are named by
/// values that are never used again.
#[derive(Clone, Debug)]
pub struct SharedBuffer<M> {
    bounds: SharedBounds,
    members: BTreeMap<M, Member>,
    /// The members of the records that wait, in the order of their acceptance. An entry without a
    /// record, because its member has left or was given back, is passed over.
    order: VecDeque<M>,
    /// The members that cannot accept another record.
    full: BTreeSet<M>,
    gathered: usize,
    bytes: u64,
    is_flushing: bool,
}

impl<M: Ord + Clone> SharedBuffer<M> {
    /// Creates it without members. A limit of 0 counts as 1.
    #[must_use]
    pub fn new(bounds: SharedBounds) -> Self {
        let bounds = SharedBounds {
            records: bounds.records.max(1),
            ..bounds
        };
        Self {
            bounds,
            members: BTreeMap::new(),
            order: VecDeque::new(),
            full: BTreeSet::new(),
            gathered: 0,
            bytes: 0,
            is_flushing: false,
        }
    }

    /// Adds a member without records.
    pub fn join(&mut self, member: M) {
        let records = Member {
            done: RecordWindow::new(self.bounds.window),
            waiting: VecDeque::new(),
            bytes: 0,
            in_flush: 0,
            is_given_back: false,
        };
        self.members.insert(member, records);
    }

    /// Removes a member with what it has gathered. Reports about its records are ignored from then
    /// on.
    pub fn leave(&mut self, member: &M) {
        self.give_back(member);
        self.members.remove(member);
        self.full.remove(member);
    }

    /// Nothing more of this member is flushed: what it has gathered is forgotten, and what is in the
    /// flush in progress may still be done.
    pub fn give_back(&mut self, member: &M) {
        if let Some(records) = self.members.get_mut(member) {
            self.gathered -= records.waiting.len();
            self.bytes -= records.bytes;
            (records.waiting, records.bytes) = (VecDeque::new(), 0);
            records.is_given_back = true;
        }
        self.pass_over();
    }

    /// The same, and what of it is in the flush in progress is not waited for any more.
    pub fn abandon(&mut self, member: &M) {
        self.give_back(member);
        if let Some(records) = self.members.get_mut(member) {
            records.in_flush = 0;
        }
    }

    /// How many more records of this member may be accepted.
    #[must_use]
    pub fn room(&self, member: &M) -> usize {
        self.members
            .get(member)
            .map_or(0, |records| records.done.room())
    }

    /// How many records of this member wait for a flush, how many bytes they have, and since when
    /// the oldest waits.
    #[must_use]
    pub fn gathered(&self, member: &M) -> (usize, u64, Option<Moment>) {
        self.members.get(member).map_or((0, 0, None), |records| {
            let oldest = records.waiting.front().map(|record| record.since);
            (records.waiting.len(), records.bytes, oldest)
        })
    }

    /// Whether no record of this member waits or is in the flush in progress.
    #[must_use]
    pub fn is_drained(&self, member: &M) -> bool {
        self.members
            .get(member)
            .is_none_or(|records| records.waiting.is_empty() && records.in_flush == 0)
    }

    /// Whether records of this member may be given to the handler.
    #[must_use]
    pub fn is_live(&self, member: &M) -> bool {
        self.members
            .get(member)
            .is_some_and(|records| !records.is_given_back)
    }

    /// Accepts the next record of this member, with this many bytes.
    pub fn accept(&mut self, member: &M, bytes: u64, now: Moment) {
        let Some(records) = self.members.get_mut(member) else {
            return;
        };
        let number = records.done.accept(false);
        if !records.is_given_back {
            records.waiting.push_back(Waiting {
                number,
                bytes,
                since: now,
            });
            records.bytes += bytes;
            self.gathered += 1;
            self.bytes += bytes;
            self.order.push_back(member.clone());
        }
        self.see_room(member);
    }

    /// Accepts the next record of this member as one that needs no work. Returns by how many records
    /// its finished prefix has grown.
    pub fn pass(&mut self, member: &M) -> usize {
        let Some(records) = self.members.get_mut(member) else {
            return 0;
        };
        records.done.accept(true);
        let grown = records.done.pass_done(|done| *done);
        self.see_room(member);
        grown
    }

    /// Begins the next flush, or returns `None` if none may begin. If `all` is given, what is
    /// gathered is due for that cause.
    pub fn begin(
        &mut self,
        now: Moment,
        all: Option<FlushCause>,
    ) -> Option<BeginningSharedFlush<M>> {
        if self.is_flushing || self.gathered == 0 {
            return None;
        }
        let cause = self.due(now, all)?;
        let (mut flush, mut bytes) = (Vec::new(), 0);
        while flush.len() < self.bounds.records
            && (flush.is_empty() || bytes < self.bounds.bytes)
            && let Some(member) = self.order.pop_front()
        {
            let records = self.members.get_mut(&member);
            let Some((records, record)) =
                records.and_then(|records| records.waiting.pop_front().map(|one| (records, one)))
            else {
                continue;
            };
            records.bytes -= record.bytes;
            records.in_flush += 1;
            bytes += record.bytes;
            flush.push((member, record.number));
        }
        self.gathered -= flush.len();
        self.bytes -= bytes;
        self.is_flushing = true;
        self.pass_over();
        Some(BeginningSharedFlush {
            records: flush,
            cause,
        })
    }

    /// When what is gathered is due because of its age. `None` while no flush may begin.
    #[must_use]
    pub fn wake_at(&self) -> Option<Moment> {
        let oldest = self.oldest().filter(|_| !self.is_flushing)?;
        Some(oldest + self.bounds.age)
    }

    /// Marks a record of this member as done. Returns by how many records its finished prefix has
    /// grown.
    pub fn done(&mut self, member: &M, number: u64) -> usize {
        let Some(records) = self.members.get_mut(member) else {
            return 0;
        };
        if let Some(done) = records.done.get_mut(number) {
            *done = true;
        }
        let grown = records.done.pass_done(|done| *done);
        self.see_room(member);
        grown
    }

    /// The number of the first record of this member that is not done, or of the next one to be
    /// accepted.
    #[must_use]
    pub fn first(&self, member: &M) -> u64 {
        self.members
            .get(member)
            .map_or(0, |records| records.done.first())
    }

    /// Ends the flush in progress. A member with a record in it that is not done is given back: what
    /// follows that record may not be flushed.
    pub fn flushed(&mut self, flush: &BeginningSharedFlush<M>) {
        self.is_flushing = false;
        for (member, number) in &flush.records {
            let Some(records) = self.members.get_mut(member) else {
                continue;
            };
            records.in_flush = 0;
            // What is done has left the window, or is marked.
            if records.done.get_mut(*number).is_some_and(|done| !*done) {
                self.give_back(member);
            }
        }
    }

    fn due(&self, now: Moment, all: Option<FlushCause>) -> Option<FlushCause> {
        if self.gathered >= self.bounds.records {
            return Some(FlushCause::Records);
        }
        if self.bytes >= self.bounds.bytes {
            return Some(FlushCause::Bytes);
        }
        let is_old = self
            .oldest()
            .is_some_and(|since| since + self.bounds.age <= now);
        let waits = |member: &M| self.gathered(member).0 > 0;
        all.or_else(|| is_old.then_some(FlushCause::Age))
            .or_else(|| self.full.iter().any(waits).then_some(FlushCause::Room))
    }

    /// Since when the oldest record has waited.
    fn oldest(&self) -> Option<Moment> {
        self.gathered(self.order.front()?).2
    }

    /// Removes the entries without a record from the front of the order, so that the front is the
    /// oldest record.
    fn pass_over(&mut self) {
        while let Some(member) = self.order.front()
            && self.gathered(member).0 == 0
        {
            self.order.pop_front();
        }
    }

    fn see_room(&mut self, member: &M) {
        if self.room(member) == 0 {
            self.full.insert(member.clone());
        } else {
            self.full.remove(member);
        }
    }
}

#[cfg(test)]
#[path = "shared_buffer_test.rs"]
mod tests;
