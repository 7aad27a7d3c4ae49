//! The plan of one worker, made anew after every scan, hint and answer.
//!
//! ```text
//!   rows, Members, Me
//!     -> PlannedLease of each    what the row means, and for whom it counts
//!     -> claim, give back        what was handed over to this worker
//!     -> take                    free leases: first the ones meant for it, then by rank
//!     -> withdraw                requests that are late or too many
//!     -> request, steal          from workers with at least two leases more
//!     -> reap                    rows of dead workers
//! ```
//!
//! The order is that of certainty: a lease that is handed over or free is better than one that has
//! to be asked for, and room is given out in that order. Nothing in a plan has to happen. Each
//! write has its own condition, and a plan from old rows costs only refused writes.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::{Members, SeenLease, is_moved_by_another};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::assigned::{assigned_to_me, outlived, take_assigned};
use super::fleet::Fleet;
use super::load::set_loads;
use super::loads::{Loads, unfinished};
use super::me::Me;
use super::moves::my_moves;
use super::planned_lease::PlannedLease;
use super::relief::relief;
use super::standing::LeaseStanding;
use super::steal::{ANSWER_LIMIT, steal};

/// How much later each worker takes a lease that the plan gave to the worker ranked before it. That
/// is longer than a write usually takes, so that the worker before has taken the lease, or will
/// not.
const RANK_STEP: Duration = Duration::from_millis(100);
/// How much later, besides, a lease whose holder has to be killed first: in a quiet fleet one worker
/// watches the holder, and the others hear of the kill by the change signal. It comes within 0.2 s, is
/// read within 0.8 s in DynamoDB, and then the table is scanned.
const HEARING: Duration = Duration::from_millis(1_500);
/// How long a request waits for the owner: the default drain limit (10 s), plus half of that for
/// the owner to see the request and answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// How many requests a worker has open at the same time together with KCL workers: a KCL worker
/// that does not answer requests counts the requested lease as the requester's, and takes others in
/// its place. With one at a time, it takes at most one.
const MIXED_MOVES: usize = 1;
/// How many scans other workers have to take a lease for which this worker has no room. Before
/// that, a lease that nobody has taken yet is usual, and a report of it would be noise.
const SCANS_FOR_OTHERS: u32 = 2;

/// What to do about the leases of the table.
///
/// A plan is valid only until the next one: what it schedules for later is dropped when there is a
/// new plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Leases to take, the earliest first. Never more than there is room for.
    pub take: Vec<Take>,
    /// Leases that were handed over to this worker, to be claimed. Nobody reads them until then, so
    /// they come before everything else.
    pub claim: Vec<LeaseKey>,
    /// Leases that were handed over to this worker although it has no room, and paused leases of
    /// workers that do not drain them: to be released immediately. Without that, they would have to expire.
    pub give_back: Vec<LeaseKey>,
    /// Leases to request. None in a plan after a failed or late scan: a worker that has not seen
    /// the others for a while does not move their leases.
    pub request: Vec<Ask>,
    /// Requests of this worker to withdraw. An owner that has drained a lease for a request which
    /// is no longer wanted would hand it over for nothing.
    pub withdraw: Vec<Ask>,
    /// A lease to take from a live KCL worker that does not answer requests, as KCL workers
    /// themselves do. At most one per twice the failover time.
    pub steal: Option<Ask>,
    /// Dead workers that no lease names: their rows are deleted if they are still as they were
    /// seen.
    pub reap: Vec<WorkerId>,
    /// Leases of this worker that an operator has assigned and that need it no longer: this worker
    /// has had one for a while, or the worker that one was to go to is long gone.
    pub unassign: Vec<LeaseKey>,
    /// Free leases that this worker has no room for, and that no other worker takes either. They
    /// are reported ([`Event::LeasesLeftUnread`](crate::worker::Event::LeasesLeftUnread)): the
    /// fleet is too small.
    pub left: Vec<LeaseKey>,
    /// A worker carries too much, and the plan means what it should give for others than this one. If
    /// they do not ask for it for two scans, because they have no room, this one does.
    pub uneven: bool,
}

impl Plan {
    /// Whether nothing is to be done, and nothing is waited for.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.take.is_empty()
            && self.claim.is_empty()
            && self.give_back.is_empty()
            && self.request.is_empty()
            && self.withdraw.is_empty()
            && self.steal.is_none()
            && self.reap.is_empty()
            && self.unassign.is_empty()
            && self.left.is_empty()
            && !self.uneven
    }
}

/// A lease to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The lease.
    pub key: LeaseKey,
    /// The earliest moment to take it. Counted from when the lease was seen to be free or expires, not
    /// from this plan, so that a worker that plans often does not wait longer.
    pub at: Moment,
    /// How many workers come before this one. If there are any, this worker reads the row before it
    /// takes the lease. 0 for a lease that is meant for this worker.
    pub rank: usize,
}

/// A request for a lease, to be sent or already sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The lease.
    pub key: LeaseKey,
    /// Its owner.
    pub of: WorkerId,
}

/// Makes the plan from what is known at `now`. It is a pure function: the same view and moment give
/// the same plan, in any worker and in a test.
#[must_use]
pub fn plan(me: &Me<'_>, members: &Members, now: Moment, timing: &Timing) -> Plan {
    let fleet = Fleet::new(me, members, now, timing);
    let mut leases: Vec<_> = me
        .leases
        .known()
        .map(|(row, own)| PlannedLease::of(members.lease(row), own, &fleet))
        .collect();
    set_loads(&mut leases, &fleet);
    let mut loads = Loads::new(&leases, &fleet);
    let mut plan = Plan::default();
    let gives_nothing_back = me.leaving || me.passive;
    let takes_nothing = gives_nothing_back || fleet.is_drained;
    let mut room = if takes_nothing { 0 } else { me.room };

    for lease in leases
        .iter()
        .filter(|lease| lease.standing == LeaseStanding::Passed)
    {
        let list = if room > 0 {
            &mut plan.claim
        } else {
            &mut plan.give_back
        };
        list.push(lease.seen.row.key.clone());
        room = room.saturating_sub(1);
    }
    if !gives_nothing_back {
        let idle = leases
            .iter()
            .filter(|lease| matches!(lease.standing, LeaseStanding::PausedOf { at } if at <= now));
        let abandoned = leases
            .iter()
            .filter(|lease| lease.standing == LeaseStanding::Abandoned);
        plan.give_back.extend(
            idle.chain(abandoned)
                .map(|lease| lease.seen.row.key.clone()),
        );
    }
    let wanted = takes(&leases, &mut loads, &fleet);
    let (taken, left) = wanted.split_at(wanted.len().min(room));
    if !takes_nothing {
        plan.left = left
            .iter()
            .filter(|take| is_left(take, members.age(&take.key, now), &fleet))
            .map(|take| take.key.clone())
            .collect();
        plan.left.sort();
    }
    if !gives_nothing_back {
        // What this worker has abandoned and has no room for: nobody else can take it, because the
        // heartbeats of this worker hold it.
        let row = |take: &Take| me.leases.row(&take.key);
        let is_abandoned = |take: &&Take| row(take).is_some_and(|row| me.tokens.is_abandoned(row));
        let unused = left.iter().filter(is_abandoned);
        plan.give_back.extend(unused.map(|take| take.key.clone()));
    }
    if !takes_nothing {
        plan.take = taken.to_vec();
        plan.take.sort_by_key(|take| take.at);
    }
    room = room.saturating_sub(taken.iter().filter(|take| take.rank == 0).count());

    let open: Vec<_> = leases
        .iter()
        .filter(|lease| is_request_of(lease.seen.row, me.id) && !lease.standing.is_free(now))
        .collect();
    let seen: BTreeSet<_> = open.iter().map(|lease| &lease.seen.row.key).collect();
    let landing = me
        .leases
        .requests()
        .filter(|(key, _)| !seen.contains(key))
        .count();
    plan.withdraw = withdrawals(&open, &loads, &fleet, room.saturating_sub(landing));
    if !takes_nothing && members.is_watching(now, timing) {
        let open_now = open.len() + landing - plan.withdraw.len();
        let max_moves = if fleet.is_mixed() {
            me.max_moves.min(MIXED_MOVES)
        } else {
            me.max_moves
        };
        let most = max_moves
            .saturating_sub(open_now)
            .min(room.saturating_sub(open_now));
        // What an operator wants comes first, and counts as done for what the balance wants.
        let assigned = assigned_to_me(&leases, &fleet, most);
        for (ask, load) in &assigned {
            loads.move_one(&ask.of, me.id, *load);
        }
        let most = most - assigned.len();
        // A worker takes nothing from a live worker if it gets leases otherwise.
        let is_served = !(plan.claim.is_empty() && plan.take.is_empty());
        let unfinished = unfinished(&leases, &fleet);
        plan.steal = steal(&leases, &open, &unfinished, &loads, &fleet, room, is_served);
        match relief(&leases, &loads, &fleet, most) {
            Some(relief) => (plan.request, plan.uneven) = (relief.moves, relief.uneven),
            None => plan.request = my_moves(&leases, &unfinished, &loads, &fleet, most),
        }
        let assigned = assigned.into_iter().map(|(ask, _)| ask);
        plan.request.splice(0..0, assigned);
    }
    if !takes_nothing {
        plan.reap = dead(&fleet);
    }
    if members.is_watching(now, timing) {
        plan.unassign = outlived(&leases, &fleet);
    }
    plan
}

/// How many leases a worker that creates the first leases of a stream owns from the start: its
/// share of the missing ones. The rest are created without an owner, for the others. All workers of
/// a new application start at about the same time. With leases created as owned, each begins to
/// read without a round of takes.
#[must_use]
pub fn share(missing: usize, live: usize) -> usize {
    missing.div_ceil(live.max(1))
}

/// Whether another live process uses this worker's name: the row names it for a tenancy that this
/// process did not begin, and its counter was seen to increase at least twice. It may increase once
/// by a late write of a previous process. The worker then ends with
/// [`RunError::DuplicateWorkerId`](crate::worker::RunError::DuplicateWorkerId), because two
/// processes with one id would take each other's leases for their own.
#[must_use]
pub fn is_duplicated(lease: SeenLease<'_>, me: &Me<'_>) -> bool {
    let row = lease.row;
    let foreign =
        row.actual_owner() == Some(me.id) && row.token.is_some() && !me.tokens.is_ours(row);
    foreign && is_moved_by_another(lease.moves())
}

/// Whether the row shows a request of this worker that its owner has not answered.
fn is_request_of(row: &Lease, me: &WorkerId) -> bool {
    row.owner.as_ref() == Some(me)
        && row
            .checkpoint_owner
            .as_ref()
            .is_some_and(|holder| holder != me)
}

/// Whether a lease that this worker has no room for stays unread: it is free, and no other worker
/// has taken it. A lone worker has nobody to wait for.
fn is_left(take: &Take, age: Option<Duration>, fleet: &Fleet<'_>) -> bool {
    let alone = || fleet.live.len() == 1;
    let for_long = || age.is_some_and(|age| age >= fleet.timing.look * SCANS_FOR_OTHERS);
    take.at <= fleet.now + delay(take.rank) && (alone() || for_long())
}

/// How long a worker of this rank waits.
pub(super) fn delay(rank: usize) -> Duration {
    RANK_STEP * u32::try_from(rank).unwrap_or(u32::MAX)
}

/// The leases that this worker may take, those that are meant for it first. Free leases are given
/// to the workers with the fewest leases, and count as theirs from then on. In two rounds. Leases
/// that are surely free come first and change the loads. Then those of dead workers are counted for
/// whoever will take them, and only then doubtful ones are given out, from a copy of the loads:
/// they will most likely be renewed, and must not keep a worker from asking for others.
fn takes(leases: &[PlannedLease<'_>], loads: &mut Loads<'_>, fleet: &Fleet<'_>) -> Vec<Take> {
    let (mut mine, mut takes) = (Vec::new(), Vec::new());
    // Leases that are free or belong to a dead worker; and leases about to expire whose owner is
    // alive by other signs and will most likely renew them in time.
    let (mut free, mut doubtful) = (Vec::new(), Vec::new());
    let mut assigned = Vec::new();
    for lease in leases {
        let key = &lease.seen.row.key;
        match lease.standing {
            LeaseStanding::Adopted { at } | LeaseStanding::Unclaimed { at }
                if at <= fleet.horizon() =>
            {
                mine.push(Take {
                    key: key.clone(),
                    at,
                    rank: 0,
                });
            }
            LeaseStanding::Free | LeaseStanding::Expiring { .. }
                if fleet.is_busy(key, lease.own) => {}
            LeaseStanding::Free | LeaseStanding::Expiring { .. }
                if fleet.awaits_assignee(lease.seen.row) =>
            {
                assigned.push(lease);
            }
            LeaseStanding::Free => free.push(Vacant {
                at: fleet.since(lease.seen),
                key,
                load: lease.load,
                owner: None,
                is_killed: false,
            }),
            LeaseStanding::Expiring { at, owner } => {
                let pool = if lease.counted_by.is_some() {
                    &mut doubtful
                } else {
                    &mut free
                };
                pool.push(Vacant {
                    at,
                    key,
                    load: lease.load,
                    owner: Some(owner),
                    is_killed: lease.seen.is_freed_by_a_kill(fleet.members),
                });
            }
            _ => {}
        }
    }
    for lease in assigned {
        let list = if fleet.is_assigned_to_me(lease.seen.row) {
            &mut mine
        } else {
            &mut takes
        };
        list.extend(take_assigned(lease, loads, fleet));
    }
    free.sort_unstable();
    doubtful.sort_unstable();
    takes.extend(distribute(free, loads));
    loads.place_orphans(leases);
    takes.extend(distribute(doubtful, &mut loads.clone()));
    takes.sort_by(|one, other| {
        (one.rank, one.at, &one.key).cmp(&(other.rank, other.at, &other.key))
    });
    mine.append(&mut takes);
    mine
}

/// Gives each lease to the worker with the fewest leases, except its former owner. Returns which of
/// them this worker takes, and when. The earliest first, so that the leases which have waited
/// longest go to the emptiest workers.
fn distribute(pool: Vec<Vacant<'_>>, loads: &mut Loads<'_>) -> Vec<Take> {
    let mut takes = Vec::new();
    for vacant in pool {
        let Vacant { at, key, load, .. } = vacant;
        let Some(order) = loads.order(key, load, vacant.owner) else {
            continue;
        };
        loads.add(order.first, load);
        if let Some(rank) = order.my_rank {
            let hears = if rank > 0 && vacant.is_killed {
                HEARING
            } else {
                Duration::ZERO
            };
            takes.push(Take {
                key: key.clone(),
                at: at + hears + delay(rank),
                rank,
            });
        }
    }
    takes
}

/// A lease that nobody holds, or soon nobody. In the order in which they are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Vacant<'a> {
    /// From when on it may be taken.
    at: Moment,
    key: &'a LeaseKey,
    /// What it carries.
    load: u64,
    /// Who held it last.
    owner: Option<&'a WorkerId>,
    /// Its holder is killed first, or was.
    is_killed: bool,
}

/// The `open` requests of this worker to withdraw: for example, more than there is `room` for. A
/// request is withdrawn if this worker stops, is drained or no longer assigns anything, if its owner
/// has not answered in time, or if this worker has meanwhile got leases from elsewhere. A dead owner's
/// lease expires, and is taken then.
fn withdrawals(
    open: &[&PlannedLease<'_>],
    loads: &Loads<'_>,
    fleet: &Fleet<'_>,
    room: usize,
) -> Vec<Ask> {
    let me = fleet.me;
    let mut loads = loads.clone();
    let mut withdraw = Vec::new();
    let mut requests: Vec<_> = open
        .iter()
        .filter_map(|lease| Some((*lease, lease.seen.row.checkpoint_owner.as_ref()?)))
        .collect();
    // The latest request is withdrawn first; before those, requests that this process does not know
    // of.
    requests.sort_by_key(|(lease, _)| {
        Reverse(
            lease
                .own
                .request()
                .map_or_else(|| fleet.horizon(), |asked| asked.since),
        )
    });
    for (lease, of) in requests {
        let row = lease.seen.row;
        // One that is drained frees its leases anyway.
        let alive = fleet.members.is_alive(of, fleet.now, fleet.timing) && !fleet.drains(of);
        let asked = lease.own.request().filter(|asked| asked.of == *of);
        let limit = if fleet.may_be_mixed() {
            ANSWER_LIMIT
        } else {
            REQUEST_LIMIT
        };
        let late = asked.is_none_or(|asked| fleet.now.since(asked.since) > limit);
        // The operator wants it, whatever the balance says.
        let is_uneven = !fleet.is_assigned_to_me(row) && loads.gives(me.id, of, lease.load);
        let too_many = is_uneven || open.len() - withdraw.len() > room;
        // A lease of a dead owner is taken when it expires. A row without a token belongs to a KCL
        // worker, which does not expect a withdrawal and would drop the lease anyway.
        let ours = lease.is_held_by_ours() && !fleet.foreign.contains(of);
        if ours && (me.leaving || me.passive || fleet.is_drained || (alive && (late || too_many))) {
            withdraw.push(Ask {
                key: row.key.clone(),
                of: of.clone(),
            });
            loads.move_one(me.id, of, lease.load);
        }
    }
    withdraw
}

/// The workers whose rows this worker has to delete: they are silent, and no lease names them. The
/// leases of a dead worker are taken first, and its row is deleted when none of them names it any
/// more.
fn dead(fleet: &Fleet<'_>) -> Vec<WorkerId> {
    let mut dead: Vec<_> = fleet
        .members
        .rows()
        .map(|row| &row.worker)
        .filter(|worker| {
            *worker != fleet.me.id && fleet.members.is_silent(worker, fleet.now, fleet.timing)
        })
        .collect();
    if dead.is_empty() {
        return Vec::new();
    }
    let named: BTreeSet<_> = fleet
        .me
        .leases
        .rows()
        .flat_map(|row| row.owner.iter().chain(&row.checkpoint_owner))
        .collect();
    dead.retain(|worker| !named.contains(worker) && fleet.is_mine_to_reap(worker));
    dead.into_iter().cloned().collect()
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;
