//! The end of a shard, once it is confirmed: the call of the processor, and how the end is stored.
//!
//! ```text
//!   shard_ended -> Ok  ->  create the children's leases  ->  store SHARD_END, free the lease
//!                |                     |                                |
//!              crash                 crash                            crash
//!         called again         created if absent, so        all done: the children's
//!         by the next owner    nothing is created twice     gates open
//! ```
//!
//! From the first step on, the row of the shard is what the children wait for. So each step may be
//! repeated by any worker after a crash, and none leaves a child without a lease.

use std::sync::Arc;

use crate::decide::consumer::Step;
use crate::lease::with_causes;
use crate::model::ShardId;
use crate::processor::ShardEndedInput;
use crate::tenancy::held::OrderError;
use crate::worker::event::HandlerCall;

use super::ShardConsumer;

impl ShardConsumer {
    /// The last call of a shard that is read to its end. It is repeated until it succeeds: the end
    /// is not stored before, so that another worker makes the call if this one crashes. The lease
    /// is checked last before the call, as before each delivery: a worker that has lost it must not
    /// tell its application that the shard is finished.
    pub(super) async fn call_shard_ended(&mut self) -> Step {
        self.feed = None;
        if !self.held.is_valid(self.clock.now()) {
            return self.lose();
        }
        let (shard, child_shards) = (self.shard.clone(), self.children.clone());
        let input = ShardEndedInput {
            shard,
            child_shards,
            attempt: self.failures + 1,
        };
        match self.call(|processor| processor.shard_ended(input)).await {
            Ok(Ok(())) => Step::ShardEnded,
            Ok(Err(error)) | Err(error) => {
                let starts_over = self.asks_to_start_over(&*error);
                let failed = self.call_failed(HandlerCall::ShardEnded, None, &*error);
                if starts_over {
                    self.start_over()
                } else {
                    failed
                }
            }
        }
    }

    /// Creates the children's leases first, so that they exist before the parent's end is stored.
    /// If the end were stored first, a crash would leave children that nobody creates until the
    /// next audit. Only a lost lease interrupts this step. A stop does not: one write is left, and
    /// giving the shard up here would make the next owner call `shard_ended` a second time.
    ///
    /// Children that the answer did not name come back with the result, found from the listing or
    /// the rows.
    pub(super) async fn store_end(&mut self) -> Step {
        let turns = self.held.turns(Arc::clone(&self.clock));
        let made = tokio::select! {
            biased;
            _ = self.held.lost() => return self.signal_or_wait(),
            made = turns.while_waiting(self.coordination.make_children(Arc::clone(&self.stream), self.row.key.clone(), self.children.clone())) => made,
        };
        let children = match made {
            Ok(children) => children,
            Err(unanswered) => {
                let failed = self.unanswered("to make the leases of the child shards", &unanswered);
                // Another worker may be able to reach the stream, and will get the same end.
                return if self.leaves_to_others() {
                    Step::LeftToOthers
                } else {
                    failed
                };
            }
        };
        let ids: Vec<ShardId> = children.iter().map(|child| child.id.clone()).collect();
        self.children = children;
        match self.held.end(ids).await {
            Ok(()) => Step::EndStored,
            Err(OrderError::Throttled(error)) => {
                self.step_failed("to store a shard's end", &with_causes(&*error))
            }
            Err(_) => self.lose(),
        }
    }
}
