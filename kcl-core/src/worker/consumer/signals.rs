//! Signals to a shard, from outside or from inside to stop it. Each signal replaces the pending
//! command, once.

use std::sync::Arc;

use crate::decide::consumer::Step;
use crate::worker::error::RunError;

use super::background::AfterWork;
use super::{GiveUp, ShardConsumer};

impl ShardConsumer {
    /// The signal that has arrived since the last step, if any; each signal only once. In this
    /// order, because the first makes the others pointless: without the lease nothing may be
    /// delivered or released; a stop frees the lease, and so also answers a request for it; a
    /// hand-over comes last.
    ///
    /// To accept a hand-over is a promise to the writer: it does not refuse the request any more,
    /// and this consumer delivers nothing after it.
    pub(super) fn signal(&mut self) -> Option<Step> {
        if !self.told_loss
            && let Some(reason) = self.held.loss()
        {
            self.told_loss = true;
            return Some(Step::LeaseLost(reason));
        }
        if !self.told_stop && (self.stop.is_asked() || self.give_up.is_some()) {
            self.told_stop = true;
            return Some(Step::StopAsked);
        }
        if self.may_hand_over() && self.held.accept_hand_over() {
            self.told_stop = true;
            self.handing_over = !self.leaves_to_others();
            return Some(Step::StopAsked);
        }
        None
    }

    /// Whether the shard can be handed over now. One that has been read to its end is ended instead.
    pub(super) fn may_hand_over(&self) -> bool {
        let is_read = matches!(self.after_work, Some(AfterWork::End));
        !self.told_stop && self.machine.may_hand_over(is_read)
    }

    /// Waits for a signal; the next iteration of the loop sees which one. It borrows nothing from
    /// the consumer, so a `select!` can wait for it beside a call that does. Cancel safe: a signal
    /// is a state, not a message, and is not lost if this future is dropped.
    pub(super) fn signalled(&self) -> impl Future<Output = ()> + use<> {
        let (held, stop) = (Arc::clone(&self.held), self.stop.clone());
        let (told_stop, may_hand_over) = (self.told_stop, self.may_hand_over());
        async move {
            tokio::select! {
                biased;
                _ = held.lost() => {}
                () = stop.asked(), if !told_stop => {}
                () = held.hand_over_asked(), if may_hand_over => {}
            }
        }
    }

    /// The step of a wait that a signal ended.
    pub(super) fn signal_or_wait(&mut self) -> Step {
        match self.signal() {
            Some(step) => step,
            None if self.held.loss().is_some() => self.lose(),
            // A request for the lease that was withdrawn.
            None => Step::WokenForNothing,
        }
    }

    /// The step of a lease that is not valid any more, whether its writer has noticed that or its
    /// time has run out before. Every place that finds `is_valid` to be false comes here. The
    /// writer may hear of the loss only later, or not at all if it cannot reach the table.
    pub(super) fn lose(&mut self) -> Step {
        self.told_loss = true;
        Step::LeaseLost(self.held.loss().unwrap_or_else(|| self.held.out_of_time()))
    }

    /// Gives the shard up for a reason of its own. The first reason counts: what follows from it
    /// may look like another. Dropping the feed ends its task at once: what it has prefetched is
    /// not needed any more, and its memory goes to other shards.
    pub(super) fn stop_with(&mut self, reason: GiveUp) -> Step {
        self.give_up.get_or_insert(reason);
        self.feed = None;
        self.told_stop = true;
        Step::StopAsked
    }

    /// Ends the worker with this cause. The root gets it now, not when the handlers of this shard
    /// have returned: a handler that hangs must not keep the cause from the caller of `run`.
    pub(super) fn stop_worker(&mut self, cause: RunError) -> Step {
        // A root that has ended does not need it.
        let _ = self.causes.send(cause);
        self.stop_with(GiveUp::Worker)
    }
}
