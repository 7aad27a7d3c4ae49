use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::decide::rendezvous::{lease_score, score};
use crate::model::{Lease, WorkerId};

use super::fleet::Fleet;
use super::loads::Loads;
use super::plan::Ask;
use super::standing::LeaseStanding;

/// How many looks of calm show that nobody is about to ask for what is meant for it.
const LOOKS_OF_CALM: u32 = 2;

/// What can be asked of whom.
type Movable<'a> = BTreeMap<&'a WorkerId, Vec<&'a Lease>>;

/// The moves of the whole fleet, from the fullest worker to the emptiest until they differ by one
/// at most; of these my own, and of my own the first few.
///
/// Where others do not ask for what is meant for them, leases would stay where they are too many.
/// So once nothing has changed for two scans, I ask as if I were the only one who does.
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
            // Nobody has anything for it: the loads of the others only come closer to its own.
            None => drop(receivers.remove(to)),
        }
    }
    moves
}

/// Takes the lease out that `to` asks for: another one than others would.
fn pick<'a>(leases: &mut Vec<&'a Lease>, to: &WorkerId, fleet: &Fleet<'_>) -> Option<&'a Lease> {
    let (me, engaged) = (fleet.me.id, fleet.me.engaged);
    let may =
        |lease: &Lease| to != me || (engaged.may_ask(&lease.key) && !engaged.is_busy(&lease.key));
    let askable = leases.iter().enumerate().filter(|(_, lease)| may(lease));
    let (place, _) = askable.max_by_key(|(_, lease)| (lease_score(&lease.key, to), &lease.key))?;
    Some(leases.swap_remove(place))
}

/// Whether a worker of a KCL has enough to give me one of its leases: at least two more than I,
/// also of those that are still read. By the count of the KCL alone one with many finished leases
/// would be left with nothing to read.
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

/// The leases that their owners can be asked for: held by a worker that knows what a request is,
/// and with nothing pending.
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
        // Others, as those of a KCL that does not know requests, are not asked.
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
