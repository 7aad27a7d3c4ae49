//! Why a file is not opened, and what an error of SQLite means for a call.
//!
//! | SQLite says | for a read or a write that is not committed | for a commit |
//! |---|---|---|
//! | busy, locked | `Throttled`: another process is writing | `Throttled`: nothing was written |
//! | disk full, I/O error, out of memory | `Throttled`: it may pass | `Unknown`: only the file knows |
//! | a value that cannot be read | `Malformed` | |
//! | anything else | `Fatal` | `Unknown` |

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kcl_core::lease::{Error, MalformedRow};
use rusqlite::ErrorCode;

use super::open_files::Moved;
use super::schema::{APPLICATION_ID, MAJOR};

/// Why an `SQLite` lease table cannot be opened. The file is unchanged. The `Debug` output is the
/// same as `Display`, because that is what a `main` that returns the error prints.
///
/// # Examples
/// ```
/// use kcl_local::SqliteLeaseTable;
/// use kcl_local::lease_table::OpenError;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("notes.txt");
/// std::fs::write(&path, "not a database")?;
/// let refused = SqliteLeaseTable::open(&path, "word-count").await;
/// assert!(matches!(refused, Err(OpenError::Foreign { .. })));
/// assert_eq!(std::fs::read_to_string(&path)?, "not a database");
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name of the application is empty.
    #[error("the application's name is empty: expected a non-empty name")]
    NoApplication,
    /// The busy timeout is out of range.
    #[error("invalid busy_timeout: got {given:?}, expected 0 to {allowed:?}")]
    BusyTimeout {
        /// The value.
        given: Duration,
        /// The highest allowed value.
        allowed: Duration,
    },
    /// The folder that the file would be in does not exist.
    #[error("cannot create the lease table `{}`: the folder `{}` does not exist", path.display(), folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The path is a folder, or something else that is not a regular file.
    #[error("`{}` is {found}: expected a regular file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file cannot be written.
    #[error("the lease table `{}` is read-only: expected a file and a folder to which this \
        process can write", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another program.
    #[error(
        "`{}` is not a lease table but {found}: expected a file that does not exist yet, an empty one, \
         or one that a lease table created (SQLite with the application id {APPLICATION_ID:#x})",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The file has a schema of another major version.
    #[error(
        "the lease table `{}` has schema version {}.{:02}: expected {MAJOR}.x",
        path.display(), found / 100, found % 100
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version: 100 x major + minor.
        found: u32,
    },
    /// The system did not allow the file to be read, or could not create a thread.
    #[error("the lease table `{}` cannot be opened: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// `SQLite` did not open the file.
    #[error("the lease table `{}` cannot be opened: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error of `SQLite`.
        #[source]
        source: rusqlite::Error,
    },
}

// A `main` that returns an error prints its `Debug` output, which should be the message and not the
// fields.
impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<OpenError> for Error {
    /// Always `Fatal`: `setup` checks the file again, and what is wrong with it then is not
    /// repaired by trying again.
    fn from(error: OpenError) -> Self {
        Self::Fatal {
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}

/// The error if the file is no longer at its path: writes to it would not be seen by processes that
/// open the path.
pub(super) fn file_moved(path: &Path, moved: Moved) -> Error {
    let what = match moved {
        Moved::Removed => "was removed",
        Moved::Replaced => "was replaced by another file",
    };
    let message = format!(
        "the file `{}` of the lease table {what} while this program had it open: workers that open it now would share nothing with \
         this one. Stop all workers of the table, put the file in its place that is to count, and start them again",
        path.display()
    );
    Error::Fatal {
        message,
        source: None,
    }
}

/// The malformed row in this error of a read, if it is one. SQLite's errors are the only way out of
/// a function that reads a row, so a malformed one travels inside a conversion failure.
pub(super) fn malformed(error: &rusqlite::Error) -> Option<&MalformedRow> {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, source) => source.downcast_ref(),
        _ => None,
    }
}

/// The row, or the malformed row; any other error ends the read. So a scan goes on past a row that
/// was edited badly.
pub(super) fn readable<T>(read: rusqlite::Result<T>) -> rusqlite::Result<Result<T, MalformedRow>> {
    match read {
        Ok(row) => Ok(Ok(row)),
        Err(error) => malformed(&error).cloned().map(Err).ok_or(error),
    }
}

/// Why a request failed. Nothing of it is in the file.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite failed; what that means is decided when it is known whether anything was committed.
    Sqlite(rusqlite::Error),
    /// The table itself says no, with a conflict for example.
    Table(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Table(error)
    }
}

impl Failure {
    /// The error for the caller, of a request of which nothing is in the file.
    pub(super) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Table(error) => error,
            Self::Sqlite(error) => nothing_written(Arc::new(error), path),
        }
    }
}

/// The error of a request that has written nothing. "No such table" gets a hint: the usual cause is
/// a call before `setup`.
pub(super) fn nothing_written(error: Arc<rusqlite::Error>, path: &Path) -> Error {
    if let Some(row) = malformed(&error) {
        return row.clone().into();
    }
    if is_busy(&error) || may_pass(&error) {
        return Error::Throttled {
            source: Box::new(error),
        };
    }
    let hint = if error.to_string().contains("no such table") {
        " (was `setup` called?)"
    } else {
        ""
    };
    Error::Fatal {
        message: format!("the file `{}`: {error}{hint}", path.display()),
        source: Some(Box::new(error)),
    }
}

/// The error of a write whose commit failed. If the file was busy, nothing was written; otherwise
/// only the file can show the outcome.
pub(super) fn commit_failed(error: Arc<rusqlite::Error>) -> Error {
    if is_busy(&error) {
        Error::Throttled {
            source: Box::new(error),
        }
    } else {
        Error::Unknown {
            source: Box::new(error),
        }
    }
}

/// Whether another connection holds the lock that was needed.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// A full disk may get space again, and a network disk may come back; if not, the leases expire by
/// themselves.
fn may_pass(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn sqlite(code: i32) -> Arc<rusqlite::Error> {
        Arc::new(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    /// Errors that may pass are distinguished from those that cannot, and from writes with an
    /// unknown outcome.
    #[test]
    fn an_open_error_names_its_cause() {
        let path = || PathBuf::from("leases.sqlite");
        let errors = [
            OpenError::Sqlite {
                path: path(),
                source: rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), None),
            },
            OpenError::Io {
                path: path(),
                source: std::io::Error::other("the disk is gone"),
            },
        ];
        for error in errors {
            let cause = std::error::Error::source(&error)
                .expect("a cause")
                .to_string();
            assert_eq!(
                error.to_string(),
                format!("the lease table `leases.sqlite` cannot be opened: {cause}")
            );
            assert_eq!(
                format!("{error:?}"),
                error.to_string(),
                "what `main` prints"
            );
        }
    }

    #[test]
    fn transient_fatal_and_unknown_errors_are_told_apart() {
        let path = Path::new("leases.sqlite");
        let rows = [
            ("busy", ffi::SQLITE_BUSY, "Throttled", "Throttled"),
            (
                "busy, with a stale snapshot",
                ffi::SQLITE_BUSY_SNAPSHOT,
                "Throttled",
                "Throttled",
            ),
            ("locked", ffi::SQLITE_LOCKED, "Throttled", "Throttled"),
            ("the disk is full", ffi::SQLITE_FULL, "Throttled", "Unknown"),
            (
                "a read failed",
                ffi::SQLITE_IOERR_READ,
                "Throttled",
                "Unknown",
            ),
            (
                "a synchronisation failed",
                ffi::SQLITE_IOERR_FSYNC,
                "Throttled",
                "Unknown",
            ),
            ("out of memory", ffi::SQLITE_NOMEM, "Throttled", "Unknown"),
            ("read-only", ffi::SQLITE_READONLY, "Fatal", "Unknown"),
            ("broken file", ffi::SQLITE_CORRUPT, "Fatal", "Unknown"),
            ("no database", ffi::SQLITE_NOTADB, "Fatal", "Unknown"),
            ("a constraint", ffi::SQLITE_CONSTRAINT, "Fatal", "Unknown"),
            ("a wrong statement", ffi::SQLITE_ERROR, "Fatal", "Unknown"),
        ];
        let name = |error: Error| match error {
            Error::Throttled { .. } => "Throttled",
            Error::Unknown { .. } => "Unknown",
            Error::Fatal { .. } => "Fatal",
            _ => "another",
        };
        for (what, code, before_the_commit, at_the_commit) in rows {
            assert_eq!(
                name(nothing_written(sqlite(code), path)),
                before_the_commit,
                "{what}"
            );
            assert_eq!(name(commit_failed(sqlite(code))), at_the_commit, "{what}");
        }
    }
}
