//! Checks a file before `SQLite` opens it: opening alone may create files next to a database, or
//! write to it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use super::open_files::Opening;
use super::schema::{SchemaState, StateError, judge, state};

/// <https://sqlite.org/fileformat.html>, section 1.3: the first 16 bytes, and the length of the
/// header.
///
/// It is read with ordinary file operations, so that a file of another program is recognised before
/// SQLite touches it.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// The offsets of the write version (2 with a write-ahead log), `user_version` and `application_id`
/// in the header.
const WRITE_VERSION: usize = 18;
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// Checks that the path is a lease table or can become one. Writes nothing anywhere. A file that
/// this process has open already was checked then, and is not opened here.
///
/// # Errors
/// The path is a folder or not a regular file, the file is of another program or of another
/// version, or it cannot be written.
///
/// SQLite would create a `-wal` and a `-shm` beside a database that it opens, and would take an
/// empty file for a new database: both would be changes to a file that may belong to somebody else.
pub(super) fn inspect(path: &Path, opening: &Opening) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return folder_of(path),
        Err(error) => return Err(io(error)),
    };
    if !found.is_file() {
        let found = if found.is_dir() {
            "a folder"
        } else {
            "not a regular file"
        };
        return Err(OpenError::NoFile {
            path: path.to_owned(),
            found,
        });
    }
    let is_open = opening.is_open(path);
    let mut header = Vec::with_capacity(HEADER);
    if !is_open {
        File::open(path)
            .and_then(|file| file.take(HEADER as u64).read_to_end(&mut header))
            .map_err(io)?;
    }
    if !header.is_empty() {
        judge_header(path, &header)?;
    }
    // The file's read-only flag counts too, not only the permissions of this process: a superuser
    // may write everything.
    if found.permissions().readonly() || !is_open && File::options().write(true).open(path).is_err()
    {
        return Err(OpenError::ReadOnly {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// The check for a file that does not exist: SQLite would create it, but not its folder. Creating
/// folders is left to the user, because a mistyped path would otherwise get a table of its own.
fn folder_of(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.is_dir() {
        return Ok(());
    }
    Err(OpenError::NoFolder {
        path: path.to_owned(),
        folder: folder.to_owned(),
    })
}

/// Judges a file by its first 100 bytes: the marks of a lease table, or an empty database.
fn judge_header(path: &Path, header: &[u8]) -> Result<SchemaState, OpenError> {
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            found: "a file of another kind".to_owned(),
        });
    }
    let number = |at: usize| {
        header[at..at + 4]
            .iter()
            .fold(0, |value, byte| value << 8 | u32::from(*byte))
    };
    let (application_id, version) = (number(APPLICATION_ID), number(USER_VERSION));
    // A lease table gets its marks before it gets a write-ahead log, so a database with a log but
    // without marks is never an empty lease table.
    let has_log = header[WRITE_VERSION] == 2;
    let objects = if application_id == 0 && version == 0 && !has_log {
        count_objects(path)?
    } else {
        1
    };
    judge(path, application_id, version, objects)
}

/// Counts the objects in a database without marks. Without a write-ahead log, a read-only
/// connection writes nothing.
///
/// An empty database without marks is one that a lease table may use; one with a single table is
/// another program's.
fn count_objects(path: &Path) -> Result<u64, OpenError> {
    let sqlite = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite)?;
    match state(&connection, path) {
        Ok(SchemaState::Empty) => Ok(0),
        Ok(SchemaState::Ready) | Err(StateError::Open(_)) => Ok(1),
        Err(StateError::Sqlite(error)) => Err(sqlite(error)),
    }
}
