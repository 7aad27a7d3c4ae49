//! What the own row's engine is told, and what it commands.

use crate::lease::{Error, HeldLag, KeepAlive, WorkerRow};
use crate::model::Moment;

/// What happens to the own row.
#[derive(Debug)]
pub enum RowEvent {
    /// The worker starts, and wants its row before it looks for leases.
    Join,
    /// The worker has started: its row shows life from now on.
    Keep,
    /// The time to wake up has come.
    Wake {
        /// How many audits this worker has made.
        audits: u64,
        /// What is to show that its leases are held.
        keep_alive: KeepAlive,
        /// How far behind its leases are.
        lag: HeldLag,
    },
    /// The worker stops. A call under way is given up.
    Leave,
    /// Every lease is given up.
    Left {
        /// The leases stay this worker's name's, and so does the row, with its mark: the next
        /// process of this name adopts them at once.
        keeps: bool,
    },
    /// The answer to a write.
    Written(Result<(), Error>),
    /// The answer to a read of the row with this worker's name.
    Read(Result<Option<WorkerRow>, Error>),
}

/// What is to be done about the own row.
#[derive(Debug)]
pub enum RowCommand {
    /// Create the row.
    Create(WorkerRow),
    /// Read the row with this worker's name.
    Read,
    /// Replace this row, if it is still as it was seen.
    Replace {
        /// The row as it was seen.
        seen: WorkerRow,
        /// The row to be.
        next: WorkerRow,
    },
    /// Delete the row, if it is still as it was seen.
    Delete(WorkerRow),
    /// Tell the other workers that the row has changed.
    Announce,
    /// The row shows life: a write of it that was sent at this moment, at the earliest, is stored.
    Shown {
        /// What the row says.
        keep_alive: KeepAlive,
        /// From when the life counts.
        sent: Moment,
    },
    /// The row of this incarnation is gone, or was killed: no write of it can land any more. What
    /// was held by its heartbeats is lost, and a row of another incarnation follows.
    Lost,
    /// The worker cannot go on, or cannot start now.
    Fail(RowFailure),
}

/// Why a worker cannot have its row.
#[derive(Debug)]
pub enum RowFailure {
    /// Another live process works under its name.
    NameIsTaken,
    /// The lease table has failed. While the worker starts, a transient error is one too.
    Table(Error),
}
