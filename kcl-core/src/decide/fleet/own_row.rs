use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::is_moved_by_another;
use crate::lease::WorkerRow;
use crate::model::{Moment, Token};

/// What a worker does about a row with its own name that another process has created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesakeVerdict {
    /// That process left gracefully, or the row has stood still for longer than a live process lets
    /// it: replace the row, which then belongs to this process.
    Replace,
    /// It is not known yet whether that process is alive.
    Wait,
    /// That process is alive: two processes must not use one name.
    Duplicate,
}

/// Another process's row with this worker's name, watched to find out whether that process is
/// alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    row: WorkerRow,
    /// When its counter was first seen at its current value.
    since: Moment,
    /// How many times the counter was seen to grow.
    moves: u32,
}

impl Namesake {
    /// Begins with the row as it was found at `now`.
    #[must_use]
    pub const fn new(row: WorkerRow, now: Moment) -> Self {
        Self {
            row,
            since: now,
            moves: 0,
        }
    }

    /// The row as it was last seen.
    #[must_use]
    pub const fn row(&self) -> &WorkerRow {
        &self.row
    }

    /// Adds the row as it was read at `now`.
    pub fn see(&mut self, row: WorkerRow, now: Moment) {
        if row != self.row {
            *self = Self {
                row,
                since: now,
                moves: self.moves + 1,
            };
        }
    }

    /// The verdict from what was seen until `now`.
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

/// What a worker finds instead of the row that it wrote last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRow {
    /// Its own row: a write without an answer was applied.
    Own(WorkerRow),
    /// Another process's row: the name belongs to the process that wrote the row last.
    Others,
    /// No row: another worker took this one for dead. The row is created again.
    Missing,
}

impl FoundRow {
    /// Classifies what the process with this incarnation has found.
    #[must_use]
    pub fn of(found: Option<WorkerRow>, incarnation: Option<&Token>) -> Self {
        match found {
            Some(row) if Some(&row.incarnation) == incarnation => Self::Own(row),
            Some(_) => Self::Others,
            None => Self::Missing,
        }
    }
}

/// How long a worker waits before it writes or reads its row again: less than a whole heartbeat
/// period while it watches another process's row, or after a heartbeat that was not acknowledged.
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
