//! Streams that a worker reads for a part of its life.

use std::sync::Arc;

use kcl_core::worker::StreamConfig;

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::fakes::SimStream;
use crate::sim::history::Event;
use crate::sim::link::Life;
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::state::Sim;

use super::process::{Process, Processes};

/// How long a worker does not read a stream at the most, in milliseconds.
const AWAY_MS: u64 = 60_000;

fn name(stream: usize) -> String {
    format!("sim-{stream}")
}

/// A stream of the world as this process is to read it.
pub(super) fn config(life: &Arc<Life>, stream: usize) -> StreamConfig {
    StreamConfig::new(name(stream)).source(SimStream::new(Arc::clone(life), stream))
}

/// The streams that a new process does not read from its beginning.
pub(super) fn not_yet(life: &Life) -> Vec<usize> {
    let (sim, world) = (&life.sim, life.sim.world());
    if world.chaos.streams_every_ms == 0 || world.streams == 1 || sim.is_healed() {
        return Vec::new();
    }
    let mut dice = Dice::new(world.seed, &format!("streams of life {}", life.id.0));
    (0..world.streams).filter(|_| dice.chance(0.2)).collect()
}

/// Has these streams added some time later.
pub(super) fn add_later(processes: &Processes, process: &Process, streams: Vec<usize>) {
    for stream in streams {
        let mut dice = Dice::new(
            process.life.sim.world().seed,
            &format!("stream {stream} of life {}", process.life.id.0),
        );
        let after = dice.range(0, AWAY_MS);
        process.life.sim.say(Event::Reads {
            life: process.life.id,
            stream,
            on: false,
        });
        spawn(add(processes.clone(), process.clone(), stream, after));
    }
}

/// Takes a stream from a worker, and gives it back some time later.
pub(super) fn change(sim: &Sim, processes: &Processes, dice: &mut Dice, process: &Process) {
    let (stream, after) = (dice.index(sim.world().streams), dice.range(100, AWAY_MS));
    // False when it is not read already: whoever took it gives it back.
    let is_deaf = sim.mutant() == Some(Mutant::DeafToRemoval);
    if is_deaf || process.worker.remove_stream(&name(stream)) == Ok(true) {
        sim.count(Fault::StreamRemoved);
        sim.say(Event::Reads {
            life: process.life.id,
            stream,
            on: false,
        });
        spawn(add(processes.clone(), process.clone(), stream, after));
    }
}

async fn add(processes: Processes, process: Process, stream: usize, after: u64) {
    let Process { life, worker } = process;
    tokio::select! {
        biased;
        () = life.sim.until_healed() => {}
        () = sleep(after) => {}
    }
    if !processes.has(life.id) {
        return;
    }
    life.sim.say(Event::Reads {
        life: life.id,
        stream,
        on: true,
    });
    if let Err(error) = worker.add_stream(config(&life, stream)) {
        life.sim
            .state()
            .judge
            .defect(format!("a stream could not be added: {error}"));
    }
}
