//! How a shard is given up: the last calls of the processor, and the release of the lease.
//!
//! ```text
//!   stop, hand-over, give up
//!     -> shutdown_requested      the processor may store its last position
//!     -> release                 one write: the last checkpoint, and the lease is given away
//!     -> lease_lost(Released)    the tenancy is over; what is stored later is refused
//! ```
//!
//! The checkpoint and the release are one write on purpose. Between two writes, a deadline or a
//! lost answer could free the lease with an older checkpoint, and the next owner would deliver
//! records again although the stop was graceful.

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
    /// Drops what was prefetched and calls `shutdown_requested`. A failure of the call does not
    /// keep the lease: the shard is given up in any case, and in automatic mode what is done is
    /// stored with the release.
    pub(super) async fn call_shutdown_requested(&mut self) -> Step {
        // No more is fetched, and prefetched batches are dropped.
        (self.feed, self.in_flight) = (None, None);
        // Not up to the last delivered batch: that may have failed, or its records may still be in
        // progress.
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
            // A stop does not retry a handler that panics in it.
            self.panicked(HandlerCall::ShutdownRequested, &panic);
        }
        Step::ShutdownRequested
    }

    /// Gives the lease up in the way that fits the cause:
    ///
    /// | cause | the lease |
    /// |---|---|
    /// | another worker has requested it | is handed over to that worker |
    /// | the same, while this worker stops | is freed: nobody could take it back if it is not claimed |
    /// | a stop with [`Stop::Keep`] | keeps its owner, so that a quick restart moves no shard |
    /// | any other stop, or a shard that is given up | is freed, and the next worker takes it at once |
    ///
    /// If the write fails, the lease is treated as lost and expires. The next owner then starts
    /// from the checkpoint that is stored.
    pub(super) async fn release(&mut self) -> Step {
        let how = match self.inner.stop_kind() {
            // A worker that is leaving cannot make sure that a lease it hands over is claimed.
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

    /// The last call of a processor. There is no checkpointer in it: another worker may be reading
    /// the shard already. If the shard was given up because it cannot be read, the processor gets
    /// that reason instead of a plain release.
    pub(super) async fn call_lease_lost(&mut self, reason: LossReason) -> Step {
        (self.feed, self.in_flight) = (None, None);
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

    /// Reports the panic of a call that is not retried. The failed attempt is always the first, and
    /// the only one.
    fn panicked(&self, call: HandlerCall, panic: &BoxError) {
        self.say_failed(call, 1, None, panic.to_string().into());
    }
}
