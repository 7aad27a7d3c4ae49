use std::collections::BTreeSet;
use std::time::Duration;

use crate::lease::{Changed, Consistency, Error, KeepAlive, LeaseTable, WorkerRow};
use crate::model::{Lease, LeaseKey, WorkerId};
use crate::runtime::{Clock, pause as wait};

use super::SteerError;
use super::observer::read_table;

/// How often the row of a worker is written again that has moved meanwhile, with a heartbeat for
/// example.
const TRIES: u32 = 8;
/// How often the table is read while leases are waited for: each time as a whole.
const BETWEEN_SCANS: Duration = Duration::from_secs(1);

/// What a worker that is drained has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftBehind {
    /// The leases that it still holds.
    pub held: Vec<Lease>,
    /// The leases that it held when it was first looked for, and that are free: no other worker has
    /// room for them, or reaches their stream.
    pub free: Vec<Lease>,
}

impl LeftBehind {
    /// Whether other workers have everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held.is_empty() && self.free.is_empty()
    }
}

/// Begins to drain a worker: it gives its leases up, a batch at a time, and takes and requests none. It
/// lives on without leases until [`undrain`], or until its process ends: a process that is started
/// later under its name is not drained. Others share its leases as they share those of a worker that
/// stops. Returns its row; [`left_behind`] waits for the others.
///
/// Nothing is lost or read twice: each shard is drained, and its checkpoint is stored, before the lease
/// is freed. Leases that nobody else takes stay free, and are not read. While a worker has no others
/// beside it that are not drained, it goes on as if it were not drained.
///
/// Not cancel safe: it may then be drained. It may be called again.
///
/// # Errors
/// [`SteerError`] if there is no such worker, if it is leaving, if its version does not know drains, or
/// if the table failed.
pub async fn drain(table: &dyn LeaseTable, worker: &WorkerId) -> Result<WorkerRow, SteerError> {
    set_draining(table, worker, true).await
}

/// Ends the drain of a worker: it takes leases again. Returns its row.
///
/// Not cancel safe: it may then be ended. It may be called again.
///
/// # Errors
/// As [`drain`].
pub async fn undrain(table: &dyn LeaseTable, worker: &WorkerId) -> Result<WorkerRow, SteerError> {
    set_draining(table, worker, false).await
}

/// Writes the row as it was read, and reads it again if the worker was first.
async fn set_draining(
    table: &dyn LeaseTable,
    worker: &WorkerId,
    on: bool,
) -> Result<WorkerRow, SteerError> {
    let failed = |source| SteerError::WorkerTable {
        worker: worker.clone(),
        source,
    };
    let mut tries = 0;
    loop {
        let row = known_row(table, worker).await?;
        let Some(next) = row.with_draining(on) else {
            return Ok(row);
        };
        tries += 1;
        match table.write_worker(worker, Some(&row), Some(&next)).await {
            Ok(()) => {
                // One that does not hear it sees the change with its next scan.
                let _ = table.announce(&[Changed::Worker(worker.clone())]).await;
                return Ok(next);
            }
            // What became of the write is shown by the row, also if its answer was lost.
            Err(Error::Conflict { .. } | Error::Unknown { .. }) if tries < TRIES => {}
            Err(source) => return Err(failed(source)),
        }
    }
}

/// The row of a worker that is there and knows what operators want of it.
async fn known_row(table: &dyn LeaseTable, worker: &WorkerId) -> Result<WorkerRow, SteerError> {
    let row = table.get_worker(worker).await;
    let row = row.map_err(|source| SteerError::WorkerTable {
        worker: worker.clone(),
        source,
    })?;
    match row {
        None => Err(SteerError::NoWorker(worker.clone())),
        Some(row) if row.leaving || row.keep_alive == KeepAlive::Killed => {
            Err(SteerError::Leaving(worker.clone()))
        }
        Some(row) if row.drains.is_none() => Err(SteerError::TooOld(worker.clone())),
        Some(row) => Ok(row),
    }
}

/// The row of a worker that leases can be moved to.
pub(super) async fn ready_to_take(
    table: &dyn LeaseTable,
    worker: &WorkerId,
) -> Result<WorkerRow, SteerError> {
    let row = known_row(table, worker).await?;
    if row.is_draining() {
        return Err(SteerError::Draining(worker.clone()));
    }
    Ok(row)
}

/// Waits until other workers have the leases of a drained one, but for no longer than `limit`. Returns
/// what they do not have. `progress` is told how many leases the worker holds, each time that the table
/// was read. Cancel safe.
///
/// # Errors
/// Those of [`read_table`].
pub async fn left_behind(
    table: &dyn LeaseTable,
    worker: &WorkerId,
    limit: Duration,
    clock: &dyn Clock,
    progress: impl Fn(usize) + Send + Sync,
) -> Result<LeftBehind, Error> {
    let end = clock.now() + limit;
    let mut held_before: BTreeSet<LeaseKey> = BTreeSet::new();
    loop {
        let rows = read_table(table, Consistency::Strong).await?.leases;
        let unfinished = rows
            .into_iter()
            .filter(|row| !row.checkpoint.is_shard_end());
        let mut left = LeftBehind::default();
        for row in unfinished {
            match row.actual_owner() {
                Some(owner) if owner == worker => {
                    held_before.insert(row.key.clone());
                    left.held.push(row);
                }
                None if held_before.contains(&row.key) && !row.is_paused() => left.free.push(row),
                _ => {}
            }
        }
        progress(left.held.len());
        if left.is_empty() || clock.now() >= end {
            return Ok(left);
        }
        wait(clock, BETWEEN_SCANS.min(end.since(clock.now()))).await;
    }
}

#[cfg(test)]
#[path = "drains_test.rs"]
mod tests;
