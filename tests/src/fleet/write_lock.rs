//! Whether a stopped process holds the write lock of an `SQLite` file: a limit of that table, since
//! nobody can write until it goes on.

use std::path::Path;
use std::time::Duration;

use kcl_core::{Clock, SystemClock};
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Much longer than a write takes.
const PATIENCE: Duration = Duration::from_millis(300);
const BETWEEN: Duration = Duration::from_millis(5);

/// Whether nobody could write to the file for a third of a second.
///
/// # Errors
/// The file is no database.
pub async fn is_held(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::ZERO)?;
    let until = SystemClock.now() + PATIENCE;
    loop {
        match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
            Ok(()) => return Ok(false),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            Err(error) => return Err(error),
        }
        if SystemClock.now() >= until {
            return Ok(true);
        }
        SystemClock.sleep_until(SystemClock.now() + BETWEEN).await;
    }
}
