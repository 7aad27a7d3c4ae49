//! What an operator wants: leases that are assigned to a worker.
//!
//! ```text
//!   the lease is            the worker it is assigned to       all others
//!   --------------------    -------------------------------    -------------------------------------
//!   another's               requests it, before all balance    request it for no balance
//!   free, or expires        takes it first                     take it 2 s later than they would
//!   the assigned worker's   keeps it for a minute, and then    request it for no balance
//!                           ends the assignment
//! ```
//!
//! An assignment counts only while that very process lives, is not leaving and is not drained. If it
//! does not for a minute, or if the move is not made in five, whoever owns the lease ends it. So no
//! assignment outlives its reason, and a fleet that has settled moves nothing because of one.
//!
//! A worker that is full, or cannot reach the stream, does not request the lease; others need not
//! know, as it costs them the 2 s and no more. When the minute is over, the balance may move the lease
//! like any other.

use std::time::Duration;

use crate::model::LeaseKey;

use super::fleet::Fleet;
use super::load::RESTS;
use super::loads::Loads;
use super::plan::{Ask, Take, delay};
use super::planned_lease::PlannedLease;
use super::standing::LeaseStanding;

/// How long a lease that nobody holds is left to the worker that it is assigned to. That one takes it
/// at once when it hears of it; with a scan period of 2 s it has seen it by then.
const LEFT_TO_ASSIGNEE: Duration = Duration::from_secs(2);

/// How long a worker has to request a lease that is assigned to it. One that has no room, or does not
/// reach the stream, may have both by then; later nobody expects the move any more.
const LASTS: Duration = Duration::from_secs(300);

/// The leases that are assigned to this worker and that others hold, with what they carry: the first
/// `most`.
pub(super) fn assigned_to_me(
    leases: &[PlannedLease<'_>],
    fleet: &Fleet<'_>,
    most: usize,
) -> Vec<(Ask, u64)> {
    let ask = |lease: &PlannedLease<'_>| {
        let row = lease.seen.row;
        let is_held = matches!(lease.standing, LeaseStanding::Held | LeaseStanding::Orphan);
        let of = row
            .owner
            .as_ref()
            .filter(|_| row.checkpoint_owner.is_none())?;
        // One of this framework, that lives. A worker that leaves frees it.
        let answers = lease.is_held_by_ours()
            && fleet.is_ours(of)
            && fleet.members.is_alive(of, fleet.now, fleet.timing);
        let asks = fleet.is_assigned_to_me(row)
            && is_held
            && answers
            && lease.own.request().is_none()
            && !lease.own.is_refused(fleet.now)
            && !fleet.is_busy(&row.key, lease.own);
        asks.then(|| {
            let ask = Ask {
                key: row.key.clone(),
                of: of.clone(),
            };
            (ask, lease.load)
        })
    };
    leases.iter().filter_map(ask).take(most).collect()
}

/// When this worker takes a lease that nobody holds and that is assigned. It counts for the worker
/// that it is assigned to for the rest of the plan.
pub(super) fn take_assigned(
    lease: &PlannedLease<'_>,
    loads: &mut Loads<'_>,
    fleet: &Fleet<'_>,
) -> Option<Take> {
    let row = lease.seen.row;
    let place = fleet.assignee(row)?;
    let (at, owner) = match lease.standing {
        LeaseStanding::Expiring { at, owner } => (at, Some(owner)),
        _ => (fleet.since(lease.seen), None),
    };
    // Before it counts: whoever takes it in place of that worker does so by the loads without it.
    let order = loads.order(&row.key, lease.load, owner);
    // One whose owner will most likely renew it still counts for that one.
    if lease.counted_by.is_none() {
        loads.add(place, lease.load);
    }
    let key = row.key.clone();
    if fleet.my_place == Some(place) {
        return Some(Take { key, at, rank: 0 });
    }
    let rank = order?.my_rank?;
    Some(Take {
        key,
        at: at + LEFT_TO_ASSIGNEE + delay(rank),
        // Behind the worker that it is assigned to.
        rank: rank + 1,
    })
}

/// The leases of this worker whose assignment it has to end.
pub(super) fn outlived(leases: &[PlannedLease<'_>], fleet: &Fleet<'_>) -> Vec<LeaseKey> {
    let is_over = |lease: &&PlannedLease<'_>| {
        let row = lease.seen.row;
        let is_mine = lease.standing == LeaseStanding::Mine
            && lease.is_held_for_itself()
            && row.token.is_some()
            && fleet.me.tokens.is_ours(row);
        if row.assigned_to.is_none() || !is_mine {
            return false;
        }
        if fleet.is_assigned_to_me(row) {
            !lease.seen.has_arrived_within(RESTS, fleet.now)
        } else {
            let lasts = if fleet.assignee(row).is_some() {
                LASTS
            } else {
                RESTS
            };
            lease.seen.is_assigned_for(lasts, fleet.now)
        }
    };
    leases
        .iter()
        .filter(is_over)
        .map(|lease| lease.seen.row.key.clone())
        .collect()
}
