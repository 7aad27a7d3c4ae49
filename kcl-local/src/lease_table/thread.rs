//! The thread that owns the connection.
//!
//! ```text
//!  callers --channel of 256--> [ takes all that waits: reads at once, writes gathered ] --> one COMMIT --> answers
//! ```
//!
//! A thread and not a blocking task of tokio: the connection must not move between threads while a
//! transaction is open, and the disk may take its time without using up the application's pool.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::lease::Error;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::runtime::block_owner_thread;

use super::error::{Failure, OpenError, commit_failed, file_moved, is_busy, nothing_written};
use super::open_files::{Moved, OpenFile};

/// How many requests are queued before senders have to wait, and how many writes one transaction
/// has at most.
const QUEUE: usize = 256;
/// The pause between two attempts at something for which `SQLite` itself does not wait.
const NAP: Duration = Duration::from_millis(5);

/// A connection, with what its owner knows about it.
pub(super) struct Owned {
    /// The only connection of this table.
    pub(super) connection: Connection,
    /// Dropped after the connection.
    pub(super) file: OpenFile,
    /// For messages.
    pub(super) path: PathBuf,
    /// How long to wait for a busy file.
    pub(super) busy_timeout: Duration,
}

impl Owned {
    /// Checks that the path still leads to the open file: two fleets on two files would both
    /// process every shard.
    ///
    /// It costs one `stat`. Without it a worker whose file was deleted would go on for ever on a
    /// file that no other process can see.
    fn in_place(&self) -> Result<(), Moved> {
        self.file.moved().map_or(Ok(()), Err)
    }

    /// A function that waits a little and returns true, or returns false once the busy timeout has
    /// passed in total.
    ///
    /// SQLite's own busy timeout is kept inside SQLite and does not cover every call; this one is
    /// for the rest.
    pub(super) fn patience(&self) -> impl FnMut() -> bool + use<> {
        let mut left = self.busy_timeout;
        move || {
            let waits = !left.is_zero();
            left = left.saturating_sub(NAP);
            if waits {
                block_owner_thread(NAP);
            }
            waits
        }
    }
}

/// What a caller gets.
type Answer<T> = Result<T, Error>;

/// What a caller asks for.
enum Job {
    /// Makes its own transactions, if any, and changes no lease.
    Alone(Box<dyn FnOnce(&mut Owned) + Send>),
    /// Shares a transaction with others.
    Write(Box<dyn Write>),
}

/// One of the writes of a transaction.
trait Write: Send {
    /// Whether its caller has gone, so that it need not be started.
    fn is_abandoned(&self) -> bool;
    /// Carries it out inside the transaction. A write that fails or conflicts leaves no trace.
    /// Returns an error only if the transaction must not be committed.
    fn run(&mut self, owned: &Owned) -> rusqlite::Result<()>;
    /// Answers the caller, after the transaction.
    fn answer(self: Box<Self>, ended: &TransactionEnd, owned: &Owned);
}

/// How a transaction ended.
///
/// What a caller is told follows from this and from the result of its own write, in `answer`.
enum TransactionEnd {
    /// All writes that succeeded are on the disk.
    Committed,
    /// It was rolled back, or never began.
    NothingWritten(Arc<rusqlite::Error>),
    /// The transaction was not started, because the file is no longer at its path.
    Moved(Moved),
    /// The commit failed in a way that leaves open whether it took place.
    CommitFailed(Arc<rusqlite::Error>),
}

/// A write of one caller, with its result until the transaction has ended.
struct Single<T, F> {
    /// What it does; taken when it is started.
    work: Option<F>,
    /// `None` until it was started.
    result: Option<Answer<T>>,
    /// Where its answer goes. It is closed when the caller has gone.
    reply: oneshot::Sender<Answer<T>>,
}

impl<T, F> Write for Single<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Failure> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, owned: &Owned) -> rusqlite::Result<()> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let result = in_savepoint(&owned.connection, work)?
            .map_err(|failure| failure.into_error(&owned.path));
        self.result = Some(result);
        Ok(())
    }

    fn answer(self: Box<Self>, ended: &TransactionEnd, owned: &Owned) {
        let result = match (ended, self.result) {
            // Its own failure is returned as it is: nothing of it is in the file, whatever happened
            // to the others.
            (_, Some(Err(own))) if !matches!(own, Error::Conflict { .. }) => Err(own),
            (TransactionEnd::Committed, Some(result)) => result,
            (TransactionEnd::Moved(moved), _) => Err(file_moved(&owned.path, *moved)),
            (TransactionEnd::CommitFailed(error), Some(Ok(_))) => Err(commit_failed(error.clone())),
            // Not started, or rolled back. Even a conflict is not returned, because it may have
            // been read together with writes that were rolled back.
            (TransactionEnd::NothingWritten(error), _) => {
                Err(nothing_written(error.clone(), &owned.path))
            }
            (TransactionEnd::CommitFailed(error), _) => Err(Error::Throttled {
                source: Box::new(error.clone()),
            }),
            (TransactionEnd::Committed, None) => Err(thread_ended()),
        };
        // A caller that has gone knows that it has lost its answer.
        let _ = self.reply.send(result);
    }
}

/// The result of the work, which has left no trace if it failed; or an error if that cannot be
/// guaranteed.
///
/// With a savepoint of its own, a write that conflicts does not take the others of its transaction
/// with it.
fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> rusqlite::Result<Result<T, Failure>> {
    let run = |sql| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(()))
            .map(|_| ())
    };
    run("SAVEPOINT one")?;
    let result = work(connection);
    if let Err(failure) = result {
        // After some errors (a full disk), SQLite has rolled back the whole transaction itself, and
        // the savepoint no longer exists.
        return match (
            run("ROLLBACK TO one").and_then(|()| run("RELEASE one")),
            failure,
        ) {
            (Ok(()), failure) => Ok(Err(failure)),
            (Err(_), Failure::Sqlite(error)) | (Err(error), Failure::Table(_)) => Err(error),
        };
    }
    run("RELEASE one")?;
    Ok(result)
}

/// A handle to the thread. When the last clone is dropped, the thread closes the file and ends.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    /// The queue. When it is full, callers wait: more requests in memory would not make the disk
    /// faster.
    requests: mpsc::Sender<Job>,
}

impl Owner {
    /// Starts a thread that opens a connection and answers requests on it.
    ///
    /// It returns when the file is open, so an error of opening is an error of the caller's `open`.
    pub(super) async fn start(
        path: PathBuf,
        open: impl FnOnce() -> Result<Owned, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let (requests, mut queue) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let work = move || match open() {
            Ok(mut owned) => {
                if ready.send(Ok(())).is_ok() {
                    serve(&mut owned, &mut queue);
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let io = |source| OpenError::Io { path, source };
        match std::thread::Builder::new()
            .name("kcl-lease-table".to_owned())
            .spawn(work)
        {
            Err(error) => return Err(io(error)),
            // The thread ends by itself when no handle is left; waiting for that would block the
            // thread that drops the last handle.
            Ok(thread) => drop(thread),
        }
        match opened.await {
            Ok(result) => result.map(|()| Self { requests }),
            Err(_) => Err(io(std::io::Error::other(
                "the thread of the lease table ended",
            ))),
        }
    }

    /// Runs something that changes no lease. Cancel safe.
    ///
    /// It carries on in the middle of gathered writes, before they are committed: none of them has
    /// been answered, so no caller can expect to see them.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Owned) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let request = Job::Alone(Box::new(move |owned| {
            if !reply.is_closed() {
                let result = match owned.in_place() {
                    Ok(()) => work(owned).map_err(|failure| failure.into_error(&owned.path)),
                    Err(moved) => Err(file_moved(&owned.path, moved)),
                };
                let _ = reply.send(result);
            }
        }));
        self.send(request).await?;
        answer.await.unwrap_or_else(|_| Err(thread_ended()))
    }

    /// Makes a write. Dropping the future loses the answer: the write may still be applied.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let single = Single {
            work: Some(work),
            result: None,
            reply,
        };
        self.send(Job::Write(Box::new(single))).await?;
        // Only a panic of the thread leaves a request without an answer, and that may have happened
        // after the commit.
        answer.await.unwrap_or_else(|gone| {
            Err(Error::Unknown {
                source: Box::new(gone),
            })
        })
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// `Fatal` if the thread has ended, which only a panic can have caused.
    async fn send(&self, request: Job) -> Result<(), Error> {
        self.requests
            .send(request)
            .await
            .map_err(|_| thread_ended())
    }
}

/// The error of every call after the thread has ended.
fn thread_ended() -> Error {
    Error::Fatal {
        message: "the thread of the lease table has ended".to_owned(),
        source: None,
    }
}

/// The thread's loop. It takes everything that is waiting, up to [`QUEUE`] writes, before it
/// commits: so the number of synchronisations follows the disk and not the number of calls.
fn serve(owned: &mut Owned, queue: &mut mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut writes: Vec<Box<dyn Write>> = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                // None of the waiting writes has been answered, so a read may go first.
                Job::Alone(work) => work(owned),
                Job::Write(write) => writes.push(write),
            }
            next = if writes.len() < QUEUE {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        if !writes.is_empty() {
            let ended = commit_together(owned, &mut writes);
            for write in writes {
                write.answer(&ended, owned);
            }
        }
    }
}

/// One transaction with all these writes, each in a savepoint. `IMMEDIATE` takes the write lock at
/// the beginning: a transaction that began as a read could fail in the middle.
fn commit_together(owned: &mut Owned, writes: &mut [Box<dyn Write>]) -> TransactionEnd {
    if let Err(moved) = owned.in_place() {
        return TransactionEnd::Moved(moved);
    }
    let begun =
        rusqlite::Transaction::new_unchecked(&owned.connection, TransactionBehavior::Immediate);
    // It is rolled back if it is dropped without a commit.
    let transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => return TransactionEnd::NothingWritten(Arc::new(error)),
    };
    // Skips the writes whose callers gave up while the file was busy.
    for write in writes.iter_mut().filter(|write| !write.is_abandoned()) {
        if let Err(error) = write.run(owned) {
            return TransactionEnd::NothingWritten(Arc::new(error));
        }
    }
    let result = transaction.commit();
    match result {
        Ok(()) => TransactionEnd::Committed,
        Err(error) if is_busy(&error) => TransactionEnd::NothingWritten(Arc::new(error)),
        Err(error) => TransactionEnd::CommitFailed(Arc::new(error)),
    }
}

#[cfg(test)]
#[path = "thread_test.rs"]
mod tests;
