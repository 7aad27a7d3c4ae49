use std::collections::BTreeMap;

use kcl_core::model::{Checkpoint, LeaseKey};

use crate::sim::history::{Entry, Event};

use super::fold::{Fold, See, Sink};

/// I1: a stored checkpoint never goes back, but by a seek, and the shard's end is final, also over a row that
/// vanished and was made again.
#[derive(Debug, Default)]
pub(super) struct NoRegress {
    highest: BTreeMap<LeaseKey, Checkpoint>,
}

impl Fold for NoRegress {
    fn name(&self) -> &'static str {
        "I1 no regress"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        // An operator may set it to any place, from which it goes on.
        if let Event::Sought { after, .. } = &entry.event {
            let place = after.checkpoint.clone();
            self.highest.insert(after.key.clone(), place);
        }
        let Event::Written(written) = &entry.event else {
            return;
        };
        let Some(after) = written.after.as_ref().filter(|_| written.accepted) else {
            return;
        };
        // A row that is made anew for a shard that has left gives nothing a second time.
        let left = see
            .stream
            .leased(&written.key)
            .is_some_and(|(_, shard)| shard.left.is_some());
        match self.highest.get_mut(&written.key) {
            Some(highest) => {
                sink.check(after.checkpoint >= *highest || left, || {
                    format!(
                        "{}: {:?} took the checkpoint from {highest} to {}",
                        written.key, written.life, after.checkpoint
                    )
                });
                if after.checkpoint > *highest {
                    highest.clone_from(&after.checkpoint);
                }
            }
            None => drop(
                self.highest
                    .insert(written.key.clone(), after.checkpoint.clone()),
            ),
        }
    }
}
