//! What is not the same for all workers of a world, or not for the whole of it.
//!
//! Each is drawn with dice of its own: a world in which all of it is off is the one that its seed
//! gave before there was any of it.

use kcl_core::worker::Liveness;

use crate::sim::dice::Dice;

use super::{Style, World};

pub(super) fn draw(world: &mut World) {
    let (seed, shards, workers) = (world.seed, u64::from(world.shards), world.fleet.workers);
    let mut dice = Dice::new(seed, "caps");
    if dice.chance(0.2) {
        world.fleet.caps = caps(&mut dice, workers, shards);
    }
    let mut dice = Dice::new(seed, "failovers");
    if dice.chance(0.2) && workers > 1 {
        let usual = world.fleet.failover_ms;
        let one = |_| (usual * dice.pick(&[1, 2, 2, 4]) / 2).clamp(2_000, 30_000);
        world.fleet.failovers_ms = (0..workers).map(one).collect();
    }
    let mut dice = Dice::new(seed, "stream changes");
    if world.streams > 1 && dice.chance(0.5) {
        world.chaos.streams_every_ms = dice.log(8_000.0, 60_000.0) as u64;
    }
    let mut dice = Dice::new(seed, "out of reach");
    // The others need room for what it leaves.
    if workers > 1 && world.fleet.caps.is_empty() && dice.chance(0.2) {
        world.chaos.out_of_reach_ms = world.faults_ms * dice.range(50, 99) / 100;
    }
    let mut dice = Dice::new(seed, "replaced stream");
    // Where there is one stream it is the end of all reading.
    if dice.chance(if world.streams > 1 { 0.4 } else { 0.05 }) {
        world.chaos.replaced_ms = world.faults_ms * dice.range(30, 95) / 100;
    }
    let mut dice = Dice::new(seed, "malformed row");
    if dice.chance(0.15) {
        world.chaos.malformed_ms = world.faults_ms * dice.range(20, 98) / 100;
    }
    let mut dice = Dice::new(seed, "handlers of records");
    if world.handlers.automatic() && dice.chance(0.4) {
        let styles = [Style::InOrder, Style::ByKey, Style::ByKey, Style::Unordered];
        world.handlers.styles = (0..dice.range(1, 2)).map(|_| dice.pick(&styles)).collect();
    }
    let mut dice = Dice::new(seed, "handlers of buffers");
    if world.handlers.styles == [Style::Automatic] && dice.chance(0.3) {
        world.handlers.styles = vec![Style::Buffered];
    }
    let mut dice = Dice::new(seed, "shared buffers");
    if world.handlers.styles == [Style::Automatic] && dice.chance(0.25) {
        world.handlers.styles = vec![Style::SharedBuffer];
    }
    let mut dice = Dice::new(seed, "idle calls");
    if dice.chance(0.15) {
        world.fleet.idle_every_ms = dice.pick(&[50, 500, 5_000]);
    }
    let mut dice = Dice::new(seed, "capacities");
    if workers > 1 && dice.chance(0.4) {
        let of: &[u32] = if dice.chance(0.7) {
            &[1, 1, 2, 4, 16]
        } else {
            &[0, 1, 2]
        };
        world.fleet.capacities = (0..workers).map(|_| dice.pick(of)).collect();
    }
    let mut dice = Dice::new(seed, "pauses");
    // A shard that is resumed may come to the process that is out of reach, long after the others
    // have shown that they read all.
    if world.chaos.out_of_reach_ms == 0 && dice.chance(0.15) {
        world.chaos.pauses_every_ms = dice.log(4_000.0, 40_000.0) as u64;
    }
    let mut dice = Dice::new(seed, "moves");
    if workers > 1 && dice.chance(0.2) {
        world.chaos.moves_every_ms = dice.log(4_000.0, 40_000.0) as u64;
    }
    let mut dice = Dice::new(seed, "drains");
    if workers > 1 && dice.chance(0.2) {
        world.chaos.drains_every_ms = dice.log(8_000.0, 60_000.0) as u64;
    }
    let mut dice = Dice::new(seed, "seeks");
    // As with pauses; and nobody can say what a seek in a stream that is made again should do.
    let chaos = &mut world.chaos;
    if chaos.out_of_reach_ms == 0 && chaos.replaced_ms == 0 && dice.chance(0.12) {
        chaos.seeks_every_ms = dice.log(4_000.0, 40_000.0) as u64;
    }
    let mut dice = Dice::new(seed, "liveness");
    if dice.chance(0.2) {
        world.fleet.liveness = vec![Liveness::Kcl; workers];
    } else if dice.chance(0.4) {
        let settings = [
            Liveness::Auto,
            Liveness::Fleet,
            Liveness::Compatible,
            Liveness::Kcl,
        ];
        world.fleet.liveness = (0..workers).map(|_| dice.pick(&settings)).collect();
    }
    let mut dice = Dice::new(seed, "false ends");
    world.stream.false_end = dice.rate(0.2, 0.003, 0.1);
}

/// A bound for each worker: with room for all shards in two of three worlds, with too little of it
/// in the others.
fn caps(dice: &mut Dice, workers: usize, shards: u64) -> Vec<usize> {
    let enough = dice.chance(2.0 / 3.0);
    let most = if enough {
        shards
    } else {
        (shards / workers as u64).max(1)
    };
    let mut caps: Vec<usize> = (0..workers).map(|_| dice.range(1, most) as usize).collect();
    if enough {
        let without = dice.index(workers);
        caps[without] = usize::MAX;
    }
    caps
}
