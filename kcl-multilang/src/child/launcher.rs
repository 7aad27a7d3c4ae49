use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::process::Command;

use crate::runtime::StartingThread;

use super::{ChildError, ChildProcess};

/// Starts children, some of them ahead of need: a Python takes a tenth of a second until it can
/// answer, a .NET more, and a lease that waits for that is a shard that is not read.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The program and its arguments, as the properties file says. No shell is involved.
    command: Vec<String>,
    /// What runs the command in its own place: see [`run_as_child`](super::run_as_child). Empty if
    /// the command is run as it is.
    wrapper: Vec<OsString>,
    /// How many children are kept ready: `spareChildren`.
    ahead: usize,
    /// Starts every child: see there why it must be one thread that lives as long as the daemon.
    thread: StartingThread,
    /// Children that wait for a shard, the oldest first: it has had the most time to get ready. The
    /// lock is never held over an await.
    spare: Mutex<VecDeque<ChildProcess>>,
    /// Held by the one that fills up, so that shards that begin together do not start too many.
    filling: tokio::sync::Mutex<()>,
}

impl Launcher {
    /// No child is started yet.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub(crate) fn new(
        command: Vec<String>,
        wrapper: Vec<OsString>,
        ahead: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            command,
            wrapper,
            ahead,
            thread: StartingThread::new()?,
            spare: Mutex::default(),
            filling: tokio::sync::Mutex::default(),
        })
    }

    /// A child that nobody uses, and that lives. Others are started so that the next one can be had
    /// at once.
    pub(crate) async fn take(&self) -> Result<ChildProcess, ChildError> {
        loop {
            let next = self.spare().pop_front();
            let Some(mut child) = next else {
                return self.start().await;
            };
            // One may have ended while it waited: killed from outside, or short of memory.
            if !child.has_ended() {
                return Ok(child);
            }
        }
    }

    /// Starts children until there are as many as wanted ahead of need.
    pub(crate) async fn fill(&self) -> Result<(), ChildError> {
        // Whoever holds the lock goes on until there are enough, so there is nothing to wait for.
        let Ok(_only) = self.filling.try_lock() else {
            return Ok(());
        };
        while self.spare().len() < self.ahead {
            let child = self.start().await?;
            self.spare().push_back(child);
        }
        Ok(())
    }

    /// Whether the command can be found: a slash makes it a path, and otherwise it is searched for
    /// on `PATH`. Asked once at the start, so that a typing error ends the daemon at once and does
    /// not fail each shard in turn.
    pub(crate) fn find(&self) -> Result<(), ChildError> {
        let program = self.command.first().map_or("", String::as_str);
        let is_there = if program.contains('/') {
            Path::new(program).is_file()
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        };
        // Elsewhere names have endings that are added when a program is started (`PATHEXT`).
        if is_there || cfg!(not(unix)) {
            return Ok(());
        }
        Err(ChildError::NotStarted {
            command: self.command.join(" "),
            source: io::Error::new(
                io::ErrorKind::NotFound,
                format!("`{program}` is not found, on PATH if it has no slash"),
            ),
        })
    }

    /// Ends the children that nobody uses.
    pub(crate) fn close(&self) {
        // Dropped outside of the lock: the drop kills processes.
        let spare = std::mem::take(&mut *self.spare());
        drop(spare);
    }

    /// Starts a child. If this future is dropped, a process that has come about meanwhile is
    /// dropped with the answer, which kills it.
    async fn start(&self) -> Result<ChildProcess, ChildError> {
        let mut words = self.wrapper.iter().cloned();
        let mut line = self.command.iter().map(OsString::from);
        let mut command = match words.next() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).args(line);
                command
            }
            None => {
                let mut command = Command::new(line.next().unwrap_or_default());
                command.args(line);
                command
            }
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C goes to the process group of the terminal: it has to reach the daemon alone, which
        // tells the children in the protocol's own way.
        #[cfg(unix)]
        command.process_group(0);
        let started = self.thread.call(move || command.spawn()).await;
        started
            .and_then(ChildProcess::new)
            .map_err(|source| ChildError::NotStarted {
                command: self.command.join(" "),
                source,
            })
    }

    /// A panic while the lock was held leaves the queue whole, so poison is ignored.
    fn spare(&self) -> MutexGuard<'_, VecDeque<ChildProcess>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
