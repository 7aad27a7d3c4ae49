//! Signals to a shard, from outside or from inside to stop it. Each signal replaces the pending
//! command, once.

use std::sync::Arc;

use crate::decide::consumer::{ConsumerState, Step};
use crate::worker::error::RunError;

use super::{GiveUp, ShardConsumer};

impl ShardConsumer {
    /// The signal that has arrived since the last step, if any; each signal only once.
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

    /// Whether the shard can be handed over. One that has been read to its end is ended instead.
    pub(super) fn may_hand_over(&self) -> bool {
        !self.told_stop
            && matches!(
                self.machine.state(),
                ConsumerState::WaitingForParents
                    | ConsumerState::Starting
                    | ConsumerState::Processing
            )
    }

    /// Waits for a signal; the next iteration of the loop sees which one.
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
    /// time has run out before.
    pub(super) fn lose(&mut self) -> Step {
        self.told_loss = true;
        Step::LeaseLost(self.held.loss().unwrap_or_else(|| self.held.out_of_time()))
    }

    /// Gives the shard up for a reason of its own. The first reason counts: what follows from it
    /// may look like another.
    pub(super) fn stop_with(&mut self, reason: GiveUp) -> Step {
        self.give_up.get_or_insert(reason);
        self.feed = None;
        self.told_stop = true;
        Step::StopAsked
    }

    /// The root gets the cause now, not when this shard's handlers have returned.
    pub(super) fn stop_worker(&mut self, cause: RunError) -> Step {
        // A root that has ended does not need it.
        let _ = self.causes.send(cause);
        self.stop_with(GiveUp::Worker)
    }
}
