//! Which leases this worker takes.
//!
//! A lease is free when nobody owns it, when its owner has shown no life for long enough, or when its row names this worker for a
//! tenancy that this process does not work on any more. Nothing free is reserved for anybody: every live worker may take it. A
//! finished lease weighs nothing and is never taken. How shards are balanced between live workers is not decided here: this takes
//! what is free and asks nobody for what is not.

use std::time::Duration;

use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::expiry::{Observations, Timing};

/// What this worker knows of itself.
#[derive(Debug)]
pub struct Me<'a> {
    /// Its name.
    pub id: &'a WorkerId,
    /// Whether it works on a lease, or still waits for a handler of a former tenancy of it to return.
    pub is_busy_with: &'a dyn Busy,
    /// Whether a tenancy under its name was begun by this process.
    pub is_my_tenancy: &'a dyn Tenancies,
    /// How many leases it may still take.
    pub room: usize,
}

/// Tells of a lease whether this worker is busy with it.
pub trait Busy: std::fmt::Debug {
    /// Whether it is.
    fn is_busy(&self, key: &LeaseKey) -> bool;
}

/// Tells of a row whether this process began its tenancy.
pub trait Tenancies: std::fmt::Debug {
    /// Whether it did.
    fn is_mine(&self, row: &Lease) -> bool;

    /// Whether it did, and does not work on it any more.
    fn is_abandoned(&self, row: &Lease) -> bool;
}

/// What to do about the leases of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// To be taken now, in this order.
    pub take: Vec<LeaseKey>,
    /// Free, and left because this worker holds as many as it may.
    pub left: usize,
}

/// Judges every row of a look that was begun at `now` and taken in by `seen`.
#[must_use]
pub fn plan(rows: &[Lease], me: &Me<'_>, seen: &Observations, now: Moment, timing: &Timing) -> Plan {
    let free: Vec<_> = rows.iter().filter(|row| is_free(row, me, seen, now, timing)).collect();
    let take: Vec<_> = free.iter().take(me.room).map(|row| row.key.clone()).collect();
    Plan { left: free.len() - take.len(), take }
}

fn is_free(row: &Lease, me: &Me<'_>, seen: &Observations, now: Moment, timing: &Timing) -> bool {
    if row.checkpoint.is_shard_end() || me.is_busy_with.is_busy(&row.key) {
        return false;
    }
    match row.actual_owner() {
        None => true,
        // Mine: free only if a late write or an unsettled end has left it to nobody. Otherwise it is being made or worked on.
        Some(owner) if owner == me.id && me.is_my_tenancy.is_mine(row) => me.is_my_tenancy.is_abandoned(row),
        // My name, but another process: a restart adopts what nobody moves within one renewal.
        Some(owner) if owner == me.id => stands_still_for(row, timing.renew_every + timing.call_limit, seen, now),
        Some(_) => seen.is_expired(&row.key, now, timing),
    }
}

fn stands_still_for(row: &Lease, span: Duration, seen: &Observations, now: Moment) -> bool {
    seen.age(&row.key, now).is_some_and(|age| age >= span)
}

/// Whether another live process works under this worker's name: a row that names it, for a tenancy that this process did not begin,
/// whose counter has moved since it was seen before.
#[must_use]
pub fn is_duplicated(before: Option<&Lease>, row: &Lease, me: &Me<'_>) -> bool {
    let foreign = row.actual_owner() == Some(me.id) && !me.is_my_tenancy.is_mine(row);
    foreign && before.is_some_and(|before| before.token == row.token && before.counter < row.counter)
}
