//! The tables, their version, and how a file gets from one to the other.
//!
//! A file belongs to a lease table if it has both marks in its header: the application id, and a
//! version of the same major number. Minor versions only add columns. An older program leaves
//! columns alone that it does not know, because all its statements name theirs; that is how
//! processes of two versions can share a file during a deployment.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Failure, OpenError, is_busy};

/// `KCLT`: distinguishes a lease table from the databases of other programs.
pub(super) const APPLICATION_ID: u32 = 0x4B43_4C54;
/// The major version of the schema that this program supports.
pub(super) const MAJOR: u32 = 1;
/// The version of a new file: 100 x major + minor.
const VERSION: u32 = 100 * MAJOR + 6;

/// The upgrade to each minor version, from 1.01 on. Programs with an older minor version name the
/// columns that they know, and leave new ones alone.
///
/// A step is never changed after a release, because files exist that have taken it.
const ADDED: [&str; 6] = [
    "ALTER TABLE leases ADD COLUMN began_at INTEGER",
    "ALTER TABLE leases ADD COLUMN paused_at INTEGER",
    "ALTER TABLE leases ADD COLUMN bytes_per_second INTEGER;
     ALTER TABLE leases ADD COLUMN records_per_second INTEGER;
     ALTER TABLE workers ADD COLUMN capacity INTEGER",
    "ALTER TABLE workers ADD COLUMN keep_alive TEXT",
    "ALTER TABLE leases ADD COLUMN assigned_to TEXT;
     ALTER TABLE workers ADD COLUMN drains TEXT",
    "ALTER TABLE workers ADD COLUMN lag TEXT",
];

/// The tables of a new file. `STRICT` makes SQLite check types; `WITHOUT ROWID` stores rows by
/// their keys, which is how they are read.
const TABLES: &str = "
CREATE TABLE leases (
    application TEXT NOT NULL,
    stream TEXT NOT NULL,
    shard TEXT NOT NULL,
    lease_owner TEXT,
    checkpoint_owner TEXT,
    token TEXT,
    lease_counter INTEGER NOT NULL,
    owner_switches_since_checkpoint INTEGER NOT NULL,
    checkpoint TEXT NOT NULL,
    checkpoint_sub_sequence_number TEXT NOT NULL,
    pending_checkpoint TEXT,
    pending_checkpoint_sub_sequence_number TEXT,
    pending_checkpoint_state BLOB,
    parent_shard_ids TEXT NOT NULL,
    child_shard_ids TEXT NOT NULL,
    starting_hash_key TEXT,
    ending_hash_key TEXT,
    start_at INTEGER,
    stream_arn TEXT,
    stream_created_at INTEGER,
    began_at INTEGER,
    paused_at INTEGER,
    bytes_per_second INTEGER,
    records_per_second INTEGER,
    assigned_to TEXT,
    PRIMARY KEY (application, stream, shard)
) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
    application TEXT NOT NULL,
    worker TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    counter INTEGER NOT NULL,
    failover INTEGER NOT NULL,
    leaving INTEGER NOT NULL,
    audits INTEGER NOT NULL,
    capacity INTEGER,
    keep_alive TEXT,
    drains TEXT,
    lag TEXT,
    PRIMARY KEY (application, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    application TEXT NOT NULL,
    announcement INTEGER NOT NULL,
    kind TEXT NOT NULL,
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (application, announcement, kind, stream, name)
) STRICT, WITHOUT ROWID;
";

/// Whether a database is a lease table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// It is empty.
    Empty,
    /// It is a lease table of a supported version.
    Ready,
}

/// Judges a database by its two marks (`application_id` and `user_version`) and, if it has none, by
/// whether it is empty.
///
/// It is used twice, on the header before SQLite opens the file and on the open database: both must
/// come to the same result.
pub(super) fn judge(
    path: &Path,
    application_id: u32,
    version: u32,
    objects: u64,
) -> Result<SchemaState, OpenError> {
    let foreign = |found| {
        Err(OpenError::Foreign {
            path: path.to_owned(),
            found,
        })
    };
    match (application_id, version) {
        (APPLICATION_ID, version) if version / 100 == MAJOR => Ok(SchemaState::Ready),
        (APPLICATION_ID, found) => Err(OpenError::Schema {
            path: path.to_owned(),
            found,
        }),
        (0, 0) if objects == 0 => Ok(SchemaState::Empty),
        (0, _) => foreign("an SQLite database of another program".to_owned()),
        (other, _) => foreign(format!(
            "an SQLite database with the application id {other:#x}"
        )),
    }
}

/// Judges the database of this connection, without writing.
pub(super) fn state(connection: &Connection, path: &Path) -> Result<SchemaState, StateError> {
    // Everything is read at one instant: another process may create the tables and marks between
    // two reads. If this runs within a transaction, that is given already, and a new one cannot be
    // started.
    let _instant = connection
        .is_autocommit()
        .then(|| connection.unchecked_transaction())
        .transpose()?;
    let number = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0));
    // Both marks have 32 bits and may be returned as negative numbers.
    let mark =
        |sql| number(sql).map(|value| u32::try_from(value & 0xFFFF_FFFF).unwrap_or(u32::MAX));
    let objects = number("SELECT count(*) FROM sqlite_schema")?.unsigned_abs();
    Ok(judge(
        path,
        mark("PRAGMA application_id")?,
        mark("PRAGMA user_version")?,
        objects,
    )?)
}

/// Why a database is not usable, or could not be judged.
#[derive(Debug)]
pub(super) enum StateError {
    /// It is not a lease table that this program can use.
    Open(OpenError),
    /// SQLite could not read it.
    Sqlite(rusqlite::Error),
}

impl From<OpenError> for StateError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Open(error) => Self::Table(error.into()),
            StateError::Sqlite(error) => Self::Sqlite(error),
        }
    }
}

/// Creates the tables if there are none, and turns on the write-ahead log. `wait` waits a little,
/// or returns false when the time is up.
///
/// Safe to run from several processes at once: each step checks again inside its transaction, and
/// the second process finds everything there.
///
/// # Errors
/// Those of SQLite, or a file system that cannot keep a write-ahead log.
pub(super) fn set_up(
    connection: &mut Connection,
    path: &Path,
    wait: impl FnMut() -> bool,
) -> Result<(), Failure> {
    if state(connection, path)? == SchemaState::Empty {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have created them in the meantime.
        if state(&transaction, path)? == SchemaState::Empty {
            // Marks and tables are written together, and before the log is turned on: so the marks
            // of a lease table are always in the header of its file, where they can be read without
            // opening it as a database.
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        transaction.commit()?;
    }
    add_what_is_missing(connection)?;
    use_write_ahead_log(connection, path, wait)
}

/// The minor version of a file that is [`SchemaState::Ready`]. It is higher than this program's if
/// a newer program wrote the file.
fn minor(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    Ok(usize::try_from(version % 100).unwrap_or_default())
}

/// Upgrades a file of an older minor version to this one.
///
/// The version is written in the same transaction as the columns, so a crash leaves a file of the
/// old version and not one that says more than it has.
fn add_what_is_missing(connection: &mut Connection) -> rusqlite::Result<()> {
    if minor(connection)? >= ADDED.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it in the meantime.
    let missing = ADDED.get(minor(&transaction)?..).unwrap_or_default();
    for step in missing {
        transaction.execute_batch(step)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

/// Changing the journal mode needs exclusive access to the file and, unlike everything else, does
/// not wait for it.
///
/// With the log, readers and the writer do not block each other. Without it every scan would hold
/// up the renewals of all workers.
///
/// # Errors
/// A file system that cannot share memory between processes, such as most network disks.
fn use_write_ahead_log(
    connection: &Connection,
    path: &Path,
    mut wait: impl FnMut() -> bool,
) -> Result<(), Failure> {
    loop {
        match connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let message = format!(
                    "the file `{}` is in journal mode `{mode}` and cannot change to `wal`: \
                     expected a folder on a local disk",
                    path.display()
                );
                return Err(Failure::Table(kcl_core::lease::Error::Fatal {
                    message,
                    source: None,
                }));
            }
            Err(error) if is_busy(&error) && wait() => {}
            Err(error) => return Err(error.into()),
        }
    }
}
