//! How records that failed together are told apart: which of them are tried next, until the one
//! that fails is alone.
//!
//! ```text
//!   0         first                                              len
//!   [ done    | what is tried next       | later                 ]
//!             [ first half | second half ]   after it failed
//! ```
//!
//! A failure that does not say which record it was for halves what was tried: the first half is
//! tried next. A failure that does say it counts as an attempt of that record: what precedes it is
//! done. Only the attempts of a record that is known to have failed count, so that a split uses up
//! none.
//!
//! Invariants: records are tried in order, and none after another that is not done or given up; a
//! record is given up only when it has failed as often as it may, alone or by name.

use std::ops::Range;

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSplit {
    /// What [`next`](Bisection::next) says is tried, after a pause that grows with the failures in a
    /// row: so many.
    Again(u32),
    /// This record is given up, after so many attempts.
    GiveUp(usize, u32),
}

/// Records that are tried together, by their index: which of them are done, and which are tried
/// next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    /// The first that is not done.
    first: usize,
    /// Where the spans end that are tried one after the other: the next one last.
    ends: Vec<usize>,
    /// How often the first record has failed by itself.
    attempts: u32,
    /// Failures in a row.
    failures: u32,
}

impl Bisection {
    /// So many records, of which nothing was tried yet.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            first: 0,
            ends: vec![len],
            attempts: 0,
            failures: 0,
        }
    }

    /// What is tried next. Nothing when all is done.
    #[must_use]
    pub fn next(&self) -> Option<Range<usize>> {
        let end = *self.ends.last()?;
        (self.first < end).then_some(self.first..end)
    }

    /// How often in a row it has failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How often the first record that is not done has failed by itself.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Everything before this one is done, or passed: what was tried, or a part of it.
    pub fn done_up_to(&mut self, end: usize) {
        if end <= self.first {
            return;
        }
        (self.first, self.attempts, self.failures) = (end, 0, 0);
        while self.ends.pop_if(|next| *next <= end).is_some() {}
    }

    /// What was tried next has failed: at this record, if it is known. A record has so many
    /// attempts; nothing: any number.
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
