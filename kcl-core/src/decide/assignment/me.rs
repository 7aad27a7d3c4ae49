use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Lease, LeaseKey, Moment, WorkerId};

/// What this worker knows about itself.
#[derive(Debug)]
pub struct Me<'a> {
    /// Its name.
    pub id: &'a WorkerId,
    /// How many more leases it may hold. Claims, takes and open requests all count against this.
    pub room: usize,
    /// How many requests it may have open at the same time.
    pub max_moves: usize,
    /// It is stopping: it takes and requests nothing, and gives back what is handed over to it.
    pub leaving: bool,
    /// A KCL leader assigns the leases: this worker takes and requests nothing, and keeps what it
    /// has.
    pub passive: bool,
    /// When it last took, or tried to take, a lease from a live KCL worker.
    pub stole: Option<Moment>,
    /// The previous process with this name is known to be gone, because it set the leaving mark
    /// before it ended: its leases are adopted immediately.
    pub former_left: bool,
    /// What it is doing with each lease.
    pub engaged: &'a dyn OwnLeases,
    /// The requests that it has sent and that are still open, including those whose outcome is
    /// unknown.
    pub asked: &'a BTreeMap<LeaseKey, OwnRequest>,
    /// The leases that it has handed over and has not seen claimed.
    pub handed_over: &'a BTreeMap<LeaseKey, HandedOver>,
}

/// What this worker is doing with a lease.
pub trait OwnLeases: fmt::Debug {
    /// Whether it processes the lease, is taking or claiming it, waits for a handler of an earlier
    /// tenancy to return, or leaves it alone for now.
    fn is_busy(&self, key: &LeaseKey) -> bool;

    /// Whether this process began the tenancy of the row.
    fn is_mine(&self, row: &Lease) -> bool;

    /// Whether this process began the tenancy of the row but no longer processes it.
    fn is_abandoned(&self, row: &Lease) -> bool;

    /// Whether it may request the lease: no request for it was refused recently.
    fn may_ask(&self, key: &LeaseKey) -> bool;
}

/// A request of this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRequest {
    /// The owner.
    pub of: WorkerId,
    /// When it was sent.
    pub since: Moment,
}

/// A lease that this worker handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// The counter that the hand-over wrote.
    pub counter: u64,
    /// When it was acknowledged.
    pub at: Moment,
}

impl Me<'_> {
    /// Whether the row is still as this worker's hand-over left it.
    pub(super) fn has_handed_over(&self, row: &Lease) -> bool {
        self.handed_over
            .get(&row.key)
            .is_some_and(|handed_over| handed_over.counter == row.counter)
            && row.token.is_none()
    }
}
