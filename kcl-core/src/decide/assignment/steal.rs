//! How leases move away from KCL workers that cannot be asked.
//!
//! A KCL 1.x or 2.x worker does not know requests: it would read on, and the request would stay
//! open for ever. The KCL's own workers take leases from each other without asking. So that is what
//! this worker does with them, no faster than they do it. Its records since the last checkpoint are
//! delivered again.

use std::cmp::Reverse;
use std::time::Duration;

use crate::decide::rendezvous::{lease_score, score};

use super::fleet::Fleet;
use super::loads::Loads;
use super::moves::is_donor;
use super::plan::Ask;
use super::planned_lease::PlannedLease;
use super::standing::LeaseStanding;

/// How long a KCL 3.x worker may take to answer a request: it forces the hand-over after 30 s, and
/// its leader waits for another failover time (10 s) before it takes the lease.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(40);

/// The KCL's default failover time. A KCL worker looks for leases to take every 2 x this. A KCL
/// worker sees the new counts only then, so taking more before that would take too many.
const KCL_FAILOVER: Duration = Duration::from_secs(10);

/// The lease to take from a live KCL worker that does not answer requests, if any. `open` are this
/// worker's requests, and `is_served` says that this worker gets a lease otherwise. An unanswered
/// request comes first: the lease names this worker as its owner already, and the KCL worker takes
/// others in its place.
pub(super) fn steal(
    leases: &[PlannedLease<'_>],
    open: &[&PlannedLease<'_>],
    unfinished: &[usize],
    loads: &Loads<'_>,
    fleet: &Fleet<'_>,
    room: usize,
    is_served: bool,
) -> Option<Ask> {
    let me = fleet.me;
    let pause = fleet.timing.failover.max(KCL_FAILOVER) * 2;
    if room == 0 || me.stole.is_some_and(|stole| fleet.now.since(stole) < pause) {
        return None;
    }
    let unanswered = open.iter().find_map(|lease| {
        let row = lease.seen.row;
        let asked = lease
            .own
            .request()
            .filter(|asked| fleet.now.since(asked.since) > ANSWER_LIMIT)?;
        // For a worker of this framework that has not answered in time, the request is withdrawn
        // instead.
        let is_deaf = lease.seen.is_held_by_foreign() || fleet.foreign.contains(&asked.of);
        is_deaf.then(|| Ask {
            key: row.key.clone(),
            of: asked.of.clone(),
        })
    });
    if unanswered.is_some() || is_served || !open.is_empty() {
        return unanswered;
    }
    let deaf = fleet
        .foreign
        .iter()
        .filter(|worker| !fleet.members.is_answering(worker));
    let mut donors: Vec<_> = deaf
        .filter(|worker| is_donor(worker, unfinished, loads, fleet))
        .collect();
    donors.sort_by_key(|worker| {
        Reverse((
            loads.count(worker),
            score(&[worker.as_str(), me.id.as_str()]),
        ))
    });
    donors.into_iter().find_map(|of| {
        let held = leases.iter().filter(|lease| {
            lease.standing == LeaseStanding::Held && lease.seen.holder() == Some(of)
        });
        let row = held
            .filter(|lease| {
                !fleet.is_busy(&lease.seen.row.key, lease.own) && !lease.own.is_refused(fleet.now)
            })
            .map(|lease| lease.seen.row)
            .max_by_key(|row| (lease_score(&row.key, me.id), &row.key))?;
        Some(Ask {
            key: row.key.clone(),
            of: of.clone(),
        })
    })
}
