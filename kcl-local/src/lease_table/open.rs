//! Opens a file as a lease table, step by step, so that a file of another program is never changed.
//!
//! ```text
//! inspect: metadata and header, by ordinary reads --> connection --> state: marks and objects, read only
//!      refuses folders, foreign files, newer versions                    --> writable? --> settings
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{OpenError, is_busy};
use super::file::inspect;
use super::open_files::Opening;
use super::schema::{StateError, state};
use super::table::SqliteLeaseTable;
use super::thread::{Owned, Owner};

/// Short enough that a renewal can be tried several times within a failover time of 10 s (the KCL's
/// default).
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer than any useful failover time.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_mins(1);
/// How many prepared statements are cached: more than there are, one for each combination of a
/// write's condition and edits.
const STATEMENTS: usize = 64;

/// Options for opening an `SQLite` lease table.
///
/// ```
/// use std::time::Duration;
///
/// use kcl_local::lease_table::OpenOptions;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("leases.sqlite");
/// let table = OpenOptions::new().busy_timeout(Duration::from_millis(500)).open(&path, "word-count").await?;
/// // Other applications may use the same file.
/// let other = OpenOptions::new().open(&path, "report").await?;
/// assert_eq!((table.application(), other.application()), ("word-count", "report"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// How long a call waits for a lock that another process holds.
    busy_timeout: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy_timeout: BUSY_TIMEOUT,
        }
    }
}

impl OpenOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call waits for another process that is writing to the file, before it fails with
    /// [`Throttled`](kcl_core::lease::Error::Throttled): 0 to 1 minute, by default 1 s. It should
    /// be much shorter than the failover time.
    #[must_use]
    pub const fn busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Opens the lease table of an application in this file. Other applications may use the same
    /// file.
    ///
    /// The file need not exist, but its folder must. Nothing is written before
    /// [`setup`](kcl_core::lease::LeaseTable::setup).
    ///
    /// # Errors
    /// [`OpenError`] if a setting is out of range, or if the path is not a lease table and cannot
    /// become one. A file that is not a lease table is left as it is.
    pub async fn open(
        self,
        path: impl AsRef<Path>,
        application: &str,
    ) -> Result<SqliteLeaseTable, OpenError> {
        if application.is_empty() {
            return Err(OpenError::NoApplication);
        }
        if self.busy_timeout > MAX_BUSY_TIMEOUT {
            return Err(OpenError::BusyTimeout {
                given: self.busy_timeout,
                allowed: MAX_BUSY_TIMEOUT,
            });
        }
        let path = path.as_ref().to_owned();
        let open = {
            let path = path.clone();
            move || connect(path, self.busy_timeout)
        };
        let owner = Owner::start(path.clone(), open).await?;
        Ok(SqliteLeaseTable::new(owner, path, application))
    }
}

/// Opens the connection. It runs on the thread that will own it.
///
/// The lock on all files of this module is held from the inspection until the connection is
/// registered: another thread could otherwise close its descriptor of the same file in between, and
/// release SQLite's locks.
fn connect(path: PathBuf, busy_timeout: Duration) -> Result<Owned, OpenError> {
    let opening = Opening::begin();
    inspect(&path, &opening)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(&path, flags).map_err(|source| sqlite(&path, source))?;
    let file = opening.opened(&path);
    let owned = Owned {
        connection,
        file,
        path,
        busy_timeout,
    };
    configure(&owned.connection, &owned.path, busy_timeout)?;
    Ok(owned)
}

/// SQLite's error, with the path that it belongs to.
fn sqlite(path: &Path, source: rusqlite::Error) -> OpenError {
    OpenError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

/// Whether `SQLite` refuses to write. A file to which another process is currently writing counts
/// as writable. This writes nothing.
fn is_read_only(connection: &Connection, busy_timeout: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let begun = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    connection.busy_timeout(busy_timeout)?;
    match begun {
        Ok(()) => Ok(false),
        Err(error) if is_busy(&error) => Ok(false),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Settings of the connection, after the file was judged once more through it.
///
/// `synchronous = FULL` makes every acknowledged write survive a power failure. The module docs say
/// why `NORMAL` would not do.
fn configure(
    connection: &Connection,
    path: &Path,
    busy_timeout: Duration,
) -> Result<(), OpenError> {
    let sqlite = |source| sqlite(path, source);
    connection.busy_timeout(busy_timeout).map_err(sqlite)?;
    // A newer schema version may only be in the write-ahead log. Closing must not move the log's
    // contents into a file that is not a lease table of this version.
    let keep_log = |keep| {
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
            .map(|_| ())
    };
    keep_log(true).map_err(sqlite)?;
    state(connection, path).map_err(|error| match error {
        StateError::Open(error) => error,
        StateError::Sqlite(source) => sqlite(source),
    })?;
    keep_log(false).map_err(sqlite)?;
    if is_read_only(connection, busy_timeout).map_err(sqlite)? {
        return Err(OpenError::ReadOnly {
            path: path.to_owned(),
        });
    }
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}
