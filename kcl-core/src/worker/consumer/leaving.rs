//! How a shard is given up: what its processor is told, and how the lease is left.

use std::sync::Arc;

use crate::BoxError;
use crate::checkpoint::Checkpointer;
use crate::decide::consumer::Step;
use crate::lease::with_causes;
use crate::processor::{LeaseLostInput, LossReason, ShutdownRequestedInput};
use crate::tenancy::held::{Leave, OrderError};
use crate::worker::event::{Event, HandlerCall};
use crate::worker::worker::Stop;

use super::{GiveUp, ShardConsumer};

impl ShardConsumer {
    pub(super) async fn call_shutdown_requested(&mut self) -> Step {
        // No more is fetched, and what was fetched ahead is given back.
        (self.feed, self.in_hand) = (None, None);
        // Not what was handed out last: that batch may have failed, or its records may be at work
        // still.
        let done = self.background.finished(self.done.as_ref());
        let checkpointer = done.map(|done| Checkpointer::new(Arc::clone(&self.tenancy), done));
        let input = ShutdownRequestedInput {
            shard: self.shard.clone(),
            checkpointer,
        };
        if let Err(panic) = self
            .call(|processor| processor.shutdown_requested(input))
            .await
        {
            // A stop does not wait for a handler that panics at it.
            self.panicked(HandlerCall::ShutdownRequested, &panic);
        }
        Step::ShutdownRequested
    }

    pub(super) async fn release(&mut self) -> Step {
        let how = match self.inner.stop_kind() {
            // Who leaves cannot see to it that what it handed over is claimed.
            _ if self.handing_over && self.stop.is_asked() => Leave::Free,
            _ if self.handing_over => Leave::PassOn,
            Some(Stop::Keep) if self.give_up.is_none() => Leave::Keep,
            _ => Leave::Free,
        };
        match self.held.leave(how).await {
            Ok(()) => {
                self.told_loss = true;
                Step::Released
            }
            Err(OrderError::Throttled(error)) => {
                self.inner.outlet.say(Event::StepFailed {
                    what: "to free a lease",
                    stream: None,
                    error: with_causes(&*error).into(),
                });
                self.lose()
            }
            Err(_) => self.lose(),
        }
    }

    pub(super) async fn call_lease_lost(&mut self, reason: LossReason) -> Step {
        (self.feed, self.in_hand) = (None, None);
        let reason = match (&self.give_up, reason) {
            (Some(GiveUp::Unreadable(error)), LossReason::Released) => {
                LossReason::Unreadable(Arc::clone(error))
            }
            (_, reason) => reason,
        };
        let input = LeaseLostInput {
            shard: self.shard.clone(),
            reason,
        };
        if let Err(panic) = self.call(|processor| processor.lease_lost(input)).await {
            self.panicked(HandlerCall::LeaseLost, &panic);
        }
        Step::LeaseLostReturned
    }

    /// A call that is not made again has panicked.
    fn panicked(&self, call: HandlerCall, panic: &BoxError) {
        let (shard, error) = (self.shard.clone(), panic.to_string().into());
        self.inner.outlet.say(Event::HandlerFailed {
            shard,
            call,
            attempt: 1,
            at: None,
            error,
        });
    }
}
