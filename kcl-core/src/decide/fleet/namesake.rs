use crate::decide::expiry::Timing;
use crate::decide::members::is_moved_by_another;
use crate::lease::WorkerRow;
use crate::model::Moment;

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

#[cfg(test)]
#[path = "namesake_test.rs"]
mod tests;
