use crate::decide::members::SeenLease;
use crate::model::WorkerId;

use super::fleet::Fleet;
use super::standing::LeaseStanding;

/// A lease in a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedLease<'a> {
    pub(super) seen: SeenLease<'a>,
    pub(super) standing: LeaseStanding<'a>,
    /// The place of the live worker for which it counts, or `None` if no live worker will have it.
    pub(super) counted_by: Option<usize>,
}

impl<'a> PlannedLease<'a> {
    pub(super) fn of(seen: SeenLease<'a>, fleet: &Fleet<'_>) -> Self {
        let standing = LeaseStanding::of(seen, fleet);
        Self {
            seen,
            standing,
            counted_by: counted_by(seen, standing, fleet),
        }
    }

    /// Whether it is a worker's, with nothing pending.
    pub(super) fn is_held_for_itself(&self) -> bool {
        matches!(self.standing, LeaseStanding::Held | LeaseStanding::Mine)
            && self.seen.row.checkpoint_owner.is_none()
    }

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
/// that this worker is just taking counts as taken.
fn counted_by(
    SeenLease { row, .. }: SeenLease<'_>,
    standing: LeaseStanding<'_>,
    fleet: &Fleet<'_>,
) -> Option<usize> {
    let me = fleet.me;
    if standing.is_free(fleet.now) {
        return fleet.my_place.filter(|_| me.engaged.is_busy(&row.key));
    }
    if me.asked.contains_key(&row.key) {
        return fleet.my_place;
    }
    let place = |worker: &Option<WorkerId>| fleet.place(worker.as_ref()?);
    place(&row.owner).or_else(|| place(&row.checkpoint_owner))
}
