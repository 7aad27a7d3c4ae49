use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Lease, LeaseKey, Moment, WorkerId};

/// What this worker knows of itself.
#[derive(Debug)]
pub struct Me<'a> {
    /// Its name.
    pub id: &'a WorkerId,
    /// How many leases more it may come to hold. Claims, takes and open requests all come out of
    /// this.
    pub room: usize,
    /// How many requests it may have open at the same time.
    pub max_moves: usize,
    /// It is stopping: it takes and asks for nothing, and gives back what it is given.
    pub leaving: bool,
    /// Somebody else gives the leases away: it takes and asks for nothing, and keeps what it has.
    pub passive: bool,
    /// When it last took, or tried to take, a lease from a live worker of a KCL.
    pub stole: Option<Moment>,
    /// The former process under this name is known to be gone (it marked its row before it went):
    /// what it left is adopted at once.
    pub former_left: bool,
    /// What it is engaged in.
    pub engaged: &'a dyn OwnLeases,
    /// The requests that it has sent and that are not over, also those that are not settled.
    pub asked: &'a BTreeMap<LeaseKey, OwnRequest>,
    /// What it has handed over and not seen claimed.
    pub handed_over: &'a BTreeMap<LeaseKey, HandedOver>,
}

/// Tells what this worker has to do with a lease.
pub trait OwnLeases: fmt::Debug {
    /// Whether it works on it, takes or claims it, waits for a handler of a former tenancy to
    /// return, or leaves it alone for now.
    fn is_busy(&self, key: &LeaseKey) -> bool;

    /// Whether this process began the tenancy of the row.
    fn is_mine(&self, row: &Lease) -> bool;

    /// Whether it did, and does not work on it any more.
    fn is_abandoned(&self, row: &Lease) -> bool;

    /// Whether it may ask for it: it was not refused of late.
    fn may_ask(&self, key: &LeaseKey) -> bool;
}

/// A request of this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRequest {
    /// Who was asked.
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
    /// Whether this row is as this worker's hand-over left it.
    pub(super) fn has_handed_over(&self, row: &Lease) -> bool {
        self.handed_over
            .get(&row.key)
            .is_some_and(|handed_over| handed_over.counter == row.counter)
            && row.token.is_none()
    }
}
