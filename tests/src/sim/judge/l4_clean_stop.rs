use std::collections::BTreeMap;

use crate::sim::history::{Entry, Event, LifeId};

use super::fold::{Fold, See, Sink};

/// L4: a shard that a graceful stop reports as drained gives no duplicate: everything that was done
/// is stored. Where the application stores checkpoints itself, that is its own affair; and a process
/// that stood still in its stop may have had no time left for what was at work.
#[derive(Debug, Default)]
pub(super) struct CleanStop {
    /// The processes that are stopping, and whether one has stood still since then.
    stopping: BTreeMap<LifeId, bool>,
}

impl Fold for CleanStop {
    fn name(&self) -> &'static str {
        "L4 clean stop"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let (life, drained) = match &entry.event {
            Event::StopAsked { life } => {
                self.stopping.insert(*life, false);
                return;
            }
            Event::Frozen { life, .. } => {
                if let Some(stood_still) = self.stopping.get_mut(life) {
                    *stood_still = true;
                }
                return;
            }
            Event::Stopped { life, drained, .. } => (life, drained),
            _ => return,
        };
        let stood_still = self.stopping.remove(life).unwrap_or(false);
        if stood_still || !see.world.handlers.automatic() {
            return;
        }
        for (key, checkpoint) in drained {
            let Some((_, shard)) = see.stream.leased(key).filter(|(_, shard)| !shard.deleted)
            else {
                continue;
            };
            let facts = see
                .table
                .get(key)
                .map(|row| row.facts.clone())
                .unwrap_or_default();
            let stored = shard.after(checkpoint, &facts);
            let last = see
                .board
                .processors
                .iter()
                .rev()
                .find(|info| info.life == *life && info.key == *key);
            let done = last.map_or(0, |info| info.done_to);
            // The first record that is not stored was gathered and not given: what is done behind it
            // comes again.
            let is_held_up = last
                .is_some_and(|info| !info.handled.is_empty() && !info.handled.contains(&stored));
            // A flush fails as a whole, although some of its records were handled before the one that
            // failed.
            let is_in_failed_flush = last.is_some_and(|info| info.failed.contains(&done));
            sink.check(stored >= done || is_held_up || is_in_failed_flush, || {
                format!(
                    "{key}: {life:?} drained it at {checkpoint} and had done the records \
                    below {done}"
                )
            });
        }
    }
}
