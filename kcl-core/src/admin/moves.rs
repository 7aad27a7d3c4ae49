use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::lease::{Error, LeaseTable, Write};
use crate::model::{Assignee, Lease, LeaseKey, WorkerId};
use crate::runtime::Clock;

use super::SteerError;
use super::at_once::for_each;
use super::drains::ready_to_take;
use super::pauses::{announce, last_left, read, refuse_foreign, refused, write_all};
use super::settled::settled;

/// Assigns leases to a worker, which requests them from their owners at once: each drains the shard and
/// hands the lease over, as in every hand-over, so nothing is read twice. Returns the rows afterwards;
/// [`moved`] waits for the worker. A lease that the worker holds already is left as it is; their rows
/// come first.
///
/// The assignment counts for the process of the worker that its row names now. While that lives, no
/// other worker requests the lease, and a free one is left to it for 2 s. The worker keeps the lease
/// for a minute; then it ends the assignment, and the lease may be moved for balance like any other.
/// The assignment of a worker that is dead, leaving or drained counts for nothing, and the owner of the
/// lease ends it after a minute; one that was not carried out ends after five. A worker that has
/// reached its `max_leases`, or cannot reach the stream, does not request the lease before it has room
/// or reaches it again.
///
/// Whether the worker is alive is not asked: that takes an [`Observer`](super::Observer).
///
/// Not cancel safe: some of the leases may then be assigned. It may be called again.
///
/// # Errors
/// [`SteerError`] for a worker that takes no leases, and for a lease that could not be assigned. A lease
/// that is missing, ended, paused or held by a Java worker is found before anything is written. After
/// any other failure some of the leases are assigned.
pub async fn assign(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
    to: &WorkerId,
) -> Result<Vec<Lease>, SteerError> {
    let row = ready_to_take(table, to).await?;
    let assignee = Assignee::new(row.worker, row.incarnation);
    let check = |key| {
        Box::pin(async move {
            let row = read(table, key).await?;
            if row.is_paused() {
                return Err(SteerError::Paused(row.key));
            }
            // What was handed over to this worker has no token before it is claimed.
            if row.owner.as_ref() != Some(to) {
                refuse_foreign(&row)?;
            }
            Ok(row)
        }) as BoxFuture<'_, _>
    };
    let (rows, outcome) = for_each(leases, check).await;
    outcome?;
    let (mut there, elsewhere): (Vec<Lease>, Vec<Lease>) =
        rows.into_iter().partition(|row| is_with(row, to));
    let elsewhere: Vec<LeaseKey> = elsewhere.into_iter().map(|row| row.key).collect();
    there.extend(write_all(table, &elsewhere, &Write::assign(assignee)).await?);
    Ok(there)
}

/// Takes assignments back. A lease that has been handed over stays where it is. Returns the rows
/// afterwards; one that was assigned to another worker meanwhile is left as it is.
///
/// Not cancel safe: some of the assignments may then be ended. It may be called again.
///
/// # Errors
/// [`SteerError`] for a lease that could not be read or written. Some of the others are ended then.
pub async fn unassign(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
) -> Result<Vec<Lease>, SteerError> {
    let change = |key| {
        Box::pin(async move {
            let row = read(table, key).await?;
            let Some(of) = row.assigned_to.clone() else {
                return Ok(row);
            };
            match settled(table, key, &Write::unassign(of)).await {
                Ok(row) => Ok(row),
                // Somebody was first.
                Err(Error::Conflict { row: Some(row) }) => Ok(*row),
                Err(error) => Err(refused(key, error)),
            }
        }) as BoxFuture<'_, _>
    };
    let (rows, outcome) = for_each(leases, change).await;
    announce(table, &rows).await;
    outcome.map(|()| rows)
}

/// Waits until the worker holds all of these leases, or their shards are finished, but for no longer
/// than `limit`. Returns the rows that it does not hold. `progress` is told how many are left, each
/// time that they were read. Cancel safe.
///
/// # Errors
/// [`SteerError::Table`] if a row cannot be read.
pub async fn moved(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
    to: &WorkerId,
    limit: Duration,
    clock: &dyn Clock,
    progress: impl Fn(usize) + Send + Sync,
) -> Result<Vec<Lease>, SteerError> {
    let is_elsewhere = |row: &Lease| !is_with(row, to);
    last_left(table, leases, (clock, limit), &is_elsewhere, progress).await
}

/// Whether a worker holds a lease, and does not only wait to claim it.
fn is_with(row: &Lease, worker: &WorkerId) -> bool {
    row.actual_owner() == Some(worker) && row.token.is_some()
}

#[cfg(test)]
#[path = "moves_test.rs"]
mod tests;
