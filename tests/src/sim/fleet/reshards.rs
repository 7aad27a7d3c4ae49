use kcl_core::model::HashKeyRange;

use crate::sim::dice::Dice;
use crate::sim::history::Event;
use crate::sim::runtime::{At, sleep};
use crate::sim::state::{Sim, WorldState};
use crate::sim::truth::ShardTruth;

/// Opens the shards that the stream begins with.
pub(crate) fn open_first(sim: &Sim) {
    let mut dice = Dice::new(sim.world().seed, "first shards");
    let mut state = sim.state();
    for stream in 0..sim.world().streams {
        open(sim, &mut state, stream, At(0), &mut dice);
    }
}

/// Opens the shards that a stream begins with: its part of all, and they cover all hash keys.
pub(crate) fn open(sim: &Sim, state: &mut WorldState, stream: usize, at: At, dice: &mut Dice) {
    let (shards, streams) = (sim.world().shards as usize, sim.world().streams);
    let count = ((shards - stream).div_ceil(streams)) as u128;
    let width = u128::MAX / count;
    for index in 0..count {
        let end = if index + 1 == count {
            u128::MAX
        } else {
            (index + 1) * width - 1
        };
        if let Ok(range) = HashKeyRange::new(index * width, end) {
            let shard =
                state
                    .stream
                    .open(stream, range, &[], at, dice.chance(sim.world().load.quiet));
            state.say(
                at,
                Event::Opened {
                    shard,
                    parents: Vec::new(),
                },
            );
        }
    }
}

/// Splits and merges shards until the world is healed.
pub(crate) async fn reshard(sim: Sim) {
    let load = sim.world().load.clone();
    if load.reshard_every_ms == 0 {
        return;
    }
    let mut dice = Dice::new(sim.world().seed, "reshards");
    // As many shards as a world may have at its end: a chain of splits does not grow for ever.
    let most = sim.world().shards as usize * 2 + 4;
    loop {
        sleep(dice.wait(load.reshard_every_ms).max(50)).await;
        if sim.is_healed() {
            return;
        }
        // A reshard of the whole stream doubles or halves all shards at once.
        let times = if dice.chance(0.15) { 4 } else { 1 };
        let now = sim.now();
        let mut state = sim.state();
        for _ in 0..times {
            let open = state.stream.open_shards();
            let shard = open[dice.index(open.len())];
            let quiet = dice.chance(load.quiet);
            if dice.chance(0.5) && open.len() < most {
                split(&mut state, shard, now, quiet);
            } else if let Some((other, child)) = state.stream.merge(shard, now, quiet) {
                state.say(
                    now,
                    Event::Opened {
                        shard: child,
                        parents: vec![shard, other],
                    },
                );
            }
        }
    }
}

/// Splits a shard in the middle of its hash keys, if it can be split.
pub(crate) fn split(state: &mut WorldState, shard: usize, now: At, quiet: bool) {
    for child in state.stream.split(shard, now, quiet).unwrap_or_default() {
        state.say(
            now,
            Event::Opened {
                shard: child,
                parents: vec![shard],
            },
        );
    }
}

/// Lets records go that are older than the retention, until the world is healed.
pub(crate) async fn retain(sim: Sim) {
    let retention = sim.world().load.retention_ms;
    if retention == 0 {
        return;
    }
    loop {
        sleep(1_000).await;
        if sim.is_healed() {
            return;
        }
        let now = sim.now();
        let mut state = sim.state();
        let before: Vec<u32> = state
            .stream
            .shards()
            .iter()
            .map(ShardTruth::trimmed)
            .collect();
        let left = state.stream.trim(At(now.0.saturating_sub(retention)), now);
        for (shard, before) in before.into_iter().enumerate() {
            let (trimmed, left) = (
                state.stream.shards()[shard].trimmed(),
                left.contains(&shard),
            );
            if trimmed > before || left {
                state.say(
                    now,
                    Event::Trimmed {
                        shard,
                        up_to: trimmed,
                        left,
                    },
                );
            }
        }
    }
}
