//! Rows of workers that nobody will remove any more.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kcl_core::backend::WatchedRow;
use kcl_core::lease::WorkerRow;
use kcl_core::model::{Moment, WorkerId};

/// Rows of dead workers in a table that must not have any rows of workers.
///
/// A live worker removes its own row with its next heartbeat. A row that stands still for the
/// failover time that it declares belongs to a dead worker, and nothing else would ever remove it:
/// workers do not look at each other's rows in such a table.
#[derive(Debug, Default)]
pub(crate) struct StaleWorkers {
    scans: Mutex<StaleScans>,
}

/// The rows of the current scan and of the one before, which may be only half replaced.
#[derive(Debug, Default)]
struct StaleScans {
    /// The rows that this scan has shown so far.
    now: BTreeMap<WorkerId, WatchedRow>,
    /// Those of the scan before: a row that is missing in between is watched anew.
    before: BTreeMap<WorkerId, WatchedRow>,
}

impl StaleWorkers {
    /// Adds the rows of a page.
    pub(crate) fn see(
        &self,
        rows: impl IntoIterator<Item = WorkerRow>,
        is_first: bool,
        at: Moment,
    ) {
        let mut scans = self.lock();
        let StaleScans { now, before } = &mut *scans;
        if is_first {
            *before = std::mem::take(now);
        }
        for row in rows {
            let worker = row.worker.clone();
            let watched = match before.remove(&worker).or_else(|| now.remove(&worker)) {
                Some(mut watched) => {
                    watched.see(row, at);
                    watched
                }
                None => WatchedRow::new(row, at),
            };
            now.insert(worker, watched);
        }
    }

    /// The rows that have stood still for long enough, to be deleted if they are still as they were
    /// seen.
    ///
    /// The time is this observer's own, and counts from when it first saw the row as it is now.
    pub(crate) fn dead(&self, at: Moment) -> Vec<WorkerRow> {
        let scans = self.lock();
        let dead = scans
            .now
            .values()
            .filter(|watched| watched.stands_still(at, watched.row().failover));
        dead.map(|watched| watched.row().clone()).collect()
    }

    /// Forgets a row that no longer exists or has changed.
    pub(crate) fn forget(&self, row: &WorkerRow) {
        self.lock().now.remove(&row.worker);
    }

    fn lock(&self) -> MutexGuard<'_, StaleScans> {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(worker: &str) -> WorkerRow {
        WorkerRow::new(worker.into(), "process".into(), Duration::from_secs(10))
    }

    /// A row that stands still for its failover time belongs to a dead worker.
    #[test]
    fn a_row_that_stands_still_for_its_failover_time_is_stale() {
        let (stale_workers, at) = (StaleWorkers::default(), |seconds| {
            Moment::from_origin(Duration::from_secs(seconds))
        });
        let (still, mut moving) = (row("still"), row("moving"));
        for seconds in [0, 2, 4, 6, 8] {
            // In two pages.
            stale_workers.see([still.clone()], true, at(seconds));
            stale_workers.see([moving.clone()], false, at(seconds));
            assert_eq!(stale_workers.dead(at(seconds)), []);
            moving = moving.next();
        }
        assert_eq!(stale_workers.dead(at(10)), std::slice::from_ref(&still));
        stale_workers.see([still.clone(), moving], true, at(12));
        assert_eq!(
            stale_workers.dead(at(12)),
            std::slice::from_ref(&still),
            "again, in case it could not be deleted"
        );
        stale_workers.forget(&still);
        assert_eq!(stale_workers.dead(at(12)), []);
        // It was missing in one scan, so its time starts again.
        stale_workers.see([], true, at(14));
        stale_workers.see([still], true, at(16));
        assert_eq!(stale_workers.dead(at(16)), []);
    }
}
