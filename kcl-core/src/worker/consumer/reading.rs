//! What is reported when a shard can no longer be read and when it can be read again, and what
//! follows if other workers can read it.
//!
//! A lease is renewed only while its consumer makes progress, and calls that fail for a cause of
//! this process or its network are none. `crate::decide::reading` judges that; here the judgement
//! becomes events.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::reading::{Failing, ReadingChange};
use crate::fetch::Batch;
use crate::tenancy::held::ProgressReporter;
use crate::worker::event::Event;

use super::{GiveUp, ShardConsumer};

impl ShardConsumer {
    /// A handle to report that this shard's loop makes progress, and the results of the calls that
    /// read it. The fetching side and the waits of this consumer each hold one, and all of them
    /// report to the same lease. Only an answer of the stream ends a run of failures.
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

    /// A batch was taken in hand: it is part of what the shard carries. How far behind the tip it is
    /// includes how long it has waited for its handler.
    pub(super) fn weigh(&self, batch: &Batch) {
        let waited = self.clock.now().since(batch.fetched);
        let behind = batch
            .millis_behind_latest
            .map(|millis| waited + Duration::from_millis(millis));
        self.held
            .took_in(batch.bytes(), batch.records.len(), behind);
    }

    /// Whether to leave the shard to another worker because this one cannot reach it. If so, the
    /// shard is reported as unreadable and given up. It asks only at points where the lease can be
    /// released without losing records: between two commands, and before the end is stored.
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
