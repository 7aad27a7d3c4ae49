//! How a fleet balances itself: every worker computes the moves of all workers and makes its own.
//!
//! ```text
//!   loads       a 9   b 4   c 2          a -> c, a -> c, a -> b, a -> c: then each has 5
//!   c requests three leases from a, b requests one from a, and a requests none
//! ```
//!
//! A move goes from the fullest to the emptiest worker, and only if they differ by two or more.
//! Each move reduces the sum of the squares of the counts, so moves end, even if workers plan from
//! rows of different age.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::decide::rendezvous::score;
use crate::model::WorkerId;

use super::donors::Donors;
use super::fleet::Fleet;
use super::loads::Loads;
use super::plan::Ask;
use super::planned_lease::PlannedLease;

/// How many scans without a change show that no worker is about to request what is meant for it.
/// Two, because one scan may fall between a plan and its first write.
pub(super) const SCANS_OF_CALM: u32 = 2;

/// Computes the moves of the whole fleet, from the worker with the most leases to the one with the
/// fewest until they differ by at most one, and returns the first `most` of this worker's own.
///
/// If others do not request what is meant for them, leases would stay with workers that have too
/// many. So once nothing has changed for two scans, this worker plans as if it were the only one
/// that makes requests. `most` is how many requests this worker may still open. Planning ends as
/// soon as its own part is known, so a worker that has enough pays next to nothing.
///
/// Receivers are only workers of this framework: what a KCL worker takes is its own decision.
pub(super) fn my_moves(
    leases: &[PlannedLease<'_>],
    unfinished: &[usize],
    loads: &Loads<'_>,
    fleet: &Fleet<'_>,
    most: usize,
) -> Vec<Ask> {
    let mut moves = Vec::new();
    let Some(me) = fleet.my_place else {
        return moves;
    };
    let mut levels = Levels::new(loads.by_place());
    // A worker with at least two leases more gives before this one does: if there is none now, there
    // will be none later.
    if most == 0 || !levels.has_two_more_than(me) {
        return moves;
    }
    let alone = fleet.members.calm(fleet.now) >= fleet.timing.look * SCANS_OF_CALM;
    let ours = |worker: &WorkerId| fleet.is_ours(worker) && !fleet.foreign.contains(worker);
    let mut receivers: BTreeSet<(usize, usize)> = (0..fleet.live.len())
        .filter(|place| *place == me || (!alone && ours(&fleet.live[*place])))
        .map(|place| (levels.load(place), place))
        .collect();
    let gives = |worker: &WorkerId| is_donor(worker, unfinished, loads, fleet);
    let mut donors = Donors::new(leases, gives, fleet, |place, _| place);
    let mut mine_is_open = true;
    while moves.len() < most && mine_is_open && levels.has_two_more_than(me) {
        let Some((load, to)) = receivers.first().copied() else {
            break;
        };
        match levels.find_donor(to, fleet, |from| donors.pick(from, to)) {
            Some((from, (key, _))) => {
                for (place, change) in [(from, -1), (to, 1)] {
                    let was_receiver = receivers.remove(&(levels.load(place), place));
                    levels.change(place, change);
                    if was_receiver {
                        receivers.insert((levels.load(place), place));
                    }
                }
                if to == me {
                    moves.push(Ask {
                        key: key.clone(),
                        of: fleet.live[from].clone(),
                    });
                }
            }
            // No worker has a lease for it, and the loads of the others only come closer to its
            // own.
            None => {
                receivers.remove(&(load, to));
                mine_is_open = to != me;
            }
        }
    }
    moves
}

/// The live workers by how many leases they have. To find the fullest worker and to move one lease
/// are the two steps of the loop, so both have to be cheap.
struct Levels {
    /// By place.
    loads: Vec<usize>,
    /// By load, the places of the workers that have it. No set is empty, so the last key is the
    /// greatest load.
    at: BTreeMap<usize, BTreeSet<usize>>,
}

impl Levels {
    fn new(loads: &[usize]) -> Self {
        let mut at: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (place, load) in loads.iter().enumerate() {
            at.entry(*load).or_default().insert(place);
        }
        Self {
            loads: loads.to_vec(),
            at,
        }
    }

    fn load(&self, place: usize) -> usize {
        self.loads[place]
    }

    /// Whether any move towards this worker is allowed. One lease more is no reason: it would only
    /// change which of the two has it.
    fn has_two_more_than(&self, place: usize) -> bool {
        self.at
            .last_key_value()
            .is_some_and(|(most, _)| *most >= self.loads[place] + 2)
    }

    /// The fullest worker with at least two more than `to` that has something for it. Of equally
    /// full workers, the one with the highest score for this receiver: different receivers ask
    /// different donors.
    fn find_donor<T>(
        &self,
        to: usize,
        fleet: &Fleet<'_>,
        mut pick: impl FnMut(usize) -> Option<T>,
    ) -> Option<(usize, T)> {
        for (_, places) in self.at.range(self.loads[to] + 2..).rev() {
            let mut order: Vec<_> = places
                .iter()
                .map(|from| {
                    let texts = [fleet.live[*from].as_str(), fleet.live[to].as_str()];
                    (Reverse(score(&texts)), *from)
                })
                .collect();
            order.sort_unstable();
            if let Some(found) = order
                .into_iter()
                .find_map(|(_, from)| Some((from, pick(from)?)))
            {
                return Some(found);
            }
        }
        None
    }

    /// Counts a move of the plan.
    fn change(&mut self, place: usize, by: isize) {
        let load = self.loads[place];
        if let Some(places) = self.at.get_mut(&load) {
            places.remove(&place);
            if places.is_empty() {
                self.at.remove(&load);
            }
        }
        let load = load.saturating_add_signed(by);
        self.loads[place] = load;
        self.at.entry(load).or_default().insert(place);
    }
}

/// Whether a KCL worker has enough leases to give one away: at least two more than this worker,
/// also when only unfinished leases are counted. By the KCL's count alone, a worker with many
/// finished leases would be left with nothing to read.
pub(super) fn is_donor(
    worker: &WorkerId,
    unfinished: &[usize],
    loads: &Loads<'_>,
    fleet: &Fleet<'_>,
) -> bool {
    let unfinished = |worker: &WorkerId| fleet.place(worker).map_or(0, |place| unfinished[place]);
    let me = fleet.me.id;
    loads.count(worker) >= loads.count(me) + 2 && unfinished(worker) >= unfinished(me) + 2
}
