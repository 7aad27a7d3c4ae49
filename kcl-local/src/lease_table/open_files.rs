//! The lease tables that this process has open.
//!
//! On Unix, closing any descriptor of a file releases all locks that the process has on it,
//! including those of other descriptors. `SQLite` takes care of that among its own connections.
//! Opening the file in any other way would release the locks of its connections: the next process
//! to close the file would believe that it is the last one, and remove the write-ahead log that is
//! still in use.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The device and inode of a file: a file may have several paths.
type FileId = (u64, u64);

/// How many connections this process has to each file.
static OPEN: Mutex<BTreeMap<FileId, usize>> = Mutex::new(BTreeMap::new());

/// The lock on the table above.
fn all() -> MutexGuard<'static, BTreeMap<FileId, usize>> {
    // A poisoned lock is safe to use: at worst, a panic elsewhere leaves a count too high, and such
    // a file is not opened directly again.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file's identity, by its path and without opening it.
#[cfg(unix)]
fn id(path: &Path) -> std::io::Result<Option<FileId>> {
    use std::os::unix::fs::MetadataExt as _;
    // By path, without opening the file.
    std::fs::metadata(path).map(|found| Some((found.dev(), found.ino())))
}

/// Elsewhere, locks belong to the handle, so every file can be opened directly; and an open file
/// cannot be removed.
#[cfg(not(unix))]
fn id(_: &Path) -> std::io::Result<Option<FileId>> {
    Ok(None)
}

/// A lock for looking at files and opening them: no other connection of this module is made in the
/// meantime.
pub(super) struct Opening(MutexGuard<'static, BTreeMap<FileId, usize>>);

impl Opening {
    /// Waits until no other thread is opening a file.
    pub(super) fn begin() -> Self {
        Self(all())
    }

    /// Whether this process has a connection to the file. Only `SQLite` may then open it.
    pub(super) fn is_open(&self, path: &Path) -> bool {
        id(path)
            .ok()
            .flatten()
            .is_some_and(|id| self.0.contains_key(&id))
    }

    /// Registers a connection to this file.
    pub(super) fn opened(mut self, path: &Path) -> OpenFile {
        let id = id(path).ok().flatten();
        if let Some(id) = id {
            *self.0.entry(id).or_default() += 1;
        }
        // Absolute, because the program may change its working directory later.
        OpenFile {
            id,
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    }
}

/// Registers that there is a connection to a file. Must be dropped after the connection.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// `None` where files have no such identity, or if it could not be found out.
    id: Option<FileId>,
    /// The absolute path.
    path: PathBuf,
}

/// What has happened to the path of a file that is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// There is no file at the path.
    Removed,
    /// There is another file at the path.
    Replaced,
}

impl OpenFile {
    /// Whether the path now leads to another file than the open one, or to none. If that cannot be
    /// found out at the moment, it counts as unchanged.
    pub(super) fn moved(&self) -> Option<Moved> {
        let opened = self.id?;
        match id(&self.path) {
            Ok(Some(found)) if found != opened => Some(Moved::Replaced),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(Moved::Removed),
            _ => None,
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut open = all();
        if let Some(count) = open.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&id);
            }
        }
    }
}
