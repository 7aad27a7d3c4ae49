use crate::decide::expiry::Timing;
use crate::decide::members::WatchedRow;
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
pub struct Namesake(WatchedRow);

impl Namesake {
    /// Begins with the row as it was found at `now`.
    #[must_use]
    pub const fn new(row: WorkerRow, now: Moment) -> Self {
        Self(WatchedRow::new(row, now))
    }

    /// The row as it was last seen.
    #[must_use]
    pub const fn row(&self) -> &WorkerRow {
        self.0.row()
    }

    /// Adds the row as it was read at `now`.
    pub fn see(&mut self, row: WorkerRow, now: Moment) {
        self.0.see(row, now);
    }

    /// The verdict from what was seen until `now`.
    #[must_use]
    pub fn judge(&self, now: Moment, timing: &Timing) -> NamesakeVerdict {
        let row = self.0.row();
        if row.leaving {
            return NamesakeVerdict::Replace;
        }
        if self.0.is_moved_by_another() {
            return NamesakeVerdict::Duplicate;
        }
        if self.0.stands_still(now, timing.adopts_after(row.failover)) {
            NamesakeVerdict::Replace
        } else {
            NamesakeVerdict::Wait
        }
    }
}

#[cfg(test)]
#[path = "namesake_test.rs"]
mod tests;
