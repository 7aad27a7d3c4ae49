use crate::lease::WorkerRow;
use crate::model::{Lease, LeaseKey, WorkerId};

/// What a worker has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetCommand {
    /// Report these free leases, which are left unread because the worker has no room for more.
    TellLeft(Vec<LeaseKey>),
    /// Release a lease that was handed over although there is no room for it, or that nobody works
    /// on.
    GiveBack {
        /// Its row.
        row: Lease,
        /// The row of its holder, if the heartbeats of that row hold it: it is killed first.
        kill: Option<WorkerRow>,
    },
    /// Claim a lease that was handed over.
    Claim(Lease),
    /// Take a free or expired lease.
    Take {
        /// Its row.
        row: Lease,
        /// Whether to read the row first.
        look_first: bool,
        /// The row of its holder, if the heartbeats of that row have held it: it is killed first.
        kill: Option<WorkerRow>,
    },
    /// Take a lease from a live KCL worker that does not answer requests.
    Steal(Lease),
    /// Request a lease.
    Request {
        /// Its row.
        row: Lease,
        /// Its owner.
        of: WorkerId,
    },
    /// Withdraw a request.
    Withdraw {
        /// The row of the lease.
        row: Lease,
        /// Its owner.
        of: WorkerId,
    },
    /// End the assignment of a lease of this worker, if it is the one of this row.
    Unassign(Lease),
    /// Delete the row of a dead worker.
    Reap(WorkerRow),
}

/// A request for a lease of this worker, as the row shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRequest {
    /// The row.
    pub row: Lease,
    /// The requester, if it is dead: the request is refused.
    pub refuse: Option<WorkerId>,
}
