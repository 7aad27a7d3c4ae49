//! Which lease a worker requests, once it is known from whom.
//!
//! Workers plan at the same time and from the same rows. If all of them asked for the first lease
//! of the fullest worker, all but one would be refused, and each refusal costs a write and a scan.
//! So each pair of worker and lease has a score ([`rendezvous`](crate::decide::rendezvous)), and a
//! worker asks for the leases with its highest scores: others have other favourites, without a word
//! between them.

use std::collections::BTreeMap;

use crate::decide::fleet::LeaseEntry;
use crate::decide::rendezvous::LeaseHash;
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
    /// By pool: the leases of one owner or, if the fleet balances by load, those of them that carry
    /// about the same. KCL workers that do not answer requests have none.
    donors: Vec<Donor<'a>>,
    /// Which of the leases of a donor a worker requests next, the last first.
    ///
    /// By pool and receiver. It is filled when it is first needed, and again when all of its
    /// leases were taken by others.
    favourites: BTreeMap<(usize, usize), Vec<usize>>,
    /// The scores of one worker for the leases of one donor, which the next ones overwrite.
    scores: Vec<u64>,
}

/// The leases of one pool.
#[derive(Debug, Default)]
struct Donor<'a> {
    leases: Vec<MovableLease<'a>>,
    /// By the places of its leases.
    hashes: Vec<LeaseHash>,
}

/// A lease that may change hands, once in a plan.
#[derive(Debug)]
struct MovableLease<'a> {
    /// What is requested.
    key: &'a LeaseKey,
    /// What it carries.
    load: u64,
    /// Whether this worker leaves it alone for now. What other workers leave alone is not known
    /// here.
    own: &'a LeaseEntry,
    /// Another move of this plan has it already: a lease moves at most once.
    is_taken: bool,
}

impl<'a> Donors<'a> {
    /// The leases that can be requested: each is held by a worker that knows requests, and has no
    /// request pending. Of the KCL workers only these `give`. A lease without a token is not
    /// requested from a worker of this framework, nor is one that an operator has assigned. `pool_of`
    /// says in which pool a lease of the worker at a place is: a small number.
    pub(super) fn new(
        leases: &[PlannedLease<'a>],
        gives: impl Fn(&WorkerId) -> bool,
        fleet: &'a Fleet<'a>,
        mut pool_of: impl FnMut(usize, &PlannedLease<'a>) -> usize,
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
        let mut donors: Vec<Donor<'a>> = Vec::new();
        for lease in leases.iter().filter(|lease| lease.is_held_for_itself()) {
            let row = lease.seen.row;
            if fleet.assignee(row).is_some() {
                continue;
            }
            let Some(place) = lease
                .counted_by
                .filter(|place| Some(&fleet.live[*place]) == row.owner.as_ref())
            else {
                continue;
            };
            let askable = match knows[place] {
                Some(is_ours) => !is_ours || lease.is_held_by_ours(),
                None => false,
            };
            if askable {
                let pool = pool_of(place, lease);
                if donors.len() <= pool {
                    donors.resize_with(pool + 1, Donor::default);
                }
                let donor = &mut donors[pool];
                donor.hashes.push(fleet.scored.hash(&row.key));
                donor.leases.push(MovableLease {
                    key: &row.key,
                    load: lease.load,
                    own: lease.own,
                    is_taken: false,
                });
            }
        }
        Self {
            fleet,
            donors,
            favourites: BTreeMap::new(),
            scores: Vec::new(),
        }
    }

    /// Removes and returns the lease of a pool that the worker at the place `to` requests, and what it
    /// carries: a different one than other workers would choose. `None` if the pool has nothing left
    /// that this worker may ask for.
    pub(super) fn pick(&mut self, pool: usize, to: usize) -> Option<(&'a LeaseKey, u64)> {
        let Donor { leases, hashes } = self.donors.get_mut(pool)?;
        let favourites = self.favourites.entry((pool, to)).or_default();
        while let Some(next) = favourites.pop() {
            if !std::mem::replace(&mut leases[next].is_taken, true) {
                return Some((leases[next].key, leases[next].load));
            }
        }
        let scored = &self.fleet.scored;
        scored.score_leases(to, hashes, &mut self.scores);
        *favourites = seek(leases, &self.scores, to, self.fleet);
        let next = favourites.pop()?;
        leases[next].is_taken = true;
        Some((leases[next].key, leases[next].load))
    }
}

/// The leases with the highest `scores` of a worker, which requests them first: the first of them
/// last. Scores are 64-bit hashes, so ties are as good as impossible; the key decides them, so that
/// all workers agree.
///
/// Leases that this worker has been refused, or is busy with, are skipped only in its own part of
/// the plan. For other workers it assumes that they ask.
fn seek(leases: &[MovableLease<'_>], scores: &[u64], to: usize, fleet: &Fleet<'_>) -> Vec<usize> {
    let is_me = fleet.my_place == Some(to);
    let mut best: Vec<(u64, &LeaseKey, usize)> = Vec::with_capacity(AT_A_TIME + 1);
    // The least of the best, once there are enough.
    let mut least = 0;
    for (place, (lease, score)) in leases.iter().zip(scores).enumerate() {
        if *score < least || lease.is_taken {
            continue;
        }
        let next = (*score, lease.key, place);
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
        if let [(score, ..), ..] = best[..]
            && best.len() == AT_A_TIME
        {
            least = score;
        }
    }
    best.into_iter().map(|(_, _, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::me::Me;
    use super::super::property_test::AllOwn;
    use super::*;
    use crate::decide::expiry::Timing;
    use crate::decide::fleet::LeaseEntries;
    use crate::decide::members::Members;
    use crate::decide::rendezvous::lease_score;
    use crate::lease::WorkerRow;
    use crate::model::{Checkpoint, Lease, Moment};

    const F: Duration = Duration::from_secs(10);

    proptest! {
        /// Against a reference that goes over all leases for each pick.
        #[test]
        fn a_worker_is_given_its_best_lease_that_is_left(
            owners in prop::collection::vec(0_usize..3, 1..120),
            refused in prop::collection::btree_set(0_usize..120, 0..20),
            picks in prop::collection::vec((0_usize..3, 0_usize..8), 1..80),
        ) {
            let (timing, now) = (Timing::for_failover(F), Moment::from_origin(F));
            let ids: Vec<WorkerId> = (0..8).map(|id| format!("w{id}").as_str().into()).collect();
            let rows: Vec<Lease> = owners
                .iter()
                .enumerate()
                .map(|(shard, owner)| {
                    let key = LeaseKey::single(format!("shardId-{shard:012}"));
                    let row = Lease::new(key, Checkpoint::TrimHorizon);
                    row.owned_by(ids[*owner].clone(), "t".into())
                })
                .collect();
            let workers: Vec<_> = ids
                .iter()
                .map(|id| WorkerRow::new(id.clone(), "1".into(), F))
                .collect();
            let mut members = Members::default();
            members.look(&rows, &workers, now, now, &timing);
            let mut entries = LeaseEntries::default();
            for (shard, row) in rows.iter().enumerate() {
                entries.see(row.clone(), now);
                if refused.contains(&shard) {
                    entries.refuse(&row.key, now);
                }
            }
            let me = Me {
                id: &ids[7],
                room: 100,
                max_moves: 8,
                leaving: false,
                passive: false,
                stole: None,
                capacity: None,
                uneven_since: None,
                former_left: false,
                leases: &entries,
                tokens: &AllOwn,
            };
            let fleet = Fleet::new(&me, &members, now, &timing);
            let leases: Vec<_> = entries
                .known()
                .map(|(row, own)| PlannedLease::of(members.lease(row), own, &fleet))
                .collect();
            let mut donors = Donors::new(&leases, |_| true, &fleet, |place, _| place);
            let mut left: Vec<&Lease> = rows.iter().collect();
            for (from, to) in picks {
                let expected = left
                    .iter()
                    .filter(|row| row.owner.as_ref() == Some(&ids[from]))
                    .filter(|row| to != 7 || !entries.is_refused(&row.key, now))
                    .map(|row| &row.key)
                    .max_by_key(|key| (lease_score(key, &ids[to]), *key));
                prop_assert_eq!(donors.pick(from, to).map(|(key, _)| key), expected);
                left.retain(|row| Some(&row.key) != expected);
            }
        }
    }
}
