use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::decide::rendezvous::{lease_score, score};
use crate::model::{Lease, WorkerId};

use super::fleet::Fleet;
use super::loads::Loads;
use super::plan::Ask;
use super::standing::LeaseStanding;

/// How many scans without a change show that no worker is about to request what is meant for it.
const LOOKS_OF_CALM: u32 = 2;

/// The leases that can be requested, by owner.
type Movable<'a> = BTreeMap<&'a WorkerId, Vec<&'a Lease>>;

/// Computes the moves of the whole fleet, from the worker with the most leases to the one with the
/// fewest until they differ by at most one, and returns the first `most` of this worker's own.
///
/// If others do not request what is meant for them, leases would stay with workers that have too
/// many. So once nothing has changed for two scans, this worker plans as if it were the only one
/// that makes requests.
pub(super) fn my_moves<'a>(
    rows: &[(&'a Lease, LeaseStanding<'a>)],
    loads: &mut Loads<'a>,
    fleet: &Fleet<'_>,
    most: usize,
) -> Vec<Ask> {
    let mut moves = Vec::new();
    let mut movable = movable(rows, loads, fleet);
    let alone = fleet.members.calm(fleet.now) >= fleet.timing.look * LOOKS_OF_CALM;
    let ours = |worker: &WorkerId| fleet.members.is_ours(worker) && !fleet.foreign.contains(worker);
    let asks = |worker: &WorkerId| worker == fleet.me.id || (!alone && ours(worker));
    let mut receivers: BTreeSet<_> = loads
        .iter()
        .map(|(worker, _)| worker)
        .filter(|worker| asks(worker))
        .collect();
    while moves.len() < most {
        let emptiest = loads
            .iter()
            .filter(|(worker, _)| receivers.contains(worker))
            .min_by_key(|(worker, load)| (*load, *worker));
        let Some((to, load)) = emptiest.filter(|_| receivers.contains(fleet.me.id)) else {
            break;
        };
        let donors = loads.iter().filter(|(_, other)| *other >= load + 2);
        let mut donors: Vec<_> = donors
            .map(|(from, load)| {
                (
                    Reverse(load),
                    Reverse(score(&[from.as_str(), to.as_str()])),
                    from,
                )
            })
            .collect();
        donors.sort_unstable();
        let found = donors
            .into_iter()
            .find_map(|(_, _, from)| Some((from, pick(movable.get_mut(from)?, to, fleet)?)));
        match found {
            Some((from, lease)) => {
                loads.move_one(from, to);
                if to == fleet.me.id {
                    moves.push(Ask {
                        key: lease.key.clone(),
                        of: from.clone(),
                    });
                }
            }
            // No worker has a lease for it, and the loads of the others only come closer to its
            // own.
            None => drop(receivers.remove(to)),
        }
    }
    moves
}

/// Removes and returns the lease that `to` requests: a different one than other workers would
/// choose.
fn pick<'a>(leases: &mut Vec<&'a Lease>, to: &WorkerId, fleet: &Fleet<'_>) -> Option<&'a Lease> {
    let (me, engaged) = (fleet.me.id, fleet.me.engaged);
    let may =
        |lease: &Lease| to != me || (engaged.may_ask(&lease.key) && !engaged.is_busy(&lease.key));
    let askable = leases.iter().enumerate().filter(|(_, lease)| may(lease));
    let (place, _) = askable.max_by_key(|(_, lease)| (lease_score(&lease.key, to), &lease.key))?;
    Some(leases.swap_remove(place))
}

/// Whether a KCL worker has enough leases to give one away: at least two more than this worker,
/// also when only unfinished leases are counted. By the KCL's count alone, a worker with many
/// finished leases would be left with nothing to read.
pub(super) fn is_donor(
    worker: &WorkerId,
    rows: &[(&Lease, LeaseStanding<'_>)],
    loads: &Loads<'_>,
    fleet: &Fleet<'_>,
) -> bool {
    let me = fleet.me.id;
    loads.count(worker) >= loads.count(me) + 2
        && loads.unfinished(worker, rows) >= loads.unfinished(me, rows) + 2
}

/// The leases that can be requested: each is held by a worker that knows requests, and has no
/// request pending.
fn movable<'a>(
    rows: &[(&'a Lease, LeaseStanding<'a>)],
    loads: &Loads<'a>,
    fleet: &Fleet<'_>,
) -> Movable<'a> {
    let mut movable = Movable::new();
    let gives: BTreeSet<_> = fleet
        .foreign
        .iter()
        .filter(|worker| is_donor(worker, rows, loads, fleet))
        .collect();
    for (row, standing) in rows {
        let Some(owner) = &row.owner else { continue };
        let held = matches!(standing, LeaseStanding::Held | LeaseStanding::Mine)
            && row.checkpoint_owner.is_none();
        // Other workers, such as those of a KCL version without requests, get none.
        let knows = if fleet.foreign.contains(owner) {
            gives.contains(owner) && fleet.members.is_answering(owner)
        } else {
            row.token.is_some()
                && fleet.members.is_ours(owner)
                && !fleet.members.is_held_by_foreign(row)
        };
        if held && knows && loads.owner_of(row) == Some(owner) {
            movable.entry(owner).or_default().push(row);
        }
    }
    movable
}
