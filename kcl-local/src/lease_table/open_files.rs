//! The lease tables that this process has open.
//!
//! On Unix, closing any descriptor of a file takes all locks on it from the whole process, those of
//! other descriptors included. `SQLite` minds that among its own connections. A look at a file in
//! any other way would take the locks of the connections that are on it: the next process to leave
//! would believe to be the last one and remove the write-ahead log that is still in use.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Device and number of a file: a path may have several names.
type FileId = (u64, u64);

static OPEN: Mutex<BTreeMap<FileId, usize>> = Mutex::new(BTreeMap::new());

fn all() -> MutexGuard<'static, BTreeMap<FileId, usize>> {
    // A panic elsewhere leaves a count at worst too high: such a file is not looked at again.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn id(path: &Path) -> std::io::Result<Option<FileId>> {
    use std::os::unix::fs::MetadataExt as _;
    // Asks for the file by its name: nothing is opened.
    std::fs::metadata(path).map(|found| Some((found.dev(), found.ino())))
}

/// Elsewhere, locks belong to what was opened, and every file may be looked at; one that is open
/// cannot be removed.
#[cfg(not(unix))]
fn id(_: &Path) -> std::io::Result<Option<FileId>> {
    Ok(None)
}

/// The right to look at files and to open them: no other connection of this module is made
/// meanwhile.
pub(super) struct Opening(MutexGuard<'static, BTreeMap<FileId, usize>>);

impl Opening {
    /// Waits until nobody else opens a file.
    pub(super) fn begin() -> Self {
        Self(all())
    }

    /// Whether a connection of this process is on the file. It must only be looked at by `SQLite`
    /// then.
    pub(super) fn is_open(&self, path: &Path) -> bool {
        id(path)
            .ok()
            .flatten()
            .is_some_and(|id| self.0.contains_key(&id))
    }

    /// A connection was made to this file.
    pub(super) fn opened(mut self, path: &Path) -> OpenFile {
        let id = id(path).ok().flatten();
        if let Some(id) = id {
            *self.0.entry(id).or_default() += 1;
        }
        // The program may change its folder later.
        OpenFile {
            id,
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    }
}

/// Tells that a connection is on a file; to be dropped after the connection.
#[derive(Debug)]
pub(super) struct OpenFile {
    id: Option<FileId>,
    path: PathBuf,
}

/// What became of a path, while the file that was there is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Nothing is there.
    Removed,
    /// Another file is there.
    Replaced,
}

impl OpenFile {
    /// Whether somebody who opens the path now gets another file than this one, or none. What
    /// cannot be found out at present counts as unchanged.
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
