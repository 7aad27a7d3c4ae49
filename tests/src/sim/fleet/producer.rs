use crate::sim::dice::Dice;
use crate::sim::history::Event;
use crate::sim::runtime::sleep;
use crate::sim::state::Sim;
use crate::sim::world::SimLoad;

/// How often producers put, in milliseconds: several times between two records of a shard.
fn tick(load: &SimLoad) -> u64 {
    (load.every_ms / 8).clamp(250, 60_000)
}

/// Puts records until the world is healed, and a last one into each open shard after it.
pub(crate) async fn produce(sim: Sim) {
    let mut dice = Dice::new(sim.world().seed, "producer");
    let load = sim.world().load.clone();
    while !sim.is_healed() {
        put_some(&sim, &load, &mut dice);
        sleep(tick(&load)).await;
    }
    sleep(1_000).await;
    let now = sim.now();
    let mut state = sim.state();
    for shard in state.stream.open_shards() {
        state.stream.put(shard, 1, now);
        state.say(now, Event::Put { shard, records: 1 });
    }
}

fn put_some(sim: &Sim, load: &SimLoad, dice: &mut Dice) {
    let now = sim.now();
    let mut state = sim.state();
    for shard in state.stream.open_shards() {
        if state.stream.shards()[shard].quiet
            || !dice.chance(tick(load) as f64 / load.every_ms as f64)
        {
            continue;
        }
        let records = if dice.chance(load.burst) {
            dice.range(5, 60)
        } else {
            1
        };
        for _ in 0..records {
            let users = if dice.chance(load.aggregated) {
                dice.range(2, 6) as u32
            } else {
                1
            };
            state.stream.put(shard, users, now);
            state.say(
                now,
                Event::Put {
                    shard,
                    records: users,
                },
            );
        }
    }
}
