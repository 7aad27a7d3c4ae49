//! The file that stores the records.
//!
//! Records are kept apart from the streams, which are in the emulator's own files: the emulator
//! would write all records again with every change of a stream.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoredRecord;

/// "KStr": marks the file in `SQLite`'s header as one of an embedded stream.
const APPLICATION_ID: i32 = 0x4B53_7472;
/// The version of the tables. A file of a later one is refused and not touched.
const SCHEMA: i32 = 1;

/// One `SQLite` file with the records of all streams.
///
/// Each put is one transaction. The process that has the file open locks it. `synchronous = NORMAL`
/// in WAL mode: nothing is lost if the process dies; if the machine crashes, what the operating
/// system has not yet written is lost.
#[derive(Debug)]
pub(in crate::stream) struct Journal {
    /// None after `close`: the file can then be opened by another process.
    connection: Mutex<Option<Connection>>,
}

/// Why the records of a folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// `SQLite` failed.
    #[error("the file with the records failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Another process has the folder open.
    #[error("the folder is in use by another process")]
    InUse,
    /// The file is not one that this crate wrote.
    #[error(
        "the file is not one of an embedded stream: got application id {found:#x}, expected \
         {APPLICATION_ID:#x}"
    )]
    Foreign {
        /// The application id in the file's header.
        found: i32,
    },
    /// A later version of this crate wrote the file.
    #[error("the file has schema {found}; this version reads up to {SCHEMA}")]
    Newer {
        /// The schema's number.
        found: i32,
    },
    /// The server has been stopped.
    #[error("the stream has been stopped")]
    Closed,
}

impl Journal {
    /// Opens or creates the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file is in use, belongs to another program, or cannot be read. It is then left as it
    /// is.
    ///
    /// The exclusive lock is held until the file is closed, so two servers cannot write to one
    /// folder.
    pub(in crate::stream) fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let number = |name: &str| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
                .map_err(in_use)
        };
        let (found, schema) = (number("application_id")?, number("user_version")?);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(in_use)?;
        if found != APPLICATION_ID && (found != 0 || tables != 0) {
            return Err(JournalError::Foreign { found });
        }
        if schema > SCHEMA {
            return Err(JournalError::Newer { found: schema });
        }
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(in_use)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection
            .execute_batch(&format!(
                "BEGIN EXCLUSIVE;
                 CREATE TABLE IF NOT EXISTS records (
                     stream TEXT NOT NULL, shard INTEGER NOT NULL, ix INTEGER NOT NULL, sequence TEXT NOT NULL,
                     arrival_ms INTEGER NOT NULL, partition_key TEXT NOT NULL, encrypted INTEGER NOT NULL, data BLOB NOT NULL);
                 CREATE UNIQUE INDEX IF NOT EXISTS records_in_order ON records (stream, shard, ix);
                 CREATE TABLE IF NOT EXISTS frontiers (
                     stream TEXT NOT NULL, shard INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (stream, shard));
                 PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {SCHEMA};
                 COMMIT;"
            ))
            .map_err(in_use)?;
        Ok(Self {
            connection: Mutex::new(Some(connection)),
        })
    }

    /// Reads everything: `record` is called with each record, in the order of its shard, and then
    /// `frontier` with the next index of each shard that has been trimmed.
    ///
    /// Everything is read into memory: a stream for development is small.
    pub(in crate::stream) fn load(
        &self,
        mut record: impl FnMut(String, i64, StoredRecord),
        mut frontier: impl FnMut(String, i64, u64),
    ) -> Result<(), JournalError> {
        self.with(|connection| {
            let mut all = connection.prepare(
                "SELECT stream, shard, ix, sequence, arrival_ms, partition_key, encrypted, data
                 FROM records ORDER BY stream, shard, ix",
            )?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let stored = StoredRecord {
                    index: number(row, 2)?,
                    sequence: row.get(3)?,
                    arrival_ms: number(row, 4)?,
                    partition_key: row.get(5)?,
                    encrypted: row.get(6)?,
                    data: Bytes::from(row.get::<_, Vec<u8>>(7)?),
                };
                record(row.get(0)?, row.get(1)?, stored);
            }
            let mut all = connection.prepare("SELECT stream, shard, next FROM frontiers")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                frontier(row.get(0)?, row.get(1)?, number(row, 2)?);
            }
            Ok(())
        })
    }

    /// Writes the records of one put atomically.
    ///
    /// # Errors
    /// If the file cannot be written. Nothing of the put is in it then.
    pub(in crate::stream) fn append(
        &self,
        stream: &str,
        batches: &BTreeMap<i64, Vec<StoredRecord>>,
    ) -> Result<(), JournalError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO records (stream, shard, ix, sequence, arrival_ms, partition_key, encrypted, data)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?;
                for (shard, records) in batches {
                    for record in records {
                        insert.execute(params![
                            stream,
                            shard,
                            value(record.index)?,
                            record.sequence,
                            value(record.arrival_ms)?,
                            record.partition_key,
                            record.encrypted,
                            &record.data[..],
                        ])?;
                    }
                }
            }
            transaction.commit()
        })
    }

    /// Deletes a shard's records before the index `oldest`, and keeps the index of its next record.
    ///
    /// Without the index of the next record, a shard whose records have all expired would use its
    /// sequence numbers again after a restart.
    pub(in crate::stream) fn trim(
        &self,
        stream: &str,
        shard: i64,
        oldest: u64,
        next: u64,
    ) -> Result<(), JournalError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "DELETE FROM records WHERE stream = ?1 AND shard = ?2 AND ix < ?3",
                params![stream, shard, value(oldest)?],
            )?;
            transaction.execute(
                "INSERT INTO frontiers (stream, shard, next) VALUES (?1, ?2, ?3)
                 ON CONFLICT (stream, shard) DO UPDATE SET next = max(next, excluded.next)",
                params![stream, shard, value(next)?],
            )?;
            transaction.commit()
        })
    }

    /// Deletes the records of a stream.
    pub(in crate::stream) fn delete(&self, stream: &str) -> Result<(), JournalError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM records WHERE stream = ?1", [stream])?;
            transaction.execute("DELETE FROM frontiers WHERE stream = ?1", [stream])?;
            transaction.commit()
        })
    }

    /// Closes the file.
    pub(in crate::stream) fn close(&self) {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// The names of the streams with rows in the file.
    pub(in crate::stream) fn streams(&self) -> Result<Vec<String>, JournalError> {
        self.with(|connection| {
            let mut names = connection.prepare(
                "SELECT stream FROM records UNION SELECT stream FROM frontiers ORDER BY 1",
            )?;
            names.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// The shard and the sequence number of a stream's first row. They show to which stream of that
    /// name it belongs.
    pub(in crate::stream) fn first_sequence(
        &self,
        stream: &str,
    ) -> Result<Option<(i64, String)>, JournalError> {
        self.with(|connection| {
            connection
                .query_row(
                    "SELECT shard, sequence FROM records WHERE stream = ?1 ORDER BY shard, \
                    ix LIMIT 1",
                    [stream],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()
        })
    }

    /// Does something with the connection, if the server has not been stopped.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connection = connection.as_mut().ok_or(JournalError::Closed)?;
        work(connection).map_err(JournalError::Sqlite)
    }
}

/// A number as the database stores it: it has no unsigned numbers. An index of 2^63 is not reached.
fn value(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A number as it was stored.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// An error of a file that another process has locked, told apart from all others.
fn in_use(error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            JournalError::InUse
        }
        _ => JournalError::Sqlite(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: u64) -> StoredRecord {
        StoredRecord {
            index,
            sequence: format!("sequence-{index}").into(),
            arrival_ms: 1_000 + index,
            partition_key: "key".into(),
            data: Bytes::from_static(&[0, 255, 7]),
            encrypted: index.is_multiple_of(2),
        }
    }

    type Of<T> = Vec<(String, i64, T)>;

    fn loaded(journal: &Journal) -> (Of<StoredRecord>, Of<u64>) {
        let (mut records, mut frontiers) = (Vec::new(), Vec::new());
        journal
            .load(
                |stream, shard, record| records.push((stream, shard, record)),
                |stream, shard, next| frontiers.push((stream, shard, next)),
            )
            .expect("readable");
        (records, frontiers)
    }

    #[test]
    fn what_was_appended_comes_back_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records.sqlite");
        let journal = Journal::open(&path).expect("opens");
        journal
            .append(
                "s",
                &BTreeMap::from([(1, vec![record(1)]), (0, vec![record(1), record(2)])]),
            )
            .expect("writes");
        assert!(
            matches!(Journal::open(&path), Err(JournalError::InUse)),
            "one process has it at a time"
        );
        journal.close();
        assert!(matches!(
            journal.append("s", &BTreeMap::new()),
            Err(JournalError::Closed)
        ));

        let journal = Journal::open(&path).expect("opens again");
        let name = || "s".to_owned();
        assert_eq!(
            loaded(&journal).0,
            [
                (name(), 0, record(1)),
                (name(), 0, record(2)),
                (name(), 1, record(1))
            ]
        );
        journal.trim("s", 0, 3, 3).expect("trims");
        assert_eq!(
            loaded(&journal),
            (vec![(name(), 1, record(1))], vec![(name(), 0, 3)])
        );
        journal.delete("s").expect("deletes");
        assert_eq!(loaded(&journal), (vec![], vec![]));
    }

    #[test]
    fn a_file_of_another_application_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records.sqlite");
        let other = Connection::open(&path).expect("opens");
        other
            .execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 7")
            .expect("writes");
        drop(other);
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::Foreign { found: 0 })
        ));
        let other = Connection::open(&path).expect("opens");
        let tables: Vec<String> = other
            .prepare("SELECT name FROM sqlite_schema")
            .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
            .expect("reads");
        assert_eq!(tables, ["theirs"]);
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records.sqlite");
        Journal::open(&path).expect("opens").close();
        Connection::open(&path)
            .and_then(|file| file.pragma_update(None, "user_version", 99))
            .expect("writes");
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::Newer { found: 99 })
        ));
    }
}
