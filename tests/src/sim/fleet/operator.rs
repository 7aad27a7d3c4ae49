//! An operator, who pauses shards, moves leases and drains workers, takes that back, and is interrupted
//! now and then.

use kcl_core::lease::{Change, Changed, WorkerRow, Write};
use kcl_core::model::{Assignee, Lease, LeaseKey, Timestamp, WorkerId};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::Event;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::state::{Sim, WorldState};

/// How often the workers are not told of what the operator does: they see it with a scan.
pub(super) const NOT_ANNOUNCED: f64 = 0.2;
/// How often what was done is forgotten: a pause until the heal, a move or a drain for ever.
const FORGOTTEN: f64 = 0.1;

/// Pauses a lease ten minutes after the beginning, for so long.
pub(crate) async fn pause_for_long(sim: Sim, millis: u64) {
    sleep(600_000).await;
    let first = steerable(&sim.state()).into_iter().next();
    let Some(key) = first else {
        return;
    };
    let at = Timestamp::from_millis(sim.now().0 as i64);
    sim.count(Fault::Paused);
    write(&sim, &mut sim.state(), &key, &Write::pause(at), true);
    sleep(millis).await;
    write(&sim, &mut sim.state(), &key, &Write::resume(), true);
}

/// Pauses shards, each for some time of its own, until the world is healed.
pub(crate) async fn pause_shards(sim: Sim, mean: u64) {
    let pause: Steer<LeaseKey> = |sim, dice, is_told| {
        let rows = steerable(&sim.state());
        if rows.is_empty() {
            return None;
        }
        let key = rows[dice.index(rows.len())].clone();
        let at = Timestamp::from_millis(sim.now().0 as i64);
        sim.count(Fault::Paused);
        write(sim, &mut sim.state(), &key, &Write::pause(at), is_told);
        Some(key)
    };
    let resume: Undo<LeaseKey> = |sim, key, is_told| {
        write(sim, &mut sim.state(), &key, &Write::resume(), is_told);
    };
    let dice = Dice::new(sim.world().seed, "which shard is paused");
    now_and_then((sim, mean), dice, (200.0, 60_000.0), pause, resume).await;
}

/// Moves leases to workers. Each move is taken back after some time, or forgotten.
pub(crate) async fn move_leases(sim: Sim, mean: u64) {
    let take_back: Undo<(LeaseKey, Assignee)> = |sim, (key, to), is_told| {
        // What is done in a healed world would move leases in a fleet that is to be at rest.
        if !sim.is_healed() {
            write(sim, &mut sim.state(), &key, &Write::unassign(to), is_told);
        }
    };
    let dice = Dice::new(sim.world().seed, "which lease is moved");
    now_and_then((sim, mean), dice, (500.0, 60_000.0), move_any, take_back).await;
}

/// Drains workers. Each drain is ended after some time, or forgotten.
pub(crate) async fn drain_workers(sim: Sim, mean: u64) {
    let drain: Steer<WorkerId> = |sim, dice, is_told| {
        let workers = sim.state().table.workers_at(sim.now());
        if workers.is_empty() {
            return None;
        }
        let worker = workers[dice.index(workers.len())].worker.clone();
        sim.count(Fault::Drained);
        set_draining(sim, &mut sim.state(), &worker, true, is_told);
        Some(worker)
    };
    let undrain: Undo<WorkerId> = |sim, worker, is_told| {
        if !sim.is_healed() {
            set_draining(sim, &mut sim.state(), &worker, false, is_told);
        }
    };
    let dice = Dice::new(sim.world().seed, "which worker is drained");
    now_and_then((sim, mean), dice, (500.0, 90_000.0), drain, undrain).await;
}

/// Does something, of which the workers are told or not. `None` if there is nothing to do it with.
type Steer<T> = fn(&Sim, &mut Dice, bool) -> Option<T>;
/// Takes back what was done.
type Undo<T> = fn(&Sim, T, bool);

/// Does something after a time that is `mean` on average, again and again until the world is healed;
/// and takes it back after a time between these two, in milliseconds, unless it is forgotten.
async fn now_and_then<T: Send + 'static>(
    (sim, mean): (Sim, u64),
    mut dice: Dice,
    (shortest, longest): (f64, f64),
    steer: Steer<T>,
    undo: Undo<T>,
) {
    loop {
        sleep(dice.wait(mean).max(10)).await;
        if sim.is_healed() {
            return;
        }
        let (is_told, is_forgotten) = (!dice.chance(NOT_ANNOUNCED), dice.chance(FORGOTTEN));
        let span = dice.log(shortest, longest) as u64;
        let Some(done) = steer(&sim, &mut dice, is_told) else {
            continue;
        };
        if !is_forgotten {
            let sim = sim.clone();
            spawn(async move {
                sleep(span).await;
                undo(&sim, done, is_told);
            });
        }
    }
}

/// The leases that are neither finished nor paused.
pub(super) fn steerable(state: &WorldState) -> Vec<LeaseKey> {
    let rows = state.table.leases();
    let rows = rows.filter(|row| !is_finished_or_paused(row));
    rows.map(|row| row.key.clone()).collect()
}

/// Assigns a lease to a worker, whoever they are: the worker may be dead.
fn move_any(sim: &Sim, dice: &mut Dice, is_told: bool) -> Option<(LeaseKey, Assignee)> {
    let mut state = sim.state();
    let rows = steerable(&state);
    let mut workers = state.table.workers_at(sim.now());
    workers.retain(|row| !row.leaving);
    if rows.is_empty() || workers.is_empty() {
        return None;
    }
    let key = rows[dice.index(rows.len())].clone();
    let row = &workers[dice.index(workers.len())];
    let to = Assignee::new(row.worker.clone(), row.incarnation.clone());
    state.counts.add(Fault::Assigned);
    write(sim, &mut state, &key, &Write::assign(to.clone()), is_told);
    Some((key, to))
}

/// In a healed world: moves two leases and drains a worker of those that live, if such things are done
/// in it. What comes of it is judged.
pub(crate) fn steer_healed(sim: &Sim, live: &[WorkerId]) {
    let chaos = &sim.world().chaos;
    let mut dice = Dice::new(sim.world().seed, "what is steered after the heal");
    // Where room is short, what it leaves would be left unread.
    let has_room = sim.world().fleet.caps.is_empty();
    if chaos.drains_every_ms > 0 && has_room && dice.chance(0.5) && !live.is_empty() {
        let worker = &live[dice.index(live.len())];
        sim.count(Fault::Drained);
        set_draining(
            sim,
            &mut sim.state(),
            worker,
            true,
            !dice.chance(NOT_ANNOUNCED),
        );
    }
    if chaos.moves_every_ms > 0 {
        for _ in 0..2 {
            let is_told = !dice.chance(NOT_ANNOUNCED);
            move_any(sim, &mut dice, is_told);
        }
    }
}

/// Ends the drain of everybody.
pub(crate) fn undrain_all(sim: &Sim) {
    let mut state = sim.state();
    for row in state.table.workers_at(sim.now()) {
        set_draining(sim, &mut state, &row.worker, false, true);
    }
}

/// Writes past all faults.
fn set_draining(sim: &Sim, state: &mut WorldState, worker: &WorkerId, on: bool, is_told: bool) {
    let now = sim.now();
    let Some(row) = state.table.worker(worker).cloned() else {
        return;
    };
    let Some(next) = row.with_draining(on).filter(|_| !row.leaving) else {
        return;
    };
    let (seen, next): (&WorkerRow, &WorkerRow) = (&row, &next);
    let written = state
        .table
        .worker_write(worker, Some(seen), Some(next), now);
    if written.is_ok() {
        if is_told {
            state.table.announce(&[Changed::Worker(worker.clone())]);
        }
        let worker = worker.clone();
        state.say(now, Event::Drained { worker, on });
    }
}

/// Resumes what is still paused.
pub(crate) fn resume_all(sim: &Sim) {
    let mut state = sim.state();
    let paused: Vec<LeaseKey> = state
        .table
        .leases()
        .filter(|row| row.is_paused())
        .map(|row| row.key.clone())
        .collect();
    for key in paused {
        write(sim, &mut state, &key, &Write::resume(), true);
    }
}

fn is_finished_or_paused(row: &Lease) -> bool {
    row.checkpoint.is_shard_end() || row.is_paused()
}

/// Writes past all faults. A row that cannot be read, or is gone, stays as it is.
pub(super) fn write(
    sim: &Sim,
    state: &mut WorldState,
    key: &LeaseKey,
    write: &Write,
    is_told: bool,
) {
    let now = sim.now();
    if let Ok(row) = state.table.update(key, write, now) {
        let key = key.clone();
        if is_told {
            state.table.announce(&[Changed::Lease(key.clone())]);
        }
        let event = match &write.change {
            Change::Assign { .. } | Change::Unassign => Event::Assigned {
                key,
                to: row.assigned_to.map(|to| to.worker),
            },
            _ => Event::Paused {
                on: row.is_paused(),
                key,
            },
        };
        state.say(now, event);
    }
}
