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
//! A processor that starts over ([`Step::StartOver`]) leads from Processing and from Ending back to
//! Starting, after a pause.
//!
//! Invariants: only one thing is done at a time, so calls never overlap; no record is delivered
//! before `initialize` has succeeded; `lease_lost` is called exactly once for a processor that was
//! initialized, has not asked to start over, and whose `shard_ended` has not succeeded, and for no
//! other; the shard's end is stored only after `shard_ended` has succeeded.
//!
//! Signals ([`Step::StopAsked`], [`Step::LeaseLost`]) are passed to the machine between two
//! commands, instead of carrying out the pending one. If a signal changes nothing, the machine
//! returns the pending command again.

use crate::model::LossReason;

/// The state of a shard consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerState {
    /// A parent shard is not finished yet. The lease is held in the meantime.
    WaitingForParents,
    /// `initialize` has not succeeded yet. A processor exists from here on, and may have opened
    /// files or transactions.
    Starting,
    /// Batches are fetched and delivered. The only state in which records are delivered.
    Processing,
    /// The shard consumer was asked to give up the shard: the processor is told, the last
    /// checkpoint is stored, and the lease is released or handed over.
    HandingOver,
    /// The shard consumer gives up a shard whose processor was never initialized, or leaves the
    /// shard's end for other workers to store.
    Leaving,
    /// Every record has been delivered; `shard_ended` has not succeeded yet. The end may still be
    /// left to another worker, which then calls `shard_ended` itself.
    Ending,
    /// `shard_ended` has succeeded; the shard's end is not stored yet. A stop changes nothing here:
    /// one write is left, and a second `shard_ended` elsewhere would be worse than a moment's
    /// delay.
    Confirmed,
    /// This worker no longer owns the shard, and the processor is being told. It may be in a call
    /// for as long as the application likes; the lease does not wait for that.
    Losing,
    /// The shard consumer is finished.
    Ended,
}

/// What has happened: the input of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Every parent is finished, or does not matter.
    ParentsFinished,
    /// `initialize` has succeeded.
    Initialized,
    /// The commanded call or step has failed and has to be tried again.
    Failed,
    /// The commanded call has failed, and its processor is dropped: another one begins, after a
    /// pause, at the stored checkpoint.
    StartOver,
    /// A pause is over.
    PauseOver,
    /// A batch is ready to be delivered.
    BatchReady,
    /// The whole batch is done.
    BatchDone,
    /// No records have come for as long as was set.
    WasQuiet,
    /// `idle` returned, whatever it said.
    IdleReturned,
    /// All records have been delivered, and the shard has no more. The listing has confirmed it,
    /// and no work on a record is left.
    EndReached,
    /// `shard_ended` has succeeded.
    ShardEnded,
    /// The shard's end is stored in the lease table.
    EndStored,
    /// `shutdown_requested` has returned.
    ShutdownRequested,
    /// This worker cannot store the shard's end because it cannot reach the stream: others have to
    /// do it. `shard_ended` has succeeded here, and is called again by the worker that gets the
    /// lease.
    LeftToOthers,
    /// The lease has been released or handed over.
    Released,
    /// `lease_lost` has returned.
    LeaseLostReturned,
    /// The worker stops, gives up this shard, or hands it over to another worker. The three are one
    /// to the machine: the processor gives up the shard in the same way.
    StopAsked,
    /// A wait has ended, and nothing has happened. A request that was withdrawn, for example. The
    /// pending command is carried out again.
    WokenForNothing,
    /// This worker no longer holds the lease.
    LeaseLost(LossReason),
}

/// What to do next: the output of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Wait until every parent is finished.
    AwaitParents,
    /// Call `initialize`.
    Initialize,
    /// Wait for a batch or for the shard's end. A cheap wait, which any signal may interrupt.
    AwaitBatch,
    /// Call `process_records` with the records of the batch in flight that are not done.
    Process,
    /// Call `idle`.
    CallIdle,
    /// Wait before trying again what has failed. Then the command that failed is pending again.
    Pause,
    /// Call `shard_ended`.
    CallShardEnded,
    /// Create the leases of the child shards and store the shard's end. Both may be repeated: a
    /// lease that exists already is no error.
    StoreEnd,
    /// Call `shutdown_requested`.
    CallShutdownRequested,
    /// Store the last checkpoint and release or hand over the lease, in one write.
    Release,
    /// Call `lease_lost`.
    CallLeaseLost(LossReason),
    /// Finish with this outcome.
    Finish(ConsumerOutcome),
}

/// How a shard consumer has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerOutcome {
    /// The shard is finished, and its end is stored. The lease is free, and its row stays as a
    /// record of the end.
    ShardEnd,
    /// The lease was released or handed over, with the last checkpoint stored.
    Released,
    /// This worker no longer holds the lease.
    Lost(LossReason),
}

/// The state machine of a shard consumer.
#[derive(Clone, Debug)]
pub struct ConsumerMachine {
    /// It changes only in [`ConsumerMachine::on`].
    state: ConsumerState,
    /// What the loop carries out next. It stays until an event replaces it, so a signal loses
    /// nothing.
    pending: Command,
    /// The failed command, to be repeated after the pause. A pause is a command like any other, and
    /// would otherwise be all that is left.
    retry: Command,
    /// How it will have ended, known before `lease_lost` is called.
    outcome: ConsumerOutcome,
}

impl Default for ConsumerMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl ConsumerMachine {
    /// The state machine for a lease that has just been acquired.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: ConsumerState::WaitingForParents,
            pending: Command::AwaitParents,
            retry: Command::AwaitParents,
            outcome: ConsumerOutcome::Released,
        }
    }

    /// The current state.
    #[must_use]
    pub const fn state(&self) -> &ConsumerState {
        &self.state
    }

    /// The command to carry out now.
    #[must_use]
    pub const fn pending(&self) -> &Command {
        &self.pending
    }

    /// Whether the shard can be handed over to another worker now. `is_read` says that it was read
    /// to its end, and that some of its records are still being processed.
    ///
    /// A shard that was read to its end is ended by the worker that has read it: if retention has
    /// removed the shard from the stream, or does so soon, no other worker can read the records that
    /// are not done.
    #[must_use]
    pub const fn may_hand_over(&self, is_read: bool) -> bool {
        match self.state {
            ConsumerState::WaitingForParents | ConsumerState::Starting => true,
            ConsumerState::Processing => !is_read,
            ConsumerState::HandingOver
            | ConsumerState::Leaving
            | ConsumerState::Ending
            | ConsumerState::Confirmed
            | ConsumerState::Losing
            | ConsumerState::Ended => false,
        }
    }

    /// Takes an event and returns what to do next.
    ///
    /// An event that cannot happen in the current state is a bug in the loop. It changes nothing,
    /// so the pending command is repeated and no call is made out of order.
    pub fn on(&mut self, event: Step) -> Command {
        if let Some((state, command)) = self.step(event) {
            if command == Command::Pause {
                self.retry = match state {
                    // Also for a processor that is new because the one before it starts over.
                    ConsumerState::Starting => Command::Initialize,
                    _ => self.pending.clone(),
                };
            }
            self.state = state;
            self.pending = command;
        }
        self.pending.clone()
    }

    /// The table of transitions. `None` if the event changes nothing in this state.
    fn step(&mut self, event: Step) -> Option<(ConsumerState, Command)> {
        use Command as Do;
        use ConsumerState as In;
        Some(match (&self.state, event) {
            (In::WaitingForParents, Step::ParentsFinished) => (In::Starting, Do::Initialize),
            (In::Starting, Step::Initialized) => (In::Processing, Do::AwaitBatch),
            (In::Processing, Step::BatchReady) => (In::Processing, Do::Process),
            (In::Processing, Step::BatchDone | Step::IdleReturned) => {
                (In::Processing, Do::AwaitBatch)
            }
            (In::Processing, Step::WasQuiet) => (In::Processing, Do::CallIdle),
            (In::Processing, Step::EndReached) => (In::Ending, Do::CallShardEnded),
            (In::Processing | In::Ending, Step::StartOver) => (In::Starting, Do::Pause),
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
