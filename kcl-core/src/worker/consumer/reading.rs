//! What is reported when a shard can no longer be read and when it can be read again, and what
//! follows if other workers can read it.

use std::sync::Arc;

use crate::decide::reading::{Failing, ReadingChange};
use crate::tenancy::held::ProgressReporter;
use crate::worker::event::Event;

use super::{GiveUp, ShardConsumer};

impl ShardConsumer {
    /// A handle to report that this shard's loop makes progress, and the results of the calls that
    /// read it.
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

    /// Whether to leave the shard to another worker because this one cannot reach it.
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
