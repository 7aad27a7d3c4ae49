use std::cmp::Reverse;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::lease::WorkerRow;
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::fleet::Fleet;
use super::loads::Loads;
use super::me::Me;
use super::moves::my_moves;
use super::standing::LeaseStanding;
use super::steal::{ANSWER_LIMIT, steal};

/// How much later each further worker takes what the plan gave to the one before it.
const RANK_STEP: Duration = Duration::from_millis(100);
/// How long a request waits for the owner: its limit for draining (10 s), and half of that again
/// for hearing of it and answering.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// How many requests a worker has open at the same time beside workers of a KCL: one that is deaf
/// counts what it is asked for as the asker's, and takes others in its place.
const MIXED_MOVES: usize = 1;
/// How many looks others have to come for a lease that I have no room for.
const LOOKS_FOR_OTHERS: u32 = 2;

/// The rows that a worker knows of, each as new as it knows it.
#[derive(Clone, Copy, Debug)]
pub struct KnownRows<'a> {
    /// The leases.
    pub rows: &'a [Lease],
    /// The workers.
    pub workers: &'a [WorkerRow],
}

/// What to do about the leases of the table.
///
/// It stands until the next plan and no longer: what it schedules for later is dropped when there
/// is a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// To be taken, the earliest first.
    pub take: Vec<Take>,
    /// Passed on to this worker, to be claimed.
    pub claim: Vec<LeaseKey>,
    /// Passed on to this worker, which has no room: to be taken and released at once.
    pub give_back: Vec<LeaseKey>,
    /// To be asked for.
    pub request: Vec<Ask>,
    /// Requests in this worker's name that are to be taken back.
    pub withdraw: Vec<Ask>,
    /// To be taken from a live worker of a KCL that does not answer requests, as it takes itself.
    pub steal: Option<Ask>,
    /// Workers that are dead and stand in no lease: their rows are to be deleted, as they were
    /// seen.
    pub reap: Vec<WorkerId>,
    /// Free leases that are left because this worker has no room for more, and that nobody else
    /// takes either.
    pub left: Vec<LeaseKey>,
}

/// A lease to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Which.
    pub key: LeaseKey,
    /// Not before then. It counts from when the lease was seen to be free or is due, not from this
    /// plan: who plans often does not wait longer.
    pub at: Moment,
    /// How many workers come before this one. Unless it is the first it reads the row before it
    /// takes the lease.
    pub rank: usize,
}

/// A lease that is asked for, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which.
    pub key: LeaseKey,
    /// Of whom.
    pub of: WorkerId,
}

/// Judges what is known at `now`.
#[must_use]
pub fn plan(
    view: &KnownRows<'_>,
    me: &Me<'_>,
    members: &Members,
    now: Moment,
    timing: &Timing,
) -> Plan {
    let fleet = Fleet::new(me, members, now, timing);
    let rows: Vec<_> = view
        .rows
        .iter()
        .map(|row| (row, LeaseStanding::of(row, &fleet)))
        .collect();
    let mut loads = Loads::new(&rows, &fleet);
    let mut plan = Plan::default();
    let takes_nothing = me.leaving || me.passive;
    let mut room = if takes_nothing { 0 } else { me.room };

    for (row, _) in rows
        .iter()
        .filter(|(_, standing)| *standing == LeaseStanding::Passed)
    {
        let list = if room > 0 {
            &mut plan.claim
        } else {
            &mut plan.give_back
        };
        list.push(row.key.clone());
        room = room.saturating_sub(1);
    }
    let wanted = takes(&rows, &mut loads, &fleet);
    let (taken, left) = wanted.split_at(wanted.len().min(room));
    if !takes_nothing {
        plan.left = left
            .iter()
            .filter(|take| is_left(take, &fleet))
            .map(|take| take.key.clone())
            .collect();
        plan.left.sort();
        plan.take = taken.to_vec();
        plan.take.sort_by_key(|take| take.at);
    }
    room = room.saturating_sub(taken.iter().filter(|take| take.rank == 0).count());

    let open: Vec<_> = rows
        .iter()
        .filter(|(row, standing)| is_request_of(row, me.id) && !standing.is_free(now))
        .collect();
    let landing = me
        .asked
        .keys()
        .filter(|key| !open.iter().any(|(row, _)| row.key == **key))
        .count();
    let open: Vec<_> = open.into_iter().map(|(row, _)| *row).collect();
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
        // Nobody takes from the living what it gets otherwise.
        let is_served = !(plan.claim.is_empty() && plan.take.is_empty());
        plan.steal = steal(&rows, &open, &loads, &fleet, room, is_served);
        plan.request = my_moves(&rows, &mut loads, &fleet, most);
    }
    if !takes_nothing {
        plan.reap = dead(view, &fleet);
    }
    plan
}

/// How many leases a worker owns from the start that makes the first leases of a stream: its share
/// of what is missing. The rest is made without an owner, for the others.
#[must_use]
pub fn share(missing: usize, live: usize) -> usize {
    missing.div_ceil(live.max(1))
}

/// Whether another live process works under this worker's name: a row that names it, for a tenancy
/// that this process did not begin, whose counter was seen to move at least twice. Once it may move
/// by a write of a former process that landed late.
#[must_use]
pub fn is_duplicated(row: &Lease, me: &Me<'_>, members: &Members) -> bool {
    let foreign =
        row.actual_owner() == Some(me.id) && row.token.is_some() && !me.engaged.is_mine(row);
    foreign && members.moves(&row.key) >= 2
}

fn is_request_of(row: &Lease, me: &WorkerId) -> bool {
    row.owner.as_ref() == Some(me)
        && row
            .checkpoint_owner
            .as_ref()
            .is_some_and(|holder| holder != me)
}

/// Whether a lease that I have no room for is unread for that: it is free, and nobody else has come
/// for it.
fn is_left(take: &Take, fleet: &Fleet<'_>) -> bool {
    let alone = || fleet.live.len() == 1;
    let for_long = || {
        fleet
            .members
            .age(&take.key, fleet.now)
            .is_some_and(|age| age >= fleet.timing.look * LOOKS_FOR_OTHERS)
    };
    take.at <= fleet.now + delay(take.rank) && (alone() || for_long())
}

fn delay(rank: usize) -> Duration {
    RANK_STEP * u32::try_from(rank).unwrap_or(u32::MAX)
}

/// What I may take, the most mine first. What is nobody's is given to the emptiest workers, and
/// from then on counted as theirs.
fn takes(
    rows: &[(&Lease, LeaseStanding<'_>)],
    loads: &mut Loads<'_>,
    fleet: &Fleet<'_>,
) -> Vec<Take> {
    let (mut mine, mut takes) = (Vec::new(), Vec::new());
    // Free, or a dead worker's; and what a worker has that lives elsewhere: most likely it will
    // renew it in time.
    let (mut free, mut doubtful) = (Vec::new(), Vec::new());
    for (row, standing) in rows {
        let key = &row.key;
        match *standing {
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
                if fleet.me.engaged.is_busy(key) => {}
            LeaseStanding::Free => free.push((fleet.since(row), key, None)),
            LeaseStanding::Expiring { at, owner } => {
                let pool = if loads.owner_of(row).is_some() {
                    &mut doubtful
                } else {
                    &mut free
                };
                pool.push((at, key, Some(owner)));
            }
            _ => {}
        }
    }
    free.sort_unstable();
    doubtful.sort_unstable();
    takes.extend(distribute(free, loads, fleet));
    loads.place_orphans(rows);
    takes.extend(distribute(doubtful, &mut loads.clone(), fleet));
    takes.sort_by(|one, other| {
        (one.rank, one.at, &one.key).cmp(&(other.rank, other.at, &other.key))
    });
    mine.append(&mut takes);
    mine
}

/// Gives each lease to the emptiest worker but its former owner; what this worker takes of it, and
/// when.
fn distribute(
    pool: Vec<(Moment, &LeaseKey, Option<&WorkerId>)>,
    loads: &mut Loads<'_>,
    fleet: &Fleet<'_>,
) -> Vec<Take> {
    let mut takes = Vec::new();
    for (at, key, owner) in pool {
        let order = loads.order(key, owner);
        if let Some(first) = order.first() {
            loads.add(first);
        }
        if let Some(rank) = order.iter().position(|worker| *worker == fleet.me.id) {
            takes.push(Take {
                key: key.clone(),
                at: at + delay(rank),
                rank,
            });
        }
    }
    takes
}

/// The `open` requests in my name that are to be taken back: more than there is `room` for, among
/// others.
fn withdrawals(open: &[&Lease], loads: &Loads<'_>, fleet: &Fleet<'_>, room: usize) -> Vec<Ask> {
    let me = fleet.me;
    let mut loads = loads.clone();
    let mut withdraw = Vec::new();
    let mut requests: Vec<_> = open
        .iter()
        .filter_map(|row| Some((*row, row.checkpoint_owner.as_ref()?)))
        .collect();
    // What was asked for last is given up first; what I know nothing of before that.
    requests.sort_by_key(|(row, _)| {
        Reverse(
            me.asked
                .get(&row.key)
                .map_or_else(|| fleet.horizon(), |asked| asked.since),
        )
    });
    for (row, of) in requests {
        let alive = fleet.members.is_alive(of, fleet.now, fleet.timing);
        let asked = me.asked.get(&row.key).filter(|asked| asked.of == *of);
        let limit = if fleet.may_be_mixed() {
            ANSWER_LIMIT
        } else {
            REQUEST_LIMIT
        };
        let late = asked.is_none_or(|asked| fleet.now.since(asked.since) > limit);
        let too_many =
            loads.count(me.id) >= loads.count(of) + 2 || open.len() - withdraw.len() > room;
        // What a dead owner holds is taken when it expires. A row without a token is no worker's of
        // ours: who answers such a request does not expect it to be taken back: it would drop the
        // lease all the same.
        let ours = row.token.is_some()
            && !fleet.foreign.contains(of)
            && !fleet.members.is_held_by_foreign(row);
        if ours && (me.leaving || me.passive || (alive && (late || too_many))) {
            withdraw.push(Ask {
                key: row.key.clone(),
                of: of.clone(),
            });
            loads.move_one(me.id, of);
        }
    }
    withdraw
}

/// The workers whose rows are mine to delete: they are silent, and no lease names them.
fn dead(view: &KnownRows<'_>, fleet: &Fleet<'_>) -> Vec<WorkerId> {
    let named: Vec<_> = view
        .rows
        .iter()
        .flat_map(|row| row.owner.iter().chain(&row.checkpoint_owner))
        .collect();
    let others = view
        .workers
        .iter()
        .map(|row| &row.worker)
        .filter(|worker| *worker != fleet.me.id);
    let dead = others.filter(|worker| {
        fleet.members.is_silent(worker, fleet.now, fleet.timing) && !named.contains(worker)
    });
    dead.filter(|worker| fleet.is_mine_to_bury(worker))
        .cloned()
        .collect()
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;
