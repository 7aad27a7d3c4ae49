//! Which lease a worker requests, once it is known from whom.
//!
//! Workers plan at the same time and from the same rows. If all of them asked for the first lease
//! of the fullest worker, all but one would be refused, and each refusal costs a write and a scan.
//! So each pair of worker and lease has a score ([`rendezvous`](crate::decide::rendezvous)), and a
//! worker asks for the leases with its highest scores: others have other favourites, without a word
//! between them.

use std::collections::BTreeMap;

use crate::decide::fleet::LeaseEntry;
use crate::decide::rendezvous::LeaseScores;
use crate::model::{LeaseKey, WorkerId};

use super::fleet::Fleet;
use super::planned_lease::PlannedLease;

/// How many leases are looked up for a worker at a time: more than it requests as a rule, because
/// other workers may choose some of them first. It bounds the memory of a plan: a worker with ten
/// thousand leases has that many candidates for each receiver.
const AT_A_TIME: usize = 16;

/// The leases that can be requested, by owner.
#[derive(Debug)]
pub(super) struct Donors<'a> {
    /// Borrowed for the names of workers, which the scores are made of.
    fleet: &'a Fleet<'a>,
    /// By the places of the owners. A place is the index in [`Fleet::live`]. KCL workers that do
    /// not answer requests have none.
    leases: Vec<Vec<MovableLease<'a>>>,
    /// Which of the leases of a donor a worker requests next, the last first.
    ///
    /// By donor and receiver. It is filled when it is first needed, and again when all of its
    /// leases were taken by others.
    favourites: BTreeMap<(usize, usize), Vec<usize>>,
}

/// A lease that may change hands, once in a plan.
#[derive(Debug)]
struct MovableLease<'a> {
    /// What is requested.
    key: &'a LeaseKey,
    /// Whether this worker leaves it alone for now. What other workers leave alone is not known
    /// here.
    own: &'a LeaseEntry,
    /// Prepared once for the lease, because it is compared for many workers.
    scores: LeaseScores,
    /// Another move of this plan has it already: a lease moves at most once.
    is_taken: bool,
}

impl<'a> Donors<'a> {
    /// The leases that can be requested: each is held by a worker that knows requests, and has no
    /// request pending. Of the KCL workers only these `give`. A lease without a token is not
    /// requested from a worker of this framework: it was handed over and not claimed yet, or a KCL
    /// worker has taken it.
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
    /// workers would choose. `from` and `to` are places. `None` if the donor has nothing left that
    /// this worker may ask for.
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

/// The leases that a worker requests first, the first of them last. Scores are 64-bit hashes, so
/// ties are as good as impossible; the key decides them, so that all workers agree.
///
/// Leases that this worker has been refused, or is busy with, are skipped only in its own part of
/// the plan. For other workers it assumes that they ask.
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
