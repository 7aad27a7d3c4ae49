//! The contract of a lease table, carried out with single statements on the thread of the
//! connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::lease::{
    ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow,
    Write,
};
use kcl_core::model::{Lease, LeaseKey, ShardId, WorkerId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::error::{Failure, OpenError, readable};
use super::lease_row::{self, text};
use super::open::OpenOptions;
use super::statement::{self, Statement};
use super::thread::Owner;
use super::{changes, schema, worker_row};

/// How many leases one page of a scan has: a write waits for at most one page.
const PAGE: usize = 100;

/// A lease table in an `SQLite` file. The [module docs](super) describe how it works and what is in
/// the file.
///
/// A clone is another handle to the same connection; the workers of one process may share it.
/// Processes on one host share the file.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use kcl_core::lease::LeaseTable;
/// use kcl_local::SqliteLeaseTable;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("leases.sqlite");
/// let table = SqliteLeaseTable::open(path, "word-count").await?;
/// table.setup().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteLeaseTable {
    /// The thread that owns the connection. It is shared by all clones and ends with the last of
    /// them.
    owner: Owner,
    /// As it was given, for messages.
    path: Arc<PathBuf>,
    /// Part of every key in the file.
    application: Arc<str>,
}

impl SqliteLeaseTable {
    /// Opens the lease table of an application with the default [`OpenOptions`].
    ///
    /// # Errors
    /// See [`OpenOptions::open`].
    pub async fn open(path: impl AsRef<Path>, application: &str) -> Result<Self, OpenError> {
        OpenOptions::new().open(path, application).await
    }

    pub(super) fn new(owner: Owner, path: PathBuf, application: &str) -> Self {
        Self {
            owner,
            path: Arc::new(path),
            application: application.into(),
        }
    }

    /// The path of the file.
    ///
    /// It is the path that was given, relative or not: the file is checked by its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The application to which these leases belong.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// The applications that have rows in the file, by name: one file may serve several. Writes
    /// nothing.
    ///
    /// # Errors
    /// As of a [scan](LeaseTable::scan).
    ///
    /// # Examples
    /// ```
    /// use kcl_core::lease::LeaseTable;
    /// use kcl_core::model::{Checkpoint, Lease, LeaseKey};
    /// use kcl_local::SqliteLeaseTable;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("leases.sqlite");
    /// let table = SqliteLeaseTable::open(&path, "word-count").await?;
    /// table.setup().await?;
    /// let key = LeaseKey::single("shardId-000000000000");
    /// table.create(&Lease::new(key, Checkpoint::TrimHorizon)).await?;
    ///
    /// let other = SqliteLeaseTable::open(&path, "report").await?;
    /// assert_eq!(other.applications().await?, ["word-count"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn applications(&self) -> Result<Vec<String>, Error> {
        let read = |owned: &mut super::thread::Owned| {
            let mut names = owned.connection.prepare_cached(
                "SELECT application FROM leases UNION SELECT application FROM workers ORDER BY 1",
            )?;
            let names = names.query_map((), |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<Vec<String>>>()?)
        };
        self.owner.alone(read).await
    }

    /// The application as a value for a statement.
    fn application_value(&self) -> Value {
        text(&self.application)
    }
}

impl fmt::Debug for SqliteLeaseTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLeaseTable")
            .field("path", &self.path)
            .field("application", &self.application)
            .finish()
    }
}

/// Runs a statement, and returns the lease that it returns, if there is one.
fn lease_of(connection: &Connection, statement: &Statement) -> rusqlite::Result<Option<Lease>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    prepared
        .query_row(params_from_iter(&statement.values), lease_row::read)
        .optional()
}

/// The conflict with the current row. It is read in the same transaction as the write that changed
/// nothing, so it is the row that did not meet the condition.
fn refusal(connection: &Connection, get: &Statement) -> Failure {
    match lease_of(connection, get) {
        Ok(row) => Error::conflict(row).into(),
        Err(error) => error.into(),
    }
}

/// The token of the page after this key. It is a key and not a number of rows, so rows that come or
/// go in between neither hide nor repeat others. The length says where the stream ends and the
/// shard begins.
fn page_after(key: &LeaseKey) -> PageToken {
    let stream = key.stream.as_deref().unwrap_or_default();
    PageToken(format!("{} {stream}{}", stream.len(), key.shard))
}

/// The key in a token.
///
/// # Errors
/// `Fatal` for text that no page of this table has given.
fn page_start(page: &PageToken) -> Result<LeaseKey, Error> {
    let parse = || {
        let (length, text) = page.0.split_once(' ')?;
        let (stream, shard) = text.split_at_checked(length.parse().ok()?)?;
        Some(LeaseKey {
            stream: (!stream.is_empty()).then(|| stream.into()),
            shard: ShardId::new(shard),
        })
    };
    parse().ok_or_else(|| Error::Fatal {
        message: format!(
            "invalid page token `{}`: expected one from this table's last page",
            page.0
        ),
        source: None,
    })
}

/// One page, with the rows that cannot be read beside those that can.
fn page_of_leases(
    connection: &Connection,
    application: Value,
    after: Option<&LeaseKey>,
) -> Result<ScanPage, Failure> {
    let columns = lease_row::COLUMNS;
    let (begin, mut values) = match after {
        None => ("", vec![application]),
        Some(key) => {
            let (stream, shard) = lease_row::key(key)?;
            (
                "AND (stream, shard) > (?, ?)",
                vec![application, stream, shard],
            )
        }
    };
    // One more row shows whether there is a next page.
    values.push(Value::Integer(i64::try_from(PAGE + 1).unwrap_or(i64::MAX)));
    let sql = format!(
        "SELECT {columns} FROM leases WHERE application = ? {begin} ORDER BY stream, shard LIMIT ?"
    );
    let mut prepared = connection.prepare_cached(&sql)?;
    let mut page = ScanPage::default();
    let mut rows = prepared.query(params_from_iter(values))?;
    let mut last = None;
    for read in 0.. {
        let Some(row) = rows.next()? else { break };
        if read == PAGE {
            page.next = last.as_ref().map(page_after);
            break;
        }
        last = Some(lease_row::read_key(row)?);
        match readable(lease_row::read(row))? {
            Ok(lease) => page.leases.push(lease),
            Err(malformed) => page.malformed.push(malformed),
        }
    }
    Ok(page)
}

/// Adds all workers.
fn add_workers(
    page: &mut ScanPage,
    connection: &Connection,
    application: Value,
) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT {} FROM workers WHERE application = ? ORDER BY worker",
        worker_row::COLUMNS
    );
    let mut prepared = connection.prepare_cached(&sql)?;
    let mut rows = prepared.query([application])?;
    while let Some(row) = rows.next()? {
        match readable(worker_row::read(row))? {
            Ok(worker) => page.workers.push(worker),
            Err(malformed) => page.malformed.push(malformed),
        }
    }
    Ok(())
}

#[async_trait]
impl LeaseTable for SqliteLeaseTable {
    /// Creates or upgrades the tables. It waits for other processes that do the same.
    async fn setup(&self) -> Result<(), Error> {
        let set_up = |owned: &mut super::thread::Owned| {
            let patience = owned.patience();
            schema::set_up(&mut owned.connection, &owned.path, patience)
        };
        self.owner.alone(set_up).await
    }

    /// Reads one row. There is one file and one log, so every read sees every write that was
    /// acknowledged.
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let get = statement::get(&self.application, key)?;
        self.owner
            .alone(move |owned| Ok(lease_of(&owned.connection, &get)?))
            .await
    }

    /// Reads one page, always with strong consistency: it costs nothing here.
    async fn scan(&self, page: Option<&PageToken>, _: Consistency) -> Result<ScanPage, Error> {
        let after = page.map(page_start).transpose()?;
        let application = self.application_value();
        let read = move |owned: &mut super::thread::Owned| {
            let mut page = page_of_leases(&owned.connection, application.clone(), after.as_ref())?;
            // Workers are few, so the first page contains all of them.
            if after.is_none() {
                add_workers(&mut page, &owned.connection, application)?;
            }
            Ok(page)
        };
        self.owner.alone(read).await
    }

    /// Inserts a row, or reads the one that is there.
    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        let mut values = vec![self.application_value()];
        values.extend(lease_row::values(lease)?);
        let columns = lease_row::COLUMNS;
        let places = vec!["?"; values.len()].join(", ");
        let insert = Statement {
            sql: format!(
                "INSERT INTO leases (application, {columns}) VALUES ({places}) \
                 ON CONFLICT (application, stream, shard) DO NOTHING RETURNING {columns}"
            ),
            values,
        };
        let get = statement::get(&self.application, &lease.key)?;
        let write = move |connection: &Connection| {
            lease_of(connection, &insert)?.ok_or_else(|| refusal(connection, &get))
        };
        self.owner.write(write).await
    }

    /// One statement; if it changes no row, the conflict is read in the same transaction.
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let update = statement::update(&self.application, key, &write.expect, &write.edits())?;
        let get = statement::get(&self.application, key)?;
        let write = move |connection: &Connection| {
            lease_of(connection, &update)?.ok_or_else(|| refusal(connection, &get))
        };
        self.owner.write(write).await
    }

    /// The same for a deletion.
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        let delete = statement::delete(&self.application, key, expect)?;
        let get = statement::get(&self.application, key)?;
        let write = move |connection: &Connection| match connection
            .prepare_cached(&delete.sql)?
            .execute(params_from_iter(&delete.values))?
        {
            0 => Err(refusal(connection, &get)),
            _ => Ok(()),
        };
        self.owner.write(write).await
    }

    /// The same for the row of a worker, whose conflict has no row.
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        let Some(write) = statement::write_worker(&self.application, worker, seen, row)? else {
            return Err(Error::conflict(None));
        };
        // It changes one row or, if the condition does not hold, none.
        let write = move |connection: &Connection| match connection
            .prepare_cached(&write.sql)?
            .execute(params_from_iter(write.values))?
        {
            0 => Err(Error::conflict(None).into()),
            _ => Ok(()),
        };
        self.owner.write(write).await
    }

    /// Reads the row of one worker.
    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        let sql = format!(
            "SELECT {} FROM workers WHERE application = ? AND worker = ?",
            worker_row::COLUMNS
        );
        let values = [self.application_value(), text(worker.as_str())];
        let read = move |owned: &mut super::thread::Owned| {
            Ok(owned
                .connection
                .prepare_cached(&sql)?
                .query_row(values, worker_row::read)
                .optional()?)
        };
        self.owner.alone(read).await
    }

    /// Reads the latest announcements, which are never missing in a file that was set up.
    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        let application = self.application_value();
        let read = move |owned: &mut super::thread::Owned| {
            Ok(Some(changes::read(&owned.connection, &application)?))
        };
        self.owner.alone(read).await
    }

    /// Writes an announcement, together with other writes that wait.
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        if changed.is_empty() {
            return Ok(());
        }
        let (application, changed) = (self.application_value(), changed.to_vec());
        let write = move |connection: &Connection| changes::add(connection, &application, &changed);
        self.owner.write(write).await
    }

    fn application(&self) -> Option<&str> {
        Some(&self.application)
    }

    /// A fifth of a second: a read takes a few microseconds and blocks no writer, and a change is
    /// seen that much sooner than at the default of half a second.
    fn change_signal_interval(&self) -> Duration {
        // A read takes a few microseconds and blocks no writer.
        Duration::from_millis(200)
    }
}
