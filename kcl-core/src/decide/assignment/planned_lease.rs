//! One lease of a plan: the row, what was seen of it, and the two conclusions that everything else
//! uses: what it means for this worker, and for whom it counts.

use crate::decide::fleet::LeaseEntry;
use crate::decide::members::SeenLease;
use crate::model::{Lease, WorkerId};

use super::fleet::Fleet;
use super::standing::LeaseStanding;

/// A lease in a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedLease<'a> {
    /// The row, with how long its counter has stood still.
    pub(super) seen: SeenLease<'a>,
    /// What this worker is doing with it.
    pub(super) own: &'a LeaseEntry,
    /// Computed once, because many steps of the plan ask for it.
    pub(super) standing: LeaseStanding<'a>,
    /// The place of the live worker for which it counts, or `None` if no live worker will have it.
    /// Not the holder: during a hand-over it is the requester.
    pub(super) counted_by: Option<usize>,
    /// What it carries; 0 in a fleet that balances by count. See [`set_loads`](super::load::set_loads).
    pub(super) load: u64,
}

impl<'a> PlannedLease<'a> {
    pub(super) fn of(seen: SeenLease<'a>, own: &'a LeaseEntry, fleet: &Fleet<'_>) -> Self {
        let standing = LeaseStanding::of(seen, own, fleet);
        Self {
            seen,
            own,
            standing,
            counted_by: counted_by(seen.row, own, standing, fleet),
            load: 0,
        }
    }

    /// Whether it is a worker's, with nothing pending. Only such a lease can be requested: a second
    /// request for a lease would fail.
    pub(super) fn is_held_for_itself(&self) -> bool {
        matches!(self.standing, LeaseStanding::Held | LeaseStanding::Mine)
            && self.seen.row.checkpoint_owner.is_none()
    }

    /// Whether the row was written by a worker of this framework that holds it. A lease without a token
    /// was handed over and not claimed yet, or a KCL worker has taken it.
    pub(super) fn is_held_by_ours(&self) -> bool {
        self.seen.row.token.is_some() && !self.seen.is_held_by_foreign()
    }

    /// The row stays until the shard has left the stream.
    pub(super) fn is_finished(&self) -> bool {
        self.seen.row.checkpoint.is_shard_end()
    }

    /// How much it counts: 1, or 0 if it is finished. Together with KCL workers, a finished lease
    /// counts too as long as its owner renews it, because the KCL counts it.
    pub(super) fn weight(&self, fleet: &Fleet<'_>) -> usize {
        let is_renewed = || {
            self.seen
                .expires_at(fleet.members, fleet.timing)
                .is_some_and(|at| at > fleet.now)
        };
        usize::from(!self.is_finished() || (fleet.is_mixed() && is_renewed()))
    }
}

/// A lease counts for the worker that will have it, if that is alive: for the requester while a
/// hand-over is pending. A request of this worker counts from the moment it was sent, and a lease
/// that this worker is just taking counts as taken. A free lease counts for nobody, so that it is
/// given to the emptiest worker.
fn counted_by(
    row: &Lease,
    own: &LeaseEntry,
    standing: LeaseStanding<'_>,
    fleet: &Fleet<'_>,
) -> Option<usize> {
    if standing.is_free(fleet.now) {
        return fleet.my_place.filter(|_| fleet.is_busy(&row.key, own));
    }
    if own.request().is_some() {
        return fleet.my_place;
    }
    let place = |worker: &Option<WorkerId>| fleet.place(worker.as_ref()?);
    place(&row.owner).or_else(|| place(&row.checkpoint_owner))
}
