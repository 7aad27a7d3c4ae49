//! The end of a shard, once it is confirmed: the call of the processor, and how the end is stored.

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
    /// is not stored before, so that another worker makes the call if this one crashes.
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
            Ok(Err(error)) | Err(error) => self.call_failed(HandlerCall::ShardEnded, None, &*error),
        }
    }

    /// Creates the children's leases first, so that they exist before the parent's end is stored.
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
