//! Leases that make no progress, workers that are dead or hold too many, records that are about to
//! expire.

use crate::admin::finding::{Finding, FindingKind};
use crate::admin::{FleetView, LeaseLag, Life, Stuck, WorkerView};

/// A note, because an operator wants it so; but it must not be forgotten, since records expire in
/// the meantime.
pub(super) fn paused(fleet: &FleetView, found: &mut Vec<Finding>) {
    for lease in fleet.leases.iter().map(|view| &view.lease) {
        if let (Some(at), false) = (lease.paused_at, lease.checkpoint.is_shard_end()) {
            let says = format!("An operator paused it at {at}, so no worker reads its shard.");
            let advice = "Resume it (`kcl resume`) before its unread records expire.";
            found.push(Finding::note(FindingKind::Paused, &lease.key, says, advice));
        }
    }
}

/// A note, because an operator wants it so. An assignment ends by itself; a drain does not.
pub(super) fn moving(fleet: &FleetView, found: &mut Vec<Finding>) {
    for lease in fleet.leases.iter().map(|view| &view.lease) {
        if let (Some(to), false) = (&lease.assigned_to, lease.checkpoint.is_shard_end()) {
            let says = format!("An operator moves it to {}.", to.worker);
            let advice = "It ends by itself, a minute after the worker has the lease or is gone; \
                          `kcl move --undo` takes it back.";
            found.push(Finding::note(FindingKind::Moving, &lease.key, says, advice));
        }
    }
    for worker in fleet.workers.iter().filter(|worker| worker.draining) {
        let says = format!(
            "An operator drains it: it takes no leases, and holds {}.",
            counted(worker.leases)
        );
        let advice = "It lasts until the process ends or `kcl drain --undo`.";
        found.push(Finding::note(
            FindingKind::Moving,
            &worker.worker,
            says,
            advice,
        ));
    }
}

/// Why leases make no progress. If no worker is alive, that is said once for the table, not for
/// each lease.
pub(super) fn stuck(fleet: &FleetView, found: &mut Vec<Finding>) {
    let several = fleet
        .stuck()
        .filter(|(_, why)| **why == Stuck::NoLiveWorker)
        .count();
    if several > 0 {
        found.push(Finding::problem(
            FindingKind::Stuck,
            "",
            format!(
                "No worker of this application is alive, and {several} of its leases are \
                 unfinished."
            ),
            "Start a worker.",
        ));
    }
    for (view, why) in fleet.stuck() {
        let advice = match why {
            Stuck::NoLiveWorker => continue,
            Stuck::HolderDead { .. } => {
                "A live worker takes it within the failover time. If none does, each of them holds \
                 as many leases as it may (max_leases): start another worker."
            }
            Stuck::NotRenewed { .. } => {
                "Look at the log and the status of that worker: its coordination hangs, or it \
                 cannot write to the table."
            }
            Stuck::HandlerFails { .. } => {
                "Look in the log of that worker for `handler_failed`: it has the error, and the \
                 record if the handler names it. Correct the handler or what it depends on, or let \
                 it skip such records."
            }
            Stuck::HandlerBusy { .. } => {
                "Find out what the handler waits for; `handler_slow` in the log of that worker \
                 names the call. One that takes longer than handler_budget (5 min by default) \
                 loses the lease."
            }
            Stuck::ReadsFail { .. } => {
                "Look in the log of that worker for `reading_fails`: it has the error of the \
                 stream. Another worker takes the lease if the shard is out of reach for this one \
                 alone."
            }
            Stuck::NotTaken => {
                "Look at `left_unread` and `unreadable` in the status of the workers. Start \
                 another worker, or raise max_leases."
            }
            Stuck::NotClaimed { .. } => {
                "The worker that handed it over takes it back after two scans. If this finding \
                 stays, look at the logs of both workers."
            }
            Stuck::ParentMalformed { .. } => "Correct the parent's row.",
            Stuck::NoProgress { .. } => {
                "Look in the logs of the workers that held it for an error of the handler or a \
                 crash: a record that crashes its worker is delivered again by each new owner."
            }
        };
        found.push(Finding::problem(
            FindingKind::Stuck,
            &view.lease.key,
            format!("It makes no progress: {why}."),
            advice,
        ));
    }
    if let Some(what) = &fleet.led_by {
        found.push(Finding::problem(
            FindingKind::LedByOthers,
            "",
            format!("Workers of another framework assign the leases of this table: {what}."),
            "Stop them, or run them in the mode that is compatible with the KCL 2.x (see \
             docs/migrating.md).",
        ));
    }
}

/// "1 lease", "2 leases".
fn counted(leases: usize) -> String {
    format!("{leases} lease{}", if leases == 1 { "" } else { "s" })
}

/// Dead workers and an uneven share. Both pass by themselves, so they are notes.
pub(super) fn workers(fleet: &FleetView, found: &mut Vec<Finding>) {
    for worker in &fleet.workers {
        if worker.life == Life::Dead && worker.has_row {
            found.push(Finding::note(
                FindingKind::DeadWorker,
                &worker.worker,
                format!("It is dead and holds {}.", counted(worker.leases)),
                "Nothing to do: live workers take its leases and delete its row.",
            ));
        }
    }
    // What is drained is uneven by an operator's wish.
    let takes = |it: &&WorkerView| it.life == Life::Alive && !it.draining;
    let alive = || fleet.workers.iter().filter(takes);
    let most = alive().max_by_key(|worker| worker.leases);
    let fewest = alive().min_by_key(|worker| worker.leases);
    if let (Some(most), Some(fewest)) = (most, fewest)
        && most.leases > fewest.leases + 1
    {
        found.push(Finding::note(
            FindingKind::Unbalanced,
            &most.worker,
            format!(
                "It holds {}, and {} holds {}.",
                counted(most.leases),
                fewest.worker,
                fewest.leases
            ),
            "Nothing to do: leases move a few at a time. If this finding stays, look in the logs \
             for refused hand-overs.",
        ));
    }
}

/// A finding is made when less than one part in so many of the retention is left: a quarter, which
/// is 6 hours at the default retention of 24.
const NEAR: u32 = 4;

/// Records that have expired unread or are about to, by the measured lag.
pub(super) fn retention(lags: &[LeaseLag], found: &mut Vec<Finding>) {
    for lag in lags {
        if let Some(gap) = &lag.gap {
            found.push(Finding::problem(
                FindingKind::RecordsLost,
                &lag.lease,
                format!("The record at its checkpoint has expired: {gap}."),
                "The stream no longer has these records; only their producer may. Raise the \
                 stream's retention, and find out why reading was so late.",
            ));
        }
        if let (Some(left), Some(retention)) = (lag.retention_left, lag.retention)
            && left < retention / NEAR
        {
            found.push(Finding::problem(
                FindingKind::RetentionNear,
                &lag.lease,
                format!(
                    "The record at its position expires in {} min.",
                    left.as_secs() / 60
                ),
                "Raise the stream's retention now, which keeps the records that are still there. \
                 Then make the application faster.",
            ));
        }
        if let Some(error) = &lag.error {
            found.push(Finding::problem(
                FindingKind::Unreadable,
                &lag.lease,
                format!("The lag of its shard could not be measured: {error}."),
                "Workers with the same permissions cannot read the shard either; \
                 docs/permissions.md lists what they need.",
            ));
        }
    }
}
