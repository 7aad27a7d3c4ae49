//! Conversion between a row of `workers` and a worker.
//!
//! The capacity is in thousandths. The failover time is in nanoseconds, so that a row is equal to itself after it was stored: a
//! comparison of all columns but the lag is the condition of every write on it.

use std::time::Duration;

use kcl_core::lease::{Error, RowKey, WorkerRow};
use kcl_core::model::{Capacity, WorkerId};
use rusqlite::Row;
use rusqlite::types::Value;

use super::lease_row::{Reader, counter, optional, text, text_of};

/// The columns of a worker.
pub(super) const COLUMNS: &str =
    "worker, incarnation, counter, failover, leaving, audits, capacity, keep_alive, drains, lag";

/// A place for each of them.
pub(super) const PLACES: &str = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?";

/// The columns that are compared with a row that was seen: all but the lag
/// ([`WorkerRow::without_lag`]).
///
/// What a version wrote that knows no heartbeats, or no drains, is not compared in the last two: it
/// may have replaced the row and left there what was said of its predecessor.
pub(super) const CONDITION: &str = "(worker, incarnation, counter, failover, leaving, audits, capacity) IS \
     (?, ?, ?, ?, ?, ?, ?) AND keep_alive IS coalesce(?, keep_alive) \
     AND drains IS coalesce(?, drains)";

/// The values of [`COLUMNS`], in the same order.
///
/// # Errors
/// As of [`compared`].
pub(super) fn values(row: &WorkerRow) -> Result<impl Iterator<Item = Value>, Error> {
    let lag = optional(row.lag_text().as_deref());
    Ok(compared(row)?.into_iter().chain([lag]))
}

/// The values for [`CONDITION`].
///
/// # Errors
/// A counter or a failover time above 2^63 - 1 (292 years in nanoseconds).
pub(super) fn compared(row: &WorkerRow) -> Result<[Value; 9], Error> {
    let nanos = u64::try_from(row.failover.as_nanos()).unwrap_or(u64::MAX);
    Ok([
        text(row.worker.as_str()),
        text(row.incarnation.as_str()),
        counter("counter of a worker", row.counter)?,
        counter("failover time of a worker in nanoseconds", nanos)?,
        Value::Integer(i64::from(row.leaving)),
        counter("audits of a worker", row.audits)?,
        row.capacity.map_or(Value::Null, |capacity| {
            Value::Integer(i64::from(capacity.thousandths()))
        }),
        optional(row.keep_alive_text().as_deref()),
        optional(row.drains_text().as_deref()),
    ])
}

/// Reads the worker from a row with [`COLUMNS`].
///
/// # Errors
/// A malformed row, as a conversion failure of SQLite.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<WorkerRow> {
    let worker = WorkerId::from(text_of(row, "worker")?);
    let reader = Reader {
        row,
        of: RowKey::Worker(worker.clone()),
    };
    let failover = Duration::from_nanos(reader.counter("failover")?);
    let mut found = WorkerRow::new(
        worker,
        reader.get::<String>("incarnation")?.into(),
        failover,
    );
    found.counter = reader.counter("counter")?;
    found.leaving = reader.get::<i64>("leaving")? != 0;
    found.audits = reader.counter("audits")?;
    found.capacity = reader
        .get::<Option<i64>>("capacity")?
        .map(|thousandths| Capacity::of_thousandths(u64::try_from(thousandths).unwrap_or(0)));
    found.read_keep_alive(reader.get::<Option<String>>("keep_alive")?.as_deref());
    found.read_drains(reader.get::<Option<String>>("drains")?.as_deref());
    found.read_lag(reader.get::<Option<String>>("lag")?.as_deref());
    Ok(found)
}
