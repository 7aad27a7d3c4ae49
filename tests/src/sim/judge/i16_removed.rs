use std::collections::BTreeMap;

use crate::sim::history::{Call, Entry, Event, LifeId};
use crate::sim::runtime::At;

use super::fold::{Fold, See, Sink};

/// I16: of a stream that a worker was told to read no more, it soon hands out nothing more.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Since when, of each process and stream of the world.
    removed: BTreeMap<(LifeId, usize), At>,
}

/// How long a worker may take to hear of it, in milliseconds. A write on a lease that is under way
/// then comes first: it is answered, or given up, long before the failover time.
const HEARS_MS: u64 = 1_000;

impl Fold for Removed {
    fn name(&self) -> &'static str {
        "I16 removed streams"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        match &entry.event {
            Event::Reads {
                life,
                stream,
                on: false,
            } => drop(self.removed.insert((*life, *stream), entry.at)),
            Event::Reads {
                life,
                stream,
                on: true,
            } => drop(self.removed.remove(&(*life, *stream))),
            Event::Thawed { life } => {
                // It hears of what came while it stood still.
                self.removed
                    .iter_mut()
                    .filter(|((of, _), _)| of == life)
                    .for_each(|(_, since)| *since = entry.at);
            }
            Event::Called {
                processor,
                call: Call::Process { attempt: 1, .. },
            } => {
                let info = see.board.processor(*processor);
                let Some(stream) = see
                    .stream
                    .shards()
                    .get(info.shard)
                    .map(|shard| shard.stream)
                else {
                    return;
                };
                let Some(since) = self.removed.get(&(info.life, stream)) else {
                    return;
                };
                let slot = see.board.lives.get(&info.life).map_or(0, |life| life.slot);
                sink.check(
                    entry.at.since(*since) <= HEARS_MS + see.world.fleet.failover_of(slot),
                    || {
                        format!(
                            "{}: {:?} hands out records of a stream that was removed at {since}",
                            info.key, info.life
                        )
                    },
                );
            }
            _ => {}
        }
    }
}
