//! An operator, who pauses shards and resumes them, and is interrupted now and then.

use kcl_core::lease::{Changed, Write};
use kcl_core::model::{LeaseKey, Timestamp};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::Event;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::state::{Sim, WorldState};

/// How often the workers are not told of what the operator does: they see it with a scan.
const NOT_ANNOUNCED: f64 = 0.2;
/// How often a shard that was paused is forgotten, until the heal.
const FORGOTTEN: f64 = 0.1;

/// Pauses shards, each for some time of its own, until the world is healed.
pub(crate) async fn pause_shards(sim: Sim, mean: u64) {
    let mut dice = Dice::new(sim.world().seed, "which shard is paused");
    loop {
        sleep(dice.wait(mean).max(10)).await;
        if sim.is_healed() {
            return;
        }
        let (is_told, is_forgotten) = (!dice.chance(NOT_ANNOUNCED), dice.chance(FORGOTTEN));
        let span = dice.log(200.0, 60_000.0) as u64;
        let rows: Vec<LeaseKey> = {
            let state = sim.state();
            let unfinished = |row: &&_| !is_finished_or_paused(row);
            let rows = state.table.leases().filter(unfinished);
            rows.map(|row| row.key.clone()).collect()
        };
        if rows.is_empty() {
            continue;
        }
        let key = rows[dice.index(rows.len())].clone();
        let at = Timestamp::from_millis(sim.now().0 as i64);
        sim.count(Fault::Paused);
        write(&sim, &mut sim.state(), &key, &Write::pause(at), is_told);
        if !is_forgotten {
            let sim = sim.clone();
            spawn(async move {
                sleep(span).await;
                write(&sim, &mut sim.state(), &key, &Write::resume(), is_told);
            });
        }
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

fn is_finished_or_paused(row: &kcl_core::model::Lease) -> bool {
    row.checkpoint.is_shard_end() || row.is_paused()
}

/// Writes past all faults. A row that cannot be read, or is gone, stays as it is.
fn write(sim: &Sim, state: &mut WorldState, key: &LeaseKey, write: &Write, is_told: bool) {
    let now = sim.now();
    if let Ok(row) = state.table.update(key, write, now) {
        let (key, on) = (key.clone(), row.is_paused());
        if is_told {
            state.table.announce(&[Changed::Lease(key.clone())]);
        }
        state.say(now, Event::Paused { key, on });
    }
}
