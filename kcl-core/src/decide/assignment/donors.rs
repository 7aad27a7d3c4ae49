use std::collections::BTreeMap;

use crate::decide::fleet::LeaseEntry;
use crate::decide::rendezvous::LeaseScores;
use crate::model::{LeaseKey, WorkerId};

use super::fleet::Fleet;
use super::planned_lease::PlannedLease;

/// How many leases are looked up for a worker at a time: more than it requests as a rule, because
/// other workers may choose some of them first.
const AT_A_TIME: usize = 16;

/// The leases that can be requested, by owner.
#[derive(Debug)]
pub(super) struct Donors<'a> {
    fleet: &'a Fleet<'a>,
    /// By the places of the owners.
    leases: Vec<Vec<MovableLease<'a>>>,
    /// Which of the leases of a donor a worker requests next, the last first.
    favourites: BTreeMap<(usize, usize), Vec<usize>>,
}

#[derive(Debug)]
struct MovableLease<'a> {
    key: &'a LeaseKey,
    own: &'a LeaseEntry,
    scores: LeaseScores,
    is_taken: bool,
}

impl<'a> Donors<'a> {
    /// The leases that can be requested: each is held by a worker that knows requests, and has no
    /// request pending. Of the KCL workers only these `give`.
    pub(super) fn new(
        leases: &[PlannedLease<'a>],
        gives: impl Fn(&WorkerId) -> bool,
        fleet: &'a Fleet<'a>,
    ) -> Self {
        let knows: Vec<Option<bool>> = fleet
            .live
            .iter()
            .map(|worker| {
                // Other workers, such as those of a KCL version without requests, get none.
                if fleet.foreign.contains(worker) {
                    (gives(worker) && fleet.members.is_answering(worker)).then_some(false)
                } else {
                    fleet.is_ours(worker).then_some(true)
                }
            })
            .collect();
        let mut by_owner: Vec<Vec<MovableLease<'a>>> = Vec::new();
        by_owner.resize_with(fleet.live.len(), Vec::new);
        for lease in leases.iter().filter(|lease| lease.is_held_for_itself()) {
            let row = lease.seen.row;
            let Some(place) = lease
                .counted_by
                .filter(|place| Some(&fleet.live[*place]) == row.owner.as_ref())
            else {
                continue;
            };
            let askable = match knows[place] {
                Some(is_ours) => {
                    !is_ours || (row.token.is_some() && !lease.seen.is_held_by_foreign())
                }
                None => false,
            };
            if askable {
                by_owner[place].push(MovableLease {
                    key: &row.key,
                    own: lease.own,
                    scores: LeaseScores::new(&row.key),
                    is_taken: false,
                });
            }
        }
        Self {
            fleet,
            leases: by_owner,
            favourites: BTreeMap::new(),
        }
    }

    /// Removes and returns the lease of a donor that a worker requests: a different one than other
    /// workers would choose.
    pub(super) fn pick(&mut self, from: usize, to: usize) -> Option<&'a LeaseKey> {
        let favourites = self.favourites.entry((from, to)).or_default();
        let leases = &mut self.leases[from];
        while let Some(next) = favourites.pop() {
            if !std::mem::replace(&mut leases[next].is_taken, true) {
                return Some(leases[next].key);
            }
        }
        *favourites = seek(leases, to, self.fleet);
        let next = favourites.pop()?;
        leases[next].is_taken = true;
        Some(leases[next].key)
    }
}

/// The leases that a worker requests first, the first of them last.
fn seek(leases: &[MovableLease<'_>], to: usize, fleet: &Fleet<'_>) -> Vec<usize> {
    let id = &fleet.live[to];
    let is_me = fleet.my_place == Some(to);
    let mut best: Vec<(u64, &LeaseKey, usize)> = Vec::with_capacity(AT_A_TIME + 1);
    for (place, lease) in leases.iter().enumerate() {
        if lease.is_taken {
            continue;
        }
        let next = (lease.scores.of(id), lease.key, place);
        if best.len() == AT_A_TIME && best.first().is_some_and(|least| next < *least) {
            continue;
        }
        if is_me && (lease.own.is_refused(fleet.now) || fleet.is_busy(lease.key, lease.own)) {
            continue;
        }
        best.insert(best.partition_point(|other| *other < next), next);
        if best.len() > AT_A_TIME {
            best.remove(0);
        }
    }
    best.into_iter().map(|(_, _, place)| place).collect()
}
