//! The change signal: the latest announcements, numbered.
//!
//! An announcement gets the next number of its application and one row per change. The number is
//! the value of the signal, so a worker compares two numbers and reads the rows that are newer than
//! the one it knows. Numbers never go back: the newest announcement is never deleted.

use kcl_core::lease::{ChangeSignal, Changed, RowKey};
use kcl_core::model::{LeaseKey, WorkerId};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};

use super::error::Failure;
use super::lease_row::Reader;

/// `kind` of a change of a lease.
const LEASE: &str = "lease";
/// `kind` of a change of a worker.
const WORKER: &str = "worker";

/// The value of the signal before the first announcement. Announcements begin at 1, so a reader
/// that saw this value gets all of them as hints as long as none was deleted.
const FIRST: &str = "0";

/// How many rows are read, as an integer for the database. More may be in the file: an announcement
/// is deleted only as a whole.
fn recent() -> i64 {
    i64::try_from(ChangeSignal::RECENT).unwrap_or(i64::MAX)
}

/// Reads the latest announcements. The number of the newest one is the value of the signal.
///
/// It is one statement, so a write of another process cannot come between the value and the hints.
pub(super) fn read(connection: &Connection, application: &Value) -> rusqlite::Result<ChangeSignal> {
    let mut select = connection.prepare_cached(
        "SELECT announcement, kind, stream, name FROM changes WHERE application = ? ORDER BY \
         announcement DESC, kind, stream, name LIMIT ?",
    )?;
    let mut signal = ChangeSignal::new(FIRST);
    let mut rows = select.query(params![application, recent()])?;
    while let Some(row) = rows.next()? {
        let (announcement, changed) = changed(row)?;
        if signal.recent.is_empty() {
            signal.value.clone_from(&announcement);
        }
        signal.recent.push((announcement, changed));
    }
    // If there are fewer than the limit, these are all announcements ever made. Otherwise older
    // ones may have been dropped.
    let all = signal.recent.len() < ChangeSignal::RECENT
        && signal
            .recent
            .last()
            .is_none_or(|(announcement, _)| announcement == "1");
    signal.first = all.then(|| FIRST.to_owned());
    Ok(signal)
}

/// One row: the number of its announcement, and what changed.
fn changed(row: &Row<'_>) -> rusqlite::Result<(String, Changed)> {
    let reader = Reader {
        row,
        of: RowKey::Signal,
    };
    let announcement: i64 = reader.get("announcement")?;
    let (stream, name): (String, String) = (reader.get("stream")?, reader.get("name")?);
    let changed = match reader.get::<String>("kind")?.as_str() {
        WORKER => Changed::Worker(WorkerId::new(name)),
        _ => {
            let mut key = LeaseKey::single(name);
            key.stream = (!stream.is_empty()).then(|| stream.into());
            Changed::Lease(key)
        }
    };
    Ok((announcement.to_string(), changed))
}

/// Adds an announcement and deletes the oldest ones, inside the transaction of the caller.
///
/// The next number is computed in the same transaction, so two announcements never share one. A
/// change that is named twice in an announcement is one row.
pub(super) fn add(
    connection: &Connection,
    application: &Value,
    changed: &[Changed],
) -> Result<(), Failure> {
    let newest = "SELECT coalesce(max(announcement), 0) + 1 FROM changes WHERE application = ?";
    let number: i64 = connection
        .prepare_cached(newest)?
        .query_row([application], |row| row.get(0))?;
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?)")?;
    for changed in changed.iter().take(ChangeSignal::RECENT) {
        let (kind, stream, name) = match changed {
            Changed::Lease(key) => (
                LEASE,
                key.stream.as_deref().unwrap_or_default(),
                key.shard.as_str(),
            ),
            Changed::Worker(worker) => (WORKER, "", worker.as_str()),
        };
        insert.execute(params![application, number, kind, stream, name])?;
    }
    let forget = "DELETE FROM changes WHERE application = ?1 AND announcement < \
                  (SELECT announcement FROM changes WHERE application = ?1 ORDER BY announcement DESC LIMIT 1 OFFSET ?2)";
    connection
        .prepare_cached(forget)?
        .execute(params![application, recent()])?;
    Ok(())
}
