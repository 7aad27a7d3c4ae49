//! What happened between two looks at a fleet.
//!
//! A row has no history: it says who holds a lease, and not since when or from whom. What happened
//! is the difference of two looks, read by the rules of the protocol:
//!
//! ```text
//!             requested             handed over
//!   held ----------------> asked -----------------> handed over ---(claim: not told)---> held
//!    |  \ expired
//!    |   +-----------> expired --- taken over ---> held by another
//!    | released
//!    +---------------> free --- taken ---> held
//! ```
//!
//! Of several steps of one lease between two looks, only what the last has left is seen. The rules
//! are written so that what is told is true all the same.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::admin::{FleetView, LeaseState, LeaseView, Life, WorkerView};
use kcl_core::model::{LeaseKey, WorkerId};
use serde::Serialize;

use crate::say::span;

/// What can happen, as far as the rows show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HappeningKind {
    /// A worker that was not there before.
    Joined,
    /// A worker that says that it is stopping.
    Leaving,
    /// A worker that has written nothing for so long that others take its leases.
    Died,
    /// A worker that was dead writes again.
    Returned,
    /// A worker that is not in the table any more.
    Gone,
    /// A worker has asked another one for a lease.
    Requested,
    /// A lease went from one living worker to another.
    HandedOver,
    /// A lease was taken from a worker that was dead or let it expire: what that worker had not
    /// checkpointed is read again.
    TakenOver,
    /// A free lease was taken.
    Taken,
    /// A lease was given up.
    Released,
    /// The holder let a lease expire.
    Expired,
    /// A shard is finished.
    Finished,
    /// A lease was made.
    Made,
    /// A lease is not in the table any more.
    Deleted,
    /// The row of a lease cannot be read any more.
    Malformed,
}

/// Something that happened to a worker, or to leases between the same two workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Happening {
    /// What it is; the page shows each kind with a sign of its own.
    pub(super) kind: HappeningKind,
    /// The worker that it happened to, or that had the leases.
    pub(super) from: Option<WorkerId>,
    /// The worker that has the leases now, or wants them.
    pub(super) to: Option<WorkerId>,
    /// How many leases.
    pub(super) leases: usize,
    /// The first of them.
    pub(super) lease: Option<String>,
    /// It as a sentence without a full stop.
    pub(super) says: String,
}

/// What happened from one look to the next, workers first.
///
/// Leases that went the same way are one happening, so that a fleet of thousands that moves is a few
/// lines. What came and went between two looks is not seen.
pub(super) fn happened(before: &FleetView, now: &FleetView) -> Vec<Happening> {
    let mut all = of_workers(before, now);
    let mut grouped: BTreeMap<Way, Vec<&LeaseKey>> = BTreeMap::new();
    for (way, lease) in of_leases(before, now) {
        grouped.entry(way).or_default().push(lease);
    }
    all.extend(
        grouped
            .into_iter()
            .map(|(way, leases)| way.happening(&leases)),
    );
    all
}

fn of_workers(before: &FleetView, now: &FleetView) -> Vec<Happening> {
    let by_id = |fleet: &FleetView| -> BTreeMap<WorkerId, WorkerView> {
        let keyed = |it: &WorkerView| (it.worker.clone(), it.clone());
        fleet.workers.iter().map(keyed).collect()
    };
    let (old, new) = (by_id(before), by_id(now));
    let mut all = Vec::new();
    let mut say = |kind, worker: &WorkerId, what: String| {
        all.push(Happening {
            kind,
            from: Some(worker.clone()),
            to: None,
            leases: 0,
            lease: None,
            says: format!("{worker} {what}"),
        });
    };
    for (id, worker) in &new {
        let was = old.get(id).map(|it| it.life);
        match (was, worker.life) {
            // A worker that is dead when it is first seen died before anybody looked.
            (None, Life::Dead) => {}
            (None, _) => say(HappeningKind::Joined, id, "joined".to_owned()),
            (Some(was), is) if was == is => {}
            (Some(_), Life::Dead) => {
                let what = format!(
                    "is dead: it has written nothing for {}",
                    span(worker.silent)
                );
                say(HappeningKind::Died, id, what);
            }
            (Some(_), Life::Leaving) => {
                say(HappeningKind::Leaving, id, "is stopping".to_owned());
            }
            (Some(Life::Dead), _) => {
                say(HappeningKind::Returned, id, "writes again".to_owned());
            }
            // From unknown to alive, or from leaving to alive under the same id: nothing that a
            // person would call an event.
            _ => {}
        }
    }
    for (id, worker) in old.iter().filter(|(id, _)| !new.contains_key(id)) {
        if worker.life == Life::Dead {
            say(
                HappeningKind::Gone,
                id,
                "is gone: its row was deleted".to_owned(),
            );
        } else if is_lost(worker) {
            let silent = span(worker.silent);
            let what =
                format!("is dead: its row was deleted after it had written nothing for {silent}");
            say(HappeningKind::Died, id, what);
        } else {
            say(HappeningKind::Gone, id, "has left".to_owned());
        }
    }
    all
}

/// Whether it is dead, or has just died: it is not yet judged to be, or its row was deleted between
/// two looks. Others take a lease 4/5 of the failover time after its last renewal or heartbeat. The row is
/// written every third, so by then it has stood still for 7/15. That is more than half of the 4/5
/// after which it counts as dead, and a worker that lives or leaves does not reach it.
fn is_lost(worker: &WorkerView) -> bool {
    worker.life == Life::Dead || (worker.has_row && worker.silent * 2 >= worker.dead_after)
}

/// What leases have in common that went the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    kind: HappeningKind,
    from: Option<WorkerId>,
    to: Option<WorkerId>,
}

/// What happened to leases, each at most once.
fn of_leases<'a>(before: &'a FleetView, now: &'a FleetView) -> Vec<(Way, &'a LeaseKey)> {
    let old: BTreeMap<&LeaseKey, &LeaseView> =
        before.leases.iter().map(|it| (&it.lease.key, it)).collect();
    let dead: BTreeSet<&WorkerId> = before
        .workers
        .iter()
        .chain(&now.workers)
        .filter(|it| is_lost(it))
        .map(|it| &it.worker)
        .collect();
    // A worker that stops gives its leases up one by one, so that they are taken from it is no
    // failure.
    let stays = |it: &&WorkerView| it.life != Life::Leaving;
    let staying: BTreeSet<&WorkerId> = now
        .workers
        .iter()
        .filter(stays)
        .map(|it| &it.worker)
        .collect();
    let mut all = Vec::new();
    for lease in &now.leases {
        let key = &lease.lease.key;
        match old.get(key) {
            None => all.push((Way::new(HappeningKind::Made, None, None), key)),
            Some(was) => {
                let is_lost = is_taken(was, lease, &dead, &staying);
                all.extend(change(was, lease, is_lost).map(|way| (way, key)));
            }
        }
    }
    let there: BTreeSet<&LeaseKey> = now.leases.iter().map(|it| &it.lease.key).collect();
    // They are not among the leases either, and must not be told as deleted: their shards have no
    // reader, which an operator has to mend.
    let spoilt: BTreeSet<&LeaseKey> = now.malformed.iter().filter_map(|it| it.lease()).collect();
    for (key, was) in old.iter().filter(|(key, _)| !there.contains(*key)) {
        let kind = if spoilt.contains(key) {
            HappeningKind::Malformed
        } else {
            HappeningKind::Deleted
        };
        all.push((Way::new(kind, was.holder.as_ref(), None), *key));
    }
    all
}

/// Whether a lease went to another worker because its holder was dead or let it expire. A take
/// counts one owner switch, which a hand-over does not: that shows it even if the holder's silence
/// was seen late. The leases of a worker that stops are taken too, but it has given them up.
fn is_taken(
    was: &LeaseView,
    is: &LeaseView,
    dead: &BTreeSet<&WorkerId>,
    staying: &BTreeSet<&WorkerId>,
) -> bool {
    let among = |all: &BTreeSet<&WorkerId>| was.holder.as_ref().is_some_and(|it| all.contains(it));
    let switched = is.lease.owner_switches > was.lease.owner_switches;
    was.state == LeaseState::Expired || among(dead) || (switched && among(staying))
}

/// The one thing that happened to a lease that is of most interest.
fn change(was: &LeaseView, is: &LeaseView, lost: bool) -> Option<Way> {
    use HappeningKind as Kind;
    let (from, to) = (was.holder.as_ref(), is.holder.as_ref());
    Some(match (is.state, from, to) {
        // The order matters: a lease may have ended and changed hands between two looks, and its
        // end is what counts.
        (LeaseState::Ended, _, _) if was.state == LeaseState::Ended => return None,
        (LeaseState::Ended, _, _) => Way::new(Kind::Finished, from.or(to), None),
        (_, Some(_), Some(_)) if from != to && lost => Way::new(Kind::TakenOver, from, to),
        (_, Some(_), Some(_)) if from != to => Way::new(Kind::HandedOver, from, to),
        // It is told as soon as it is handed over: the claim follows.
        // The old owner has written its last checkpoint and the name of the next one.
        (LeaseState::HandedOver, Some(_), None) => {
            Way::new(Kind::HandedOver, from, is.awaited_by.as_ref())
        }
        (_, Some(_), None) => Way::new(Kind::Released, from, None),
        (_, None, Some(_))
            if was.state == LeaseState::HandedOver && was.awaited_by == is.holder =>
        {
            return None;
        }
        (_, None, Some(_)) => Way::new(Kind::Taken, None, to),
        // From here on nobody else has the lease than before.
        (LeaseState::Expired, _, _) if was.state != LeaseState::Expired => {
            Way::new(Kind::Expired, to, None)
        }
        _ if is.awaited_by.is_some() && is.awaited_by != was.awaited_by => {
            Way::new(Kind::Requested, to, is.awaited_by.as_ref())
        }
        _ => return None,
    })
}

impl Way {
    /// A lease that went this way.
    fn new(kind: HappeningKind, from: Option<&WorkerId>, to: Option<&WorkerId>) -> Self {
        Self {
            kind,
            from: from.cloned(),
            to: to.cloned(),
        }
    }

    /// One sentence for all leases that went the same way, with the first of them by name.
    fn happening(self, leases: &[&LeaseKey]) -> Happening {
        use HappeningKind as Kind;
        let first = leases.first().map(ToString::to_string);
        let named = first.clone().unwrap_or_default();
        let them = match leases.len() {
            1 => named,
            many => format!("{many} leases, such as {named},"),
        };
        let plural = leases.len() > 1;
        let (is, has, it) = if plural {
            ("are", "have", "them")
        } else {
            ("is", "has", "it")
        };
        let name = |worker: &Option<WorkerId>| {
            worker
                .as_ref()
                .map_or_else(|| "nobody".to_owned(), ToString::to_string)
        };
        let (from, to) = (name(&self.from), name(&self.to));
        let says = match self.kind {
            Kind::Requested => format!("{to} asks {from} for {them}"),
            Kind::HandedOver => format!("{them} went from {from} to {to}"),
            Kind::TakenOver => format!("{to} took over {them} from {from}, which let {it} expire"),
            Kind::Taken => format!("{to} took {them} which nobody held"),
            Kind::Released => format!("{from} gave up {them}"),
            Kind::Expired => format!("{from} let {them} expire"),
            Kind::Finished => format!("{them} {is} finished"),
            Kind::Made => format!("{them} {has} been made"),
            Kind::Deleted => format!("{them} {has} been deleted"),
            _ => format!("{them} cannot be read any more: malformed"),
        };
        Happening {
            kind: self.kind,
            from: self.from,
            to: self.to,
            leases: leases.len(),
            lease: first,
            says: says.trim_end_matches(',').to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "happening_test.rs"]
mod tests;
