//! How a fleet evens what its workers carry: every worker computes the moves of all workers and makes
//! its own, as with the balance by count.
//!
//! ```text
//!   carried     a 9 (4 3 1 1)   b 4   c 2      relief: a -> c the 3, the greatest that does not
//!   counts      a 4   b 1   c 1                        leave c with more than a; then a 6, c 5
//!   idle        a 3   b 0   c 0                spread: what is idle, by the number of all leases
//! ```
//!
//! When a lease may move, and why the moves end, is in [`load`](super::load).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::LeaseKey;

use super::donors::Donors;
use super::fleet::Fleet;
use super::load::{LIGHT, RESTS, Share};
use super::loads::{Loads, whole};
use super::moves::SCANS_OF_CALM;
use super::plan::Ask;
use super::planned_lease::PlannedLease;

/// What is to be done about the loads.
#[derive(Debug, Default)]
pub(super) struct Relief {
    /// The requests of this worker.
    pub(super) moves: Vec<Ask>,
    /// A worker should be relieved of a lease that this one could take, but the plan means it for
    /// others.
    pub(super) uneven: bool,
}

/// Computes the moves of the whole fleet and returns the first `most` of this worker's own; `None` if
/// it balances by count, or carries nothing that is known.
pub(super) fn relief(
    leases: &[PlannedLease<'_>],
    loads: &Loads<'_>,
    fleet: &Fleet<'_>,
    most: usize,
) -> Option<Relief> {
    let shares = loads.shares()?;
    let me = fleet.my_place?;
    if shares.iter().all(|share| share.load == 0) {
        return None;
    }
    if most == 0 || !may_receive(&shares, me) {
        return Some(Relief::default());
    }
    let ours = |place: &usize| *place == me || fleet.is_ours(&fleet.live[*place]);
    let all: Vec<usize> = (0..shares.len()).filter(ours).collect();
    let is_calm = fleet.members.calm(fleet.now) >= fleet.timing.look * SCANS_OF_CALM;
    let mut evening = Evening::new(leases, shares.clone(), fleet, most);
    evening.relieve(all.clone());
    if evening.moves.len() < most {
        let receivers = if is_calm { vec![me] } else { all };
        evening.spread(receivers);
    }
    let mut relief = Relief {
        moves: evening.moves,
        uneven: false,
    };
    if relief.moves.is_empty() {
        // Whether others may be waited for: if they do not ask for what is meant for them, leases
        // would stay with workers that carry too much. Then one lease at a time, as others may come to
        // the same conclusion.
        let mut alone = Evening::new(leases, shares, fleet, 1);
        alone.relieve(vec![me]);
        relief.uneven = !alone.moves.is_empty();
        let is_long = fleet
            .me
            .uneven_since
            .is_some_and(|since| fleet.now.since(since) >= fleet.timing.look * SCANS_OF_CALM);
        if is_calm && is_long {
            relief.moves = alone.moves;
        }
    }
    Some(relief)
}

/// Whether any worker has enough to give this one anything, as nearly always none has.
fn may_receive(shares: &[Share], me: usize) -> bool {
    let me = &shares[me];
    shares
        .iter()
        .any(|from| from.is_unlike(me) || from.has() >= me.count + 2)
}

/// The moves of a fleet in the making.
struct Evening<'a> {
    fleet: &'a Fleet<'a>,
    me: usize,
    /// How many requests this worker may make.
    most: usize,
    donors: Donors<'a>,
    /// By place, the leases that can be requested, by what they carry: the least first.
    kinds: Vec<Vec<LeaseKind>>,
    /// What the workers have now, and what they have when all moves so far are made.
    before: Vec<Share>,
    shares: Vec<Share>,
    moves: Vec<Ask>,
}

/// Leases of one worker that carry about the same.
#[derive(Clone, Copy, Debug)]
struct LeaseKind {
    /// Where [`Donors`] keeps them.
    pool: usize,
    /// What the greatest of them carries.
    load: u64,
    /// Whether they have not changed hands of late.
    rested: bool,
    /// How many are left.
    left: usize,
}

impl<'a> Evening<'a> {
    fn new(
        leases: &[PlannedLease<'a>],
        shares: Vec<Share>,
        fleet: &'a Fleet<'a>,
        most: usize,
    ) -> Self {
        let mut kinds: BTreeMap<(usize, u64, bool), LeaseKind> = BTreeMap::new();
        let pool_of = |place: usize, lease: &PlannedLease<'_>| {
            let rested = !lease.seen.has_moved_within(RESTS, fleet.now);
            let pool = kinds.len();
            let kind = kinds
                .entry((place, class(lease.load), rested))
                .or_insert(LeaseKind {
                    pool,
                    load: 0,
                    rested,
                    left: 0,
                });
            kind.load = kind.load.max(lease.load);
            kind.left += 1;
            kind.pool
        };
        let donors = Donors::new(leases, |_| false, fleet, pool_of);
        let mut by_place = vec![Vec::new(); shares.len()];
        for ((place, ..), kind) in kinds {
            by_place[place].push(kind);
        }
        Self {
            fleet,
            me: fleet.my_place.unwrap_or_default(),
            most,
            donors,
            kinds: by_place,
            before: shares.clone(),
            shares,
            moves: Vec::new(),
        }
    }

    /// Moves load from the worker that carries the most to the one that carries the least, until no
    /// two that were unlike can come closer, or this worker has all that it may ask for. Not only
    /// until its own part is known: what is spread next depends on all of it.
    fn relieve(&mut self, receivers: Vec<usize>) {
        let (least, greatest) = (
            |share: &Share| whole(share.relative()),
            |share: &Share| whole(share.burden()),
        );
        let mut order = MoveOrder::new(&self.shares, receivers, least, greatest);
        while self.moves.len() < self.most {
            let Some(to) = order.receiver() else { break };
            let donors = order.donors();
            let unlike = donors
                .take_while(|from| self.before[*from].burden() > LIGHT)
                .filter(|from| self.before[*from].is_unlike(&self.before[to]));
            let found = unlike
                .collect::<Vec<_>>()
                .into_iter()
                .find_map(|from| Some((from, self.relieving(from, to)?)));
            match found {
                Some((from, (key, load))) => {
                    self.move_one(from, to, key, load);
                    order.changed(&[from, to], &self.shares, least, greatest);
                }
                None => order.is_served(to),
            }
        }
    }

    /// The greatest lease of `from` that does not leave `to` with more of the two; or else the least
    /// that leaves it with a tenth less than `from` had.
    fn relieving(&mut self, from: usize, to: usize) -> Option<(&'a LeaseKey, u64)> {
        let half = self.shares[from].half_way_to(&self.shares[to]);
        let kinds = &self.kinds[from];
        let greater = kinds.partition_point(|kind| kind.load as f64 <= half);
        let order: Vec<usize> = (0..greater).rev().chain(greater..kinds.len()).collect();
        order.into_iter().find_map(|kind| {
            let LeaseKind { load, rested, .. } = self.kinds[from][kind];
            let fits = rested && self.shares[from].is_relieved_by(&self.shares[to], load);
            fits.then(|| self.pick(from, kind, to)).flatten()
        })
    }

    /// Moves leases that carry next to nothing from the worker with the most leases to the one with
    /// the fewest.
    fn spread(&mut self, receivers: Vec<usize>) {
        let (least, greatest) = (
            |share: &Share| share.count as u64,
            |share: &Share| share.has() as u64,
        );
        let mut order = MoveOrder::new(&self.shares, receivers, least, greatest);
        while self.moves.len() < self.most {
            let Some(to) = order.receiver() else { break };
            let donors = order.donors();
            let fuller =
                donors.take_while(|from| self.shares[*from].has() >= self.shares[to].count + 2);
            let found = fuller
                .collect::<Vec<_>>()
                .into_iter()
                .find_map(|from| Some((from, self.spreading(from, to)?)));
            match found {
                Some((from, (key, load))) => {
                    self.move_one(from, to, key, load);
                    order.changed(&[from, to], &self.shares, least, greatest);
                }
                None if to == self.me => break,
                None => order.is_served(to),
            }
        }
    }

    /// The lease of `from` that carries the least of those that may go to `to`.
    fn spreading(&mut self, from: usize, to: usize) -> Option<(&'a LeaseKey, u64)> {
        (0..self.kinds[from].len()).find_map(|kind| {
            let load = self.kinds[from][kind].load;
            let fits = self.shares[from].is_spread_to(&self.shares[to], load);
            fits.then(|| self.pick(from, kind, to)).flatten()
        })
    }

    fn pick(&mut self, from: usize, kind: usize, to: usize) -> Option<(&'a LeaseKey, u64)> {
        let kind = &mut self.kinds[from][kind];
        if kind.left == 0 {
            return None;
        }
        let picked = self.donors.pick(kind.pool, to)?;
        kind.left -= 1;
        Some(picked)
    }

    fn move_one(&mut self, from: usize, to: usize, key: &LeaseKey, load: u64) {
        self.shares[from].count -= 1;
        self.shares[from].load -= load;
        self.shares[to].count += 1;
        self.shares[to].load += load;
        if to == self.me {
            self.moves.push(Ask {
                key: key.clone(),
                of: self.fleet.live[from].clone(),
            });
        }
    }
}

/// What leases carry, in steps of at most a fifth: among those of one step each receiver has
/// favourites of its own, so that workers whose readings differ a little do not ask for the same.
fn class(load: u64) -> u64 {
    let bits = u64::from(u64::BITS - load.leading_zeros());
    if bits < 3 {
        load
    } else {
        bits * 4 + (load >> (bits - 3)) % 4
    }
}

/// The receivers, the least first, and the donors, the greatest first.
struct MoveOrder {
    receivers: BTreeSet<(u64, usize)>,
    donors: BTreeSet<(u64, usize)>,
    /// By place: the ranks as a receiver and as a donor.
    ranks: Vec<(u64, u64)>,
}

impl MoveOrder {
    fn new(
        shares: &[Share],
        receivers: Vec<usize>,
        least: impl Fn(&Share) -> u64,
        greatest: impl Fn(&Share) -> u64,
    ) -> Self {
        let ranks: Vec<(u64, u64)> = shares
            .iter()
            .map(|share| (least(share), greatest(share)))
            .collect();
        let rank = |place: usize| (ranks[place].0, place);
        Self {
            receivers: receivers.into_iter().map(rank).collect(),
            donors: ranks.iter().map(|(_, rank)| *rank).zip(0..).collect(),
            ranks,
        }
    }

    fn receiver(&self) -> Option<usize> {
        self.receivers.first().map(|(_, place)| *place)
    }

    fn donors(&self) -> impl Iterator<Item = usize> {
        self.donors.iter().rev().map(|(_, place)| *place)
    }

    /// No worker has anything for it.
    fn is_served(&mut self, place: usize) {
        self.receivers.remove(&(self.ranks[place].0, place));
    }

    fn changed(
        &mut self,
        places: &[usize],
        shares: &[Share],
        least: impl Fn(&Share) -> u64,
        greatest: impl Fn(&Share) -> u64,
    ) {
        for place in places.iter().copied() {
            let now = (least(&shares[place]), greatest(&shares[place]));
            let before = std::mem::replace(&mut self.ranks[place], now);
            self.donors.remove(&(before.1, place));
            self.donors.insert((now.1, place));
            if self.receivers.remove(&(before.0, place)) {
                self.receivers.insert((now.0, place));
            }
        }
    }
}
