use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kcl_core::lease::WorkerRow;
use kcl_core::model::{Moment, WorkerId};

/// Rows of workers that stand in a table where none may be.
///
/// Who lives takes its row away with its next sign of life. What stands still for the failover time that it declares is of a dead worker,
/// and nobody else would ever remove it: without rows no worker sees it.
#[derive(Debug, Default)]
pub(crate) struct Ghosts {
    looks: Mutex<Looks>,
}

#[derive(Debug, Default)]
struct Looks {
    /// Each row of this look, and since when it is as it is.
    now: BTreeMap<WorkerId, (WorkerRow, Moment)>,
    before: BTreeMap<WorkerId, (WorkerRow, Moment)>,
}

impl Ghosts {
    /// Takes in the rows of a page, and gives those that are to be deleted if they are still as they were seen.
    pub(crate) fn see(&self, rows: impl IntoIterator<Item = WorkerRow>, is_first: bool, at: Moment) -> Vec<WorkerRow> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let Looks { now, before } = &mut *looks;
        if is_first {
            *before = std::mem::take(now);
        }
        let mut dead = Vec::new();
        for row in rows {
            let since = before.get(&row.worker).filter(|(seen, _)| *seen == row).map_or(at, |(_, since)| *since);
            if at.since(since) >= row.failover {
                dead.push(row.clone());
            }
            now.insert(row.worker.clone(), (row, since));
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(worker: &str) -> WorkerRow {
        WorkerRow::new(worker.into(), "process".into(), Duration::from_secs(10))
    }

    #[test]
    fn a_row_that_stands_still_for_its_failover_time_is_a_dead_workers() {
        let (ghosts, at) = (Ghosts::default(), |seconds| Moment::from_origin(Duration::from_secs(seconds)));
        let (still, mut moving) = (row("still"), row("moving"));
        for seconds in [0, 2, 4, 6, 8] {
            // In two pages.
            assert_eq!(ghosts.see([still.clone()], true, at(seconds)), []);
            assert_eq!(ghosts.see([moving.clone()], false, at(seconds)), []);
            moving = moving.next();
        }
        assert_eq!(ghosts.see([still.clone(), moving.clone()], true, at(10)), std::slice::from_ref(&still));
        assert_eq!(
            ghosts.see([still.clone(), moving], true, at(12)),
            std::slice::from_ref(&still),
            "again, in case it could not be deleted"
        );
        // It was gone for a look: another one begins.
        assert_eq!(ghosts.see([], true, at(14)), []);
        assert_eq!(ghosts.see([still], true, at(16)), []);
    }
}
