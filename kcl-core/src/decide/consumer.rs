//! What the consumer of one shard does next.
//!
//! ```text
//!                      ParentsFinished          Initialized            EndReached           ShardEnded          EndStored
//!   WaitingForParents ----------------> Starting ----------> Processing ---------> Ending ----------> Confirmed ---------> Ended
//!          |                            |  ^  |                |  ^  |              |  ^  |               |
//!          |                            |  +--+ Failed, pause  |  +--+ BatchDone,   |  +--+ Failed, pause |
//!          |                            |                      |       Failed       |                     |
//!          | StopAsked                  | StopAsked            | StopAsked          | StopAsked           | LeaseLost; Leaving
//!          |                            |                      |                    |                     | after LeftToOthers
//!          v                            v                      v                    |                     v
//!        Leaving <----------------------+                HandingOver <--------------+                   Ended
//!          | Released                                          | ShutdownRequested: the last checkpoint and the release
//!          v                                                   v
//!        Ended                          LeaseLost (initialized)         Released
//!                        any state but Confirmed ---------> Losing <---------- HandingOver
//!                        LeaseLost (not initialized)          | LeaseLostReturned
//!                        ---------> Ended                     v
//!                                                           Ended
//! ```
//!
//! Invariants: one thing is done at a time, so calls never overlap; nothing is handed out before
//! `initialize` succeeded; `lease_lost` is called exactly once for a processor that was initialized
//! and whose `shard_ended` has not succeeded, and for no other; the shard's end is stored only
//! after `shard_ended` succeeded.
//!
//! Signals ([`Step::StopAsked`], [`Step::LeaseLost`]) are given to the machine between two
//! commands, in place of carrying the pending one out. A signal that changes nothing is answered
//! with the command that was pending.

use crate::model::LossReason;

/// Where the consumer of a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerState {
    /// A parent is not finished; the lease is held meanwhile.
    WaitingForParents,
    /// `initialize` has not succeeded yet.
    Starting,
    /// Batches are fetched and handed out.
    Processing,
    /// Asked to give the shard up: the processor is told, the last checkpoint is stored, the lease
    /// released.
    HandingOver,
    /// Asked to give up a shard whose processor was never initialized, or leaving one whose end
    /// others are to store.
    Leaving,
    /// Everything has been handed out; `shard_ended` has not succeeded yet.
    Ending,
    /// `shard_ended` succeeded; the shard's end is not stored yet.
    Confirmed,
    /// The shard is not ours any more; the processor is being told.
    Losing,
    /// Nothing follows.
    Ended,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Every parent is at its end, or does not matter.
    ParentsFinished,
    /// `initialize` succeeded.
    Initialized,
    /// The call or the step that was commanded failed and is to be tried again.
    Failed,
    /// A pause is over.
    PauseOver,
    /// A batch is there to be handed out.
    BatchReady,
    /// All of the batch is done.
    BatchDone,
    /// All records have been handed out and the shard has no more.
    EndReached,
    /// `shard_ended` succeeded.
    ShardEnded,
    /// The shard's end is in the lease table.
    EndStored,
    /// `shutdown_requested` returned.
    ShutdownRequested,
    /// The end cannot be stored by this worker, which does not get through to the stream: others
    /// are to do it.
    LeftToOthers,
    /// The lease is free.
    Released,
    /// `lease_lost` returned.
    LeaseLostReturned,
    /// The worker stops, gives this shard up, or hands it over to another one.
    StopAsked,
    /// A wait ended, and there is nothing to be told any more.
    WokenForNothing,
    /// The lease is not ours any more.
    LeaseLost(LossReason),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Wait until every parent is finished.
    AwaitParents,
    /// Call `initialize`.
    Initialize,
    /// Wait for a batch or for the shard's end.
    AwaitBatch,
    /// Call `process_records` with what is not done of the batch in flight.
    Process,
    /// Wait before what failed is tried again.
    Pause,
    /// Call `shard_ended`.
    CallShardEnded,
    /// Make the children's leases and store the shard's end.
    StoreEnd,
    /// Call `shutdown_requested`.
    CallShutdownRequested,
    /// Store the last checkpoint and free the lease, in one write.
    Release,
    /// Call `lease_lost`.
    CallLeaseLost(LossReason),
    /// Go.
    Finish(ConsumerOutcome),
}

/// How the consumer of a shard ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerOutcome {
    /// The shard is done.
    ShardEnd,
    /// The lease was freed with the last checkpoint stored.
    Released,
    /// The lease is not ours any more.
    Lost(LossReason),
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct ConsumerMachine {
    state: ConsumerState,
    pending: Command,
    /// What failed, to be tried again after the pause.
    retry: Command,
    outcome: ConsumerOutcome,
}

impl Default for ConsumerMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl ConsumerMachine {
    /// A consumer whose lease has just been acquired.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: ConsumerState::WaitingForParents,
            pending: Command::AwaitParents,
            retry: Command::AwaitParents,
            outcome: ConsumerOutcome::Released,
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn state(&self) -> &ConsumerState {
        &self.state
    }

    /// What it is to do.
    #[must_use]
    pub const fn pending(&self) -> &Command {
        &self.pending
    }

    /// Takes in what happened; says what to do next.
    ///
    /// An event that cannot happen in the present state is a defect of the loop; it changes
    /// nothing, so that the pending command is repeated and no call is made out of order.
    pub fn on(&mut self, event: Step) -> Command {
        if let Some((state, command)) = self.step(event) {
            if command == Command::Pause {
                self.retry = self.pending.clone();
            }
            self.state = state;
            self.pending = command;
        }
        self.pending.clone()
    }

    fn step(&mut self, event: Step) -> Option<(ConsumerState, Command)> {
        use Command as Do;
        use ConsumerState as In;
        Some(match (&self.state, event) {
            (In::WaitingForParents, Step::ParentsFinished) => (In::Starting, Do::Initialize),
            (In::Starting, Step::Initialized) => (In::Processing, Do::AwaitBatch),
            (In::Processing, Step::BatchReady) => (In::Processing, Do::Process),
            (In::Processing, Step::BatchDone) => (In::Processing, Do::AwaitBatch),
            (In::Processing, Step::EndReached) => (In::Ending, Do::CallShardEnded),
            (In::Ending, Step::ShardEnded) => (In::Confirmed, Do::StoreEnd),
            (In::Confirmed, Step::EndStored) => (In::Ended, Do::Finish(ConsumerOutcome::ShardEnd)),
            (In::HandingOver, Step::ShutdownRequested) => (In::HandingOver, Do::Release),
            (In::HandingOver, Step::Released) => {
                self.outcome = ConsumerOutcome::Released;
                (In::Losing, Do::CallLeaseLost(LossReason::Released))
            }
            (In::Leaving, Step::Released) => (In::Ended, Do::Finish(ConsumerOutcome::Released)),
            (In::Losing, Step::LeaseLostReturned) => (In::Ended, Do::Finish(self.outcome.clone())),

            (In::Losing | In::Ended, _) => return None,
            (state, Step::Failed) => (state.clone(), Do::Pause),
            (state, Step::PauseOver) => (state.clone(), self.retry.clone()),

            (In::WaitingForParents | In::Starting, Step::StopAsked)
            | (In::Confirmed, Step::LeftToOthers) => (In::Leaving, Do::Release),
            (In::Processing | In::Ending, Step::StopAsked) => {
                (In::HandingOver, Do::CallShutdownRequested)
            }

            (
                In::WaitingForParents | In::Starting | In::Leaving | In::Confirmed,
                Step::LeaseLost(reason),
            ) => (In::Ended, Do::Finish(ConsumerOutcome::Lost(reason))),
            (In::Processing | In::Ending | In::HandingOver, Step::LeaseLost(reason)) => {
                self.outcome = ConsumerOutcome::Lost(reason.clone());
                (In::Losing, Do::CallLeaseLost(reason))
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
#[path = "consumer_test.rs"]
mod tests;
