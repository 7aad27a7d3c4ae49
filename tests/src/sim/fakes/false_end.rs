//! Answers that say that a shard has ended when it has not, as emulators and proxies give them.

use kcl_core::model::Shard;

use crate::sim::counts::Fault;
use crate::sim::history::Event;
use crate::sim::link::Life;
use crate::sim::mutant::Mutant;
use crate::sim::state::WorldState;

/// How often an answer of this shard says so, when it is `rate` for an open one. A closed one is not read for long.
pub(super) fn chance(state: &WorldState, index: usize, rate: f64) -> f64 {
    if state.stream.shards()[index].is_open() { rate } else { (rate * 10.0).min(0.5) }
}

/// Whether what this process is answered of a shard says so. `is_drawn`: chance is for it; `is_last`: it is true once these records are
/// read.
///
/// Of a closed shard with records left it is not said a second time before new records have come. The listing shows it closed: who is
/// told so twice, by whoever never names the shards that follow, has to believe it. A page of one record may hold the last one again.
pub(super) fn is_told(life: &Life, state: &mut WorldState, index: usize, records: usize, is_last: bool, is_drawn: bool) -> bool {
    let key = (life.id, index);
    let again = state.told_end.contains(&key);
    if again && life.sim.mutant() == Some(Mutant::EndWithoutListing) {
        return true;
    }
    let has_ended = is_last && records == 0;
    let is_closed = !state.stream.shards()[index].is_open();
    if has_ended || !is_drawn || (is_closed && again) {
        if records > 1 {
            state.told_end.remove(&key);
        }
        return false;
    }
    state.told_end.insert(key);
    state.counts.add(Fault::FalseEnd);
    state.say(life.sim.now(), Event::FalseEnd { life: life.id, shard: index });
    true
}

/// What a mutant makes of the listing: it says what an answer said.
pub(super) fn list(life: &Life, state: &WorldState, stream: usize, shards: &mut [Shard]) {
    if life.sim.mutant() != Some(Mutant::EndWithoutListing) {
        return;
    }
    for shard in shards {
        let index = state.stream.shard(stream, &shard.id).map(|(index, _)| index);
        shard.closed |= index.is_some_and(|index| state.told_end.contains(&(life.id, index)));
    }
}
