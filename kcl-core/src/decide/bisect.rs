//! How the failing record is found among records that failed together: which of them are tried
//! next, until it is tried alone.
//!
//! ```text
//!   0         first                                              len
//!   [ done    | tried next               | later                 ]
//!             [ first half | second half ]   after it failed
//! ```
//!
//! If a failure does not name a record, the tried records are halved, and the first half is tried
//! next. If it names one, it counts as an attempt of that record, and the records before it are
//! done. Only attempts of a record that is known to have failed count, so a split uses up none.
//!
//! Invariants: records are tried in order, and none before all earlier ones are done or given up; a
//! record is given up only after its last allowed attempt has failed, either alone or with the
//! record named.
//!
//! A batch of *n* records with one bad record takes about log2(*n*) failed calls if they do not
//! name it, and the good records before it are done on the way.

use std::ops::Range;

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSplit {
    /// The records of [`next`](Bisection::next) are tried after a pause, which grows with this
    /// number of consecutive failures.
    Again(u32),
    /// The record with this index is given up, after this many attempts. It is skipped or goes to
    /// the dead letters; the records after it are tried next.
    GiveUp(usize, u32),
}

/// Records that are tried together, by index: which of them are done, and which are tried next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    /// The first record that is not done.
    first: usize,
    /// The ends of the spans that are tried one after the other, the next one last. A stack: each
    /// failure of several records pushes the end of their first half.
    ends: Vec<usize>,
    /// How many attempts of the first record that is not done have failed. It begins at 0 again
    /// with the next record.
    attempts: u32,
    /// The number of consecutive failures. Of any records: it is for the pause, which grows while
    /// nothing succeeds.
    failures: u32,
}

impl Bisection {
    /// Creates it for this many records, none of which was tried yet.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            first: 0,
            ends: vec![len],
            attempts: 0,
            failures: 0,
        }
    }

    /// The records to try next, or `None` if all are done.
    #[must_use]
    pub fn next(&self) -> Option<Range<usize>> {
        let end = *self.ends.last()?;
        (self.first < end).then_some(self.first..end)
    }

    /// The number of consecutive failures.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How many attempts of the first record that is not done have failed.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Notes that every record before `end` is done or skipped: all that were tried, or some of
    /// them. Spans that end before it are over.
    pub fn done_up_to(&mut self, end: usize) {
        if end <= self.first {
            return;
        }
        (self.first, self.attempts, self.failures) = (end, 0, 0);
        while self.ends.pop_if(|next| *next <= end).is_some() {}
    }

    /// Notes that the tried records have failed, at record `at` if that is known. A record has
    /// `most` attempts, or any number if that is `None`.
    pub fn failed(&mut self, at: Option<usize>, most: Option<u32>) -> AfterSplit {
        let Some(tried) = self.next() else {
            return AfterSplit::Again(1);
        };
        let named = at.filter(|at| tried.contains(at));
        if let Some(at) = named {
            self.done_up_to(at);
        }
        self.failures = self.failures.saturating_add(1);
        if named.is_none() && tried.len() > 1 {
            self.ends.push(tried.start + tried.len().div_ceil(2));
            return AfterSplit::Again(self.failures);
        }
        self.attempts = self.attempts.saturating_add(1);
        if most.is_some_and(|most| self.attempts >= most) {
            return AfterSplit::GiveUp(self.first, self.attempts);
        }
        AfterSplit::Again(self.failures)
    }
}

#[cfg(test)]
#[path = "bisect_test.rs"]
mod tests;
