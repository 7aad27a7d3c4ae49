use crate::decide::fleet::{LeaseEntries, OwnTokens};
use crate::model::{Capacity, Moment, WorkerId};

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
    /// What it declares that it can carry. `None` if it balances by count.
    pub capacity: Option<Capacity>,
    /// Since when its plans say that the loads are [uneven](super::Plan::uneven).
    pub uneven_since: Option<Moment>,
    /// The previous process with this name is known to be gone, because it set the leaving mark
    /// before it ended: its leases are adopted immediately.
    pub former_left: bool,
    /// What it knows of each lease, and what it is doing with it.
    pub leases: &'a LeaseEntries,
    /// Which tenancies are those of this process.
    pub tokens: &'a dyn OwnTokens,
}
