//! Answers that say that a shard has ended when it has not, as emulators and proxies give them.

use kcl_core::model::{ChildShard, Shard};

use crate::sim::counts::Fault;
use crate::sim::history::Event;
use crate::sim::link::Life;
use crate::sim::mutant::Mutant;
use crate::sim::state::WorldState;

/// A worker may be told for so long that a closed shard has ended: shorter than it takes until that
/// is believed.
const LASTING_S: u64 = 12;

/// How often an answer of this shard says so, when it is `rate` for an open one. A closed one is
/// not read for long.
pub(super) fn chance(state: &WorldState, index: usize, rate: f64) -> f64 {
    if state.stream.shards()[index].is_open() {
        rate
    } else {
        (rate * 10.0).min(0.5)
    }
}

/// Whether what this process is answered of a shard says so. `is_drawn`: chance is for it;
/// `is_last`: it is true once these records are read.
///
/// Of a closed shard with records left it is said again and again for up to [`LASTING_S`], and then
/// not before new records have come. The listing shows it closed: who is told so for ever, by
/// whoever never names the shards that follow, has to believe it. A page of one record may hold the
/// last one again.
pub(super) fn is_told(
    life: &Life,
    state: &mut WorldState,
    index: usize,
    records: usize,
    is_last: bool,
    is_drawn: bool,
) -> bool {
    let key = (life.id, index);
    let again = state.told_end.contains_key(&key);
    if again && life.sim.mutant() == Some(Mutant::EndWithoutListing) {
        return true;
    }
    let has_ended = is_last && records == 0;
    let is_closed = !state.stream.shards()[index].is_open();
    let now = life.sim.now();
    let lasts = is_closed
        && state
            .told_end
            .get(&key)
            .is_some_and(|first| now.since(*first) < lasting_ms(life, index));
    if has_ended || !(is_drawn || lasts) || (is_closed && again && !lasts) {
        if records > 1 {
            state.told_end.remove(&key);
        }
        return false;
    }
    state.told_end.entry(key).or_insert(now);
    state.counts.add(Fault::FalseEnd);
    state.say(
        now,
        Event::FalseEnd {
            life: life.id,
            shard: index,
        },
    );
    true
}

/// How long it is said of a closed shard to this process. Not drawn, so that nothing else that is
/// drawn moves.
fn lasting_ms(life: &Life, index: usize) -> u64 {
    (7 * u64::from(life.id.0) + 5 * index as u64) % (LASTING_S + 1) * 1000
}

/// The children that a mutant names with an answer that says falsely that a closed shard has ended:
/// it is then believed at once.
pub(super) fn named(life: &Life, state: &WorldState, index: usize) -> Vec<ChildShard> {
    match life.sim.mutant() {
        Some(Mutant::UnnamedEndBelieved) => state.stream.shards()[index].children.clone(),
        _ => Vec::new(),
    }
}

/// What a mutant makes of the listing: it says what an answer said.
pub(super) fn list(life: &Life, state: &WorldState, stream: usize, shards: &mut [Shard]) {
    if life.sim.mutant() != Some(Mutant::EndWithoutListing) {
        return;
    }
    for shard in shards {
        let index = state
            .stream
            .shard(stream, &shard.id)
            .map(|(index, _)| index);
        shard.closed |= index.is_some_and(|index| state.told_end.contains_key(&(life.id, index)));
    }
}
