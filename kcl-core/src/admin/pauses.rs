use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::lease::{Changed, Error, LeaseTable, Write};
use crate::model::{Lease, LeaseKey, Timestamp, WorkerId};
use crate::runtime::{Clock, pause as wait};

use super::at_once::for_each;
use super::settled::settled;

/// How often the rows are read while they are waited for.
const BETWEEN: Duration = Duration::from_millis(250);

/// Why a lease was not paused, resumed, moved or set, or a worker not drained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SteerError {
    /// There is no such lease.
    #[error("lease {0} does not exist")]
    Missing(LeaseKey),
    /// The shard is finished: there is nothing to pause and no place to set.
    #[error("lease {0} is at the end of its shard: expected an unfinished lease")]
    Ended(LeaseKey),
    /// A worker of the Java KCL holds the lease, and knows neither pauses nor moves.
    /// Its writes are conditional on the counter alone and keep attributes that they do not know,
    /// so either would stay in the row and change nothing.
    #[error(
        "lease {lease} is held by {holder}, which writes no token, as the workers of the Java KCL: \
         expected a worker of this framework, because the KCL knows neither pauses nor moves"
    )]
    Foreign {
        /// The lease.
        lease: LeaseKey,
        /// Who holds it.
        holder: WorkerId,
    },
    /// A worker holds the lease, or has changed it since it was read.
    #[error("lease {lease} has changed since it was read{}: expected that no worker holds it", held_by(.holder.as_ref()))]
    Changed {
        /// The lease.
        lease: LeaseKey,
        /// Who holds it now.
        holder: Option<WorkerId>,
    },
    /// The shard is paused: no worker may take its lease.
    #[error("lease {0} is paused: expected one that workers read; resume it first")]
    Paused(LeaseKey),
    /// There is no row of this worker.
    #[error(
        "worker {0} has no row: expected a worker of this framework that is running, as `kcl workers` \
         shows it"
    )]
    NoWorker(WorkerId),
    /// The worker stops, or others have declared it dead: it gives its leases up anyway, and takes none.
    #[error("worker {0} is leaving: expected one that goes on")]
    Leaving(WorkerId),
    /// An operator drains the worker: it takes no leases.
    #[error("worker {0} is being drained: expected one that takes leases; end the drain first")]
    Draining(WorkerId),
    /// The version of the worker does not know what operators write for it.
    #[error(
        "worker {0} runs a version that knows neither moves nor drains: expected a newer one, which \
         declares them in its row"
    )]
    TooOld(WorkerId),
    /// The lease table failed with the row of a worker.
    #[error("cannot read or change the row of worker {worker}")]
    WorkerTable {
        /// The worker.
        worker: WorkerId,
        /// Why.
        #[source]
        source: Error,
    },
    /// The lease table failed.
    #[error("cannot change lease {lease}")]
    Table {
        /// The lease.
        lease: LeaseKey,
        /// Why.
        #[source]
        source: Error,
    },
}

fn held_by(holder: Option<&WorkerId>) -> String {
    holder.map_or_else(String::new, |holder| format!(" and is held by {holder}"))
}

/// Pauses shards: their owners drain them, store what is done and free the leases, and nobody takes
/// these before they are [resumed](resume). It lasts until then, whatever workers are restarted
/// meanwhile. Returns the rows afterwards; [`drained`] waits for the owners.
///
/// Nothing is lost: each shard is read on from its checkpoint, as long as the stream keeps the
/// records. Shards that come of a paused one by a reshard wait for it. Workers of the Java KCL and
/// of versions of this crate that do not know pauses ignore them.
///
/// Not cancel safe: some of the leases may then be paused. It may be called again.
///
/// # Errors
/// [`SteerError`] for a lease that could not be paused. A lease that is missing, ended or held by a
/// Java worker is found before anything is written. After any other failure some of the leases are
/// paused.
pub async fn pause(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
    at: Timestamp,
) -> Result<Vec<Lease>, SteerError> {
    let check =
        |key| Box::pin(async move { refuse_foreign(&read(table, key).await?) }) as BoxFuture<'_, _>;
    let (_, outcome) = for_each(leases, check).await;
    outcome?;
    write_all(table, leases, &Write::pause(at)).await
}

/// Ends the pause of shards: workers take their leases at once. Returns the rows afterwards.
///
/// Not cancel safe: some of the leases may then be resumed. It may be called again.
///
/// # Errors
/// [`SteerError`] for a lease that could not be resumed. Some of the others are resumed then.
pub async fn resume(table: &dyn LeaseTable, leases: &[LeaseKey]) -> Result<Vec<Lease>, SteerError> {
    write_all(table, leases, &Write::resume()).await
}

/// The same write for each lease, whoever holds it: the mark is beside everything that workers write,
/// so no answer of theirs can be in its way.
pub(super) async fn write_all(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
    write: &Write,
) -> Result<Vec<Lease>, SteerError> {
    let change = |key| {
        Box::pin(async move {
            let row = settled(table, key, write).await;
            row.map_err(|error| refused(key, error))
        }) as BoxFuture<'_, _>
    };
    let (rows, outcome) = for_each(leases, change).await;
    // Also after a failure: what was written is true all the same.
    announce(table, &rows).await;
    outcome.map(|()| rows)
}

/// Refuses a lease that a worker of the Java KCL holds.
pub(super) fn refuse_foreign(row: &Lease) -> Result<(), SteerError> {
    match (&row.owner, &row.token, &row.checkpoint_owner) {
        (Some(holder), None, None) => Err(SteerError::Foreign {
            lease: row.key.clone(),
            holder: holder.clone(),
        }),
        _ => Ok(()),
    }
}

/// Tells the workers. One that does not hear it sees the change with its next scan.
pub(super) async fn announce(table: &dyn LeaseTable, rows: &[Lease]) {
    let changed: Vec<Changed> = rows
        .iter()
        .map(|row| Changed::Lease(row.key.clone()))
        .collect();
    if !changed.is_empty() {
        let _ = table.announce(&changed).await;
    }
}

/// The row of an unfinished lease.
pub(super) async fn read(table: &dyn LeaseTable, key: &LeaseKey) -> Result<Lease, SteerError> {
    match table.get(key).await {
        Ok(Some(row)) if row.checkpoint.is_shard_end() => Err(SteerError::Ended(key.clone())),
        Ok(Some(row)) => Ok(row),
        Ok(None) => Err(SteerError::Missing(key.clone())),
        Err(source) => Err(SteerError::Table {
            lease: key.clone(),
            source,
        }),
    }
}

/// What the refusal of a write on this lease says.
pub(super) fn refused(key: &LeaseKey, error: Error) -> SteerError {
    let lease = key.clone();
    match error {
        Error::Conflict { row: None } => SteerError::Missing(lease),
        Error::Conflict { row: Some(row) } if row.checkpoint.is_shard_end() => {
            SteerError::Ended(lease)
        }
        Error::Conflict { row: Some(row) } => SteerError::Changed {
            lease,
            holder: row.actual_owner().cloned(),
        },
        source => SteerError::Table { lease, source },
    }
}

/// Waits until no worker holds any of these leases, or their shards are finished, but for no longer
/// than `limit`. Returns the rows that are still held. Cancel safe.
///
/// # Errors
/// [`SteerError::Table`] if a row cannot be read.
pub async fn drained(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
    limit: Duration,
    clock: &dyn Clock,
) -> Result<Vec<Lease>, SteerError> {
    let is_held = |row: &Lease| row.actual_owner().is_some();
    last_left(table, leases, (clock, limit), &is_held, |_| {}).await
}

/// Reads these leases until none is left that is like this, or until the time is over. Returns the rows
/// that are left; those that are gone or finished are not. `progress` is told how many, each time that
/// they were read. Cancel safe.
pub(super) async fn last_left(
    table: &dyn LeaseTable,
    leases: &[LeaseKey],
    (clock, limit): (&dyn Clock, Duration),
    is_left: &(dyn Fn(&Lease) -> bool + Sync),
    progress: impl Fn(usize) + Send + Sync,
) -> Result<Vec<Lease>, SteerError> {
    let end = clock.now() + limit;
    let mut left = leases.to_vec();
    loop {
        let look = |key| {
            Box::pin(async move {
                match read(table, key).await {
                    Ok(row) => Ok(Some(row).filter(is_left)),
                    Err(SteerError::Ended(_) | SteerError::Missing(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            }) as BoxFuture<'_, _>
        };
        let (rows, outcome) = for_each(&left, look).await;
        outcome?;
        let rows: Vec<Lease> = rows.into_iter().flatten().collect();
        progress(rows.len());
        if rows.is_empty() || clock.now() >= end {
            return Ok(rows);
        }
        left = rows.into_iter().map(|row| row.key).collect();
        wait(clock, BETWEEN.min(end.since(clock.now()))).await;
    }
}

#[cfg(test)]
#[path = "pauses_test.rs"]
mod tests;
