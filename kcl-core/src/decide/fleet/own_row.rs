use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::is_moved_by_another;
use crate::lease::WorkerRow;
use crate::model::{Moment, Token};

/// What a worker does about a row under its own name that another process has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesakeVerdict {
    /// It left gracefully, or has not moved for as long as a live process never leaves its row: the
    /// row is replaced, and is this process's from then on.
    Replace,
    /// Whether it lives is not known yet.
    Wait,
    /// It lives: two processes must not use one name.
    Duplicate,
}

/// Another process's row under this worker's own name, watched to find out whether that process
/// lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    row: WorkerRow,
    /// When its counter was first seen as it is.
    since: Moment,
    /// How often it was seen to move.
    moves: u32,
}

impl Namesake {
    /// The row as it was found first, at `now`.
    #[must_use]
    pub const fn new(row: WorkerRow, now: Moment) -> Self {
        Self {
            row,
            since: now,
            moves: 0,
        }
    }

    /// The row as it was seen last.
    #[must_use]
    pub const fn row(&self) -> &WorkerRow {
        &self.row
    }

    /// Takes in the row as it was read at `now`.
    pub fn see(&mut self, row: WorkerRow, now: Moment) {
        if row != self.row {
            *self = Self {
                row,
                since: now,
                moves: self.moves + 1,
            };
        }
    }

    /// What follows from what was seen until `now`.
    #[must_use]
    pub fn judge(&self, now: Moment, timing: &Timing) -> NamesakeVerdict {
        if self.row.leaving {
            return NamesakeVerdict::Replace;
        }
        if is_moved_by_another(self.moves) {
            return NamesakeVerdict::Duplicate;
        }
        if now.since(self.since) >= timing.adopts_after(self.row.failover) {
            NamesakeVerdict::Replace
        } else {
            NamesakeVerdict::Wait
        }
    }
}

/// What a worker finds in place of the row that it wrote last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRow {
    /// Its own: a write without an answer has landed.
    Own(WorkerRow),
    /// Another process's: the name belongs to the process that wrote the row last.
    Others,
    /// None: another worker took this one for dead. It is made again.
    Missing,
}

impl FoundRow {
    /// What was found, by the process of this incarnation.
    #[must_use]
    pub fn of(found: Option<WorkerRow>, incarnation: Option<&Token>) -> Self {
        match found {
            Some(row) if Some(&row.incarnation) == incarnation => Self::Own(row),
            Some(_) => Self::Others,
            None => Self::Missing,
        }
    }
}

/// How long a worker waits before it writes or looks at its row again: not a whole heartbeat period
/// while it watches another process's row, or after a heartbeat that was not acknowledged.
#[must_use]
pub fn heartbeat_pause(is_watching: bool, is_late: bool, timing: &Timing) -> Duration {
    if is_watching || is_late {
        timing.renew_every / 3
    } else {
        timing.renew_every
    }
}

#[cfg(test)]
#[path = "own_row_test.rs"]
mod tests;
