//! What is said when a shard is not read any more and when it is again, and what follows if others
//! can read it.

use std::sync::Arc;

use crate::decide::reading::{Failing, ReadingChange};
use crate::tenancy::held::ProgressReporter;
use crate::worker::event::Event;

use super::{GiveUp, ShardConsumer};

impl ShardConsumer {
    /// A handle for saying that this shard's loop turned, and what the calls that read it came to.
    pub(super) fn turns(&self) -> ProgressReporter {
        let (outlet, shard) = (self.inner.outlet.clone(), self.shard.clone());
        let listener = move |news: ReadingChange, error: Arc<str>| match news {
            ReadingChange::Fails(Failing {
                since,
                last,
                attempts,
                ..
            }) => {
                let (shard, for_long) = (shard.clone(), last.since(since));
                outlet.say(Event::ReadingFails {
                    shard,
                    for_long,
                    attempts,
                    error,
                });
            }
            ReadingChange::GoesOn(Failing { attempts, .. }) => {
                outlet.say(Event::ReadingGoesOn {
                    shard: shard.clone(),
                    attempts,
                });
            }
        };
        self.held.told_turns(
            Arc::clone(&self.clock),
            self.inner.parts.settings.failover,
            Arc::new(listener),
        )
    }

    /// Whether the shard is to be left to another worker because this one does not get through to
    /// it.
    pub(super) fn leaves_to_others(&mut self) -> bool {
        let Some(error) = self.held.out_of_reach() else {
            return false;
        };
        self.say_unreadable(&error);
        self.give_up.get_or_insert(GiveUp::Unreadable(error));
        self.feed = None;
        true
    }
}
