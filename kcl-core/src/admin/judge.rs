//! Judges a fleet by the rows of its table and what was seen of them before. Reads no clock.
//!
//! From rows to states. Both the rows of now and those of the first look are needed, because
//! whether somebody is alive shows only in a change.
//!
//! ```text
//!   ScanPage (now) ----+
//!   before (first look)+--> Seen --> Life of each worker --> LeaseState, Stuck of each lease --> FleetView
//!   Members, Timing ---+
//! ```
//!
//! The rules are those of the workers (`crate::decide::members`, `crate::decide::shards::gate`). An
//! operator must not see a fleet that differs from the one that its workers see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::decide::shards::{ParentGate, ParentView, gate};
use crate::lease::{KeepAlive, ScanPage, WorkerRow};
use crate::model::{Lease, LeaseKey, Moment, ShardId, WorkerId};

use super::published::Said;
use super::{FleetView, LeaseState, LeaseView, Life, Moved, Stuck, WorkerView};

/// This many owner switches since the last checkpoint are no coincidence: one owner may have died,
/// and another may have handed the lease over on request.
const SWITCHES: u64 = 3;

/// What is known of a table, borrowed from an [`Observer`](super::Observer) for one judgement.
pub(super) struct Seen<'a> {
    /// The table as it was last read.
    pub(super) rows: &'a ScanPage,
    /// The leases as they were first read. A lease that is not in it was created while the table
    /// was watched.
    pub(super) before: &'a BTreeMap<LeaseKey, Lease>,
    /// When each counter was last seen to change, on the observer's own clock.
    pub(super) members: &'a Members,
    /// Of the shortest failover time that a worker declares.
    pub(super) timing: Timing,
    /// When it was first read. A change that was seen later proves life; what the first look shows
    /// may be a day old.
    pub(super) begun: Moment,
    pub(super) now: Moment,
    /// A lease is stuck if its holder says that it has stood still for so long.
    pub(super) stuck_after: Duration,
}

/// The view of the whole fleet. The lives come first, because the state of a lease depends on them.
/// Leases and workers are in order, so two views can be compared line by line.
pub(super) fn fleet(seen: &Seen<'_>) -> FleetView {
    let lives = seen.lives();
    let by_key: BTreeMap<&LeaseKey, &Lease> =
        seen.rows.leases.iter().map(|row| (&row.key, row)).collect();
    let spoilt: BTreeSet<&LeaseKey> = seen
        .rows
        .malformed
        .iter()
        .filter_map(|row| row.lease())
        .collect();
    let judged = !lives.values().any(|life| *life == Life::Unknown);
    let nobody = !lives.values().any(|life| *life != Life::Dead);
    let view = |row: &&Lease| seen.lease(row, &lives, &by_key, &spoilt, nobody);
    let mut leases: Vec<LeaseView> = by_key.values().map(view).collect();
    seen.take_in_lags(&mut leases, &lives);
    let rows: BTreeMap<&WorkerId, &WorkerRow> = seen
        .rows
        .workers
        .iter()
        .map(|row| (&row.worker, row))
        .collect();
    let mut held: BTreeMap<&WorkerId, (usize, usize)> = BTreeMap::new();
    for lease in leases
        .iter()
        .filter(|lease| lease.state != LeaseState::Ended)
    {
        if let Some(holder) = &lease.holder {
            held.entry(holder).or_default().0 += 1;
        }
        if let Some(worker) = &lease.awaited_by {
            held.entry(worker).or_default().1 += 1;
        }
    }
    let workers = lives
        .iter()
        .map(|(worker, life)| {
            let row = rows.get(worker);
            let (leases, awaited) = held.get(worker).copied().unwrap_or_default();
            let life_seen = seen.members.last_life(worker).unwrap_or(seen.begun);
            WorkerView {
                worker: (*worker).clone(),
                life: *life,
                has_row: row.is_some(),
                failover: row.map(|row| row.failover),
                silent: seen.now.since(life_seen),
                dead_after: seen.members.patience(worker, &seen.timing),
                counter: row.map(|row| row.counter),
                heartbeats: row.is_some_and(|row| row.keep_alive == KeepAlive::Heartbeats),
                draining: row.is_some_and(|row| row.is_draining()),
                audits: row.map(|row| row.audits),
                behind: row.and_then(|row| row.lag.as_ref()?.greatest()),
                leases,
                awaited,
            }
        })
        .collect();
    FleetView {
        watched: seen.now.since(seen.begun),
        judged,
        workers,
        leases,
        malformed: seen.rows.malformed.clone(),
        led_by: seen.rows.foreign.leading.clone(),
    }
}

impl Seen<'_> {
    /// The workers that have a row or are named by an unfinished lease. A finished lease names its
    /// last owner for as long as its row stays, and is no sign that this worker still exists.
    pub(super) fn lives(&self) -> BTreeMap<&WorkerId, Life> {
        let named = self
            .rows
            .leases
            .iter()
            .filter(|row| !row.checkpoint.is_shard_end())
            .flat_map(|row| row.owner.iter().chain(&row.checkpoint_owner));
        let listed = self.rows.workers.iter().map(|row| &row.worker);
        let all: BTreeSet<&WorkerId> = listed.chain(named).collect();
        all.into_iter()
            .map(|worker| (worker, self.life(worker)))
            .collect()
    }

    /// Whether a worker is alive. `Members` counts a leaving worker as dead at once, because no
    /// lease may go to it; an operator wants to know the difference.
    fn life(&self, worker: &WorkerId) -> Life {
        let members = self.members;
        if members.is_dead(worker, self.now, &self.timing) && !members.is_leaving(worker) {
            return Life::Dead;
        }
        let has_moved = members
            .last_life(worker)
            .is_some_and(|life| life > self.begun);
        match (members.is_leaving(worker), has_moved) {
            // The leaving mark was its last write: a worker that has died since then has left too.
            (true, _) if members.is_silent(worker, self.now, &self.timing) => Life::Dead,
            (true, _) => Life::Leaving,
            (false, true) => Life::Alive,
            (false, false) => Life::Unknown,
        }
    }

    /// The state of one lease, and why it makes no progress.
    ///
    /// The conditions are in the order of what they rule out. A finished shard needs no holder; an
    /// unclaimed lease has an owner in its row that is none; only then does the time since its last
    /// change mean anything. `nobody` overrules all other reasons: without a live worker, every
    /// lease is stuck for the same cause.
    fn lease(
        &self,
        row: &Lease,
        lives: &BTreeMap<&WorkerId, Life>,
        rows: &BTreeMap<&LeaseKey, &Lease>,
        spoilt: &BTreeSet<&LeaseKey>,
        nobody: bool,
    ) -> LeaseView {
        let seen = self.members.lease(row);
        let unclaimed = seen.is_unclaimed(self.members);
        let holder = if unclaimed {
            None
        } else {
            seen.holder().cloned()
        };
        let awaited_by = if unclaimed || (holder.is_some() && row.owner != holder) {
            row.owner.clone()
        } else {
            None
        };
        let expired = seen
            .expires_at(self.members, &self.timing)
            .is_some_and(|at| at <= self.now);
        let state = match () {
            () if row.checkpoint.is_shard_end() => LeaseState::Ended,
            () if row.is_paused() && (holder.is_none() || expired) => LeaseState::Paused,
            () if unclaimed => LeaseState::HandedOver,
            () if holder.is_none() => LeaseState::Free,
            () if expired => LeaseState::Expired,
            () if awaited_by.is_some() => LeaseState::HandOver,
            () => LeaseState::Held,
        };
        let life = |worker: &WorkerId| lives.get(worker).copied().unwrap_or(Life::Unknown);
        let still = seen
            .age(self.now)
            .is_some_and(|age| age >= self.timing.expires_after);
        let malformed_parent = row
            .parents
            .iter()
            .find(|parent| spoilt.contains(&row.key.sibling((*parent).clone())));
        let stuck = match (state, &holder) {
            (LeaseState::Ended | LeaseState::Paused, _) => None,
            _ if nobody => Some(Stuck::NoLiveWorker),
            (_, Some(worker)) if life(worker) == Life::Dead => Some(Stuck::HolderDead {
                worker: worker.clone(),
            }),
            (LeaseState::Expired, Some(worker)) => Some(Stuck::NotRenewed {
                worker: worker.clone(),
            }),
            (LeaseState::Free, _) if still => Some(Stuck::NotTaken),
            (LeaseState::HandedOver, _) => row
                .owner
                .clone()
                .filter(|worker| still || life(worker) == Life::Dead)
                .map(|worker| Stuck::NotClaimed { worker }),
            _ => malformed_parent
                .map(|parent| Stuck::ParentMalformed {
                    parent: parent.clone(),
                })
                .or_else(|| {
                    (row.owner_switches >= SWITCHES).then_some(Stuck::NoProgress {
                        switches: row.owner_switches,
                    })
                }),
        };
        LeaseView {
            state,
            holder: holder.filter(|_| state != LeaseState::Ended || row.owner.is_some()),
            awaited_by,
            waits_for: waits_for(row, rows).or_else(|| malformed_parent.cloned()),
            lag: None,
            moved: self.moved(row),
            stuck,
            lease: row.clone(),
        }
    }

    /// Adds what the holders say of the progress of their leases. A dead worker is not believed: its
    /// last word may be of any age.
    ///
    /// That a handler fails explains more than that a lease has changed hands, which follows from
    /// it, so it takes the place of that reason.
    fn take_in_lags(&self, leases: &mut [LeaseView], lives: &BTreeMap<&WorkerId, Life>) {
        let mut said: BTreeMap<&WorkerId, Said<'_>> = BTreeMap::new();
        for row in &self.rows.workers {
            let is_dead = lives.get(&row.worker) == Some(&Life::Dead);
            if let Some(lag) = row.lag.as_ref().filter(|_| !is_dead) {
                said.insert(&row.worker, Said::new(lag, self.seen_ago(&row.worker)));
            }
        }
        let is_held = |view: &LeaseView| view.state != LeaseState::Ended;
        for view in leases.iter().filter(|view| is_held(view)) {
            if let Some(said) = view.holder.as_ref().and_then(|worker| said.get_mut(worker)) {
                said.holds(view);
            }
        }
        for view in leases.iter_mut().filter(|view| is_held(view)) {
            let Some(worker) = &view.holder else { continue };
            view.lag = said.get(worker).and_then(|said| said.of(view));
            if matches!(view.stuck, None | Some(Stuck::NoProgress { .. }))
                && let Some(lag) = &view.lag
                && let Some(why) = lag.stuck(worker, self.stuck_after)
            {
                view.stuck = Some(why);
            }
        }
    }

    /// How long ago a worker was last seen to write.
    fn seen_ago(&self, worker: &WorkerId) -> Option<Duration> {
        let life = self.members.last_life(worker)?;
        (life > self.begun).then(|| self.now.since(life))
    }

    /// What has changed since the first look.
    fn moved(&self, row: &Lease) -> Moved {
        let Some(before) = self.before.get(&row.key) else {
            return Moved {
                new: true,
                ..Moved::default()
            };
        };
        Moved {
            renewed: row.counter != before.counter,
            checkpoint: row.checkpoint != before.checkpoint,
            holder: row.actual_owner() != before.actual_owner(),
            new: false,
        }
    }
}

/// The parent that the shard waits for, as far as the rows show: a parent without a row may have
/// been removed from the stream.
fn waits_for(row: &Lease, rows: &BTreeMap<&LeaseKey, &Lease>) -> Option<ShardId> {
    if row.checkpoint.is_shard_end() {
        return None;
    }
    let views: Vec<ParentView<'_>> = row
        .parents
        .iter()
        .map(|parent| ParentView {
            shard: parent,
            row: rows.get(&row.key.sibling(parent.clone())).copied(),
            listed: false,
        })
        .collect();
    match gate(row, &views) {
        ParentGate::Open => None,
        ParentGate::Blocked { by, .. } => Some(by),
    }
}

#[cfg(test)]
#[path = "judge_test.rs"]
mod tests;
