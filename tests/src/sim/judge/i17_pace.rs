use std::collections::BTreeMap;

use crate::sim::history::{Entry, Event, LifeId};
use crate::sim::runtime::At;

use super::fold::{Fold, See, Sink};

/// I17: a worker asks for a subscription to a shard at most once a second, as long as it holds the
/// lease. Where it still gives up the lease of a shard of the same name, of a stream that was
/// deleted, two may ask.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last call for each shard: whose, when, and the fence of the lease then; none of those
    /// that two may have made.
    asked: BTreeMap<usize, (LifeId, At, Option<u64>)>,
}

/// The service allows a call a second.
const BETWEEN_MS: u64 = 1_000;

impl Fold for Pace {
    fn name(&self) -> &'static str {
        "I17 pace of subscriptions"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Subscribing { life, shard } = entry.event else {
            return;
        };
        if has_former(life, shard, see) {
            self.asked.remove(&shard);
            return;
        }
        let fence = see
            .board
            .current_of(&see.stream.shards()[shard].key)
            .map(|tenancy| tenancy.fence);
        let last = self.asked.insert(shard, (life, entry.at, fence));
        let Some((_, at, _)) = last.filter(|(of, _, was)| *of == life && *was == fence) else {
            return;
        };
        // By the worker's own clock, which may run faster than the world's; a moment is rounded to
        // its millisecond.
        let least = BETWEEN_MS - BETWEEN_MS * see.world.fleet.drift_ppm / 1_000_000 - 1;
        sink.check(entry.at.since(at) >= least, || {
            format!(
                "{life:?} asks for a subscription to {} again after {} ms",
                see.stream.shards()[shard].key,
                entry.at.since(at)
            )
        });
    }
}

/// Whether the process holds the lease of a shard of the same name, of the stream that was deleted.
fn has_former(life: LifeId, shard: usize, see: &See<'_>) -> bool {
    let shards = see.stream.shards();
    let now = &shards[shard];
    let mut former = shards
        .iter()
        .filter(|one| one.deleted && one.stream == now.stream && one.id() == now.id());
    former.any(|one| {
        see.board
            .current_of(&one.key)
            .is_some_and(|tenancy| tenancy.life == life)
    })
}
