use std::io;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::checkpoint::{CheckpointError, Checkpointer};
use kcl_core::model::Position;
use kcl_core::processor::{
    IdleInput, InitializeInput, LeaseLostInput, ProcessRecordsInput, RecordProcessorFactory,
    ShardEndedInput, ShardRef, ShutdownRequestedInput, StartOver,
};
use kcl_core::{BoxError, Failure, RecordProcessor};
use tokio::sync::watch;

use crate::child::{ChildError, ChildProcess, Desk, Launcher, Question};
use crate::properties::{DaemonConfig, OnChildError};
use crate::protocol::{BatchMessage, CheckpointWish, Message};

/// How long a child may take to end after its last message. Python ends at once, a .NET in a
/// second.
const DISMISSAL: Duration = Duration::from_secs(10);

/// Starts a child process for each shard that is acquired, as
/// [`Builder::processor`](kcl_core::worker::Builder::processor) takes it. Clones share the children
/// that are started ahead of need.
#[derive(Clone, Debug)]
pub struct ChildProcessors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Where the children come from.
    launcher: Launcher,
    /// How long a child may be silent while it owes an answer.
    answer_limit: Duration,
    /// Whether one failed child ends the daemon.
    on_error: OnChildError,
    /// Why the daemon has to end, if a child failed and the settings say so. A `watch`, so that the
    /// reason is still there for who asks late: a child may fail while the worker is being built.
    failed: watch::Sender<Option<String>>,
}

impl ChildProcessors {
    /// Children as the configuration says. `wrapper` is a command that runs the command which is
    /// appended to it, by means of [`run_as_child`](crate::run_as_child); it may be empty.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(config: &DaemonConfig, wrapper: Vec<std::ffi::OsString>) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            launcher: Launcher::new(config.command.clone(), wrapper, config.spare_children)?,
            answer_limit: config.answer_limit,
            on_error: config.on_child_error,
            failed: watch::Sender::new(None),
        })))
    }

    /// Starts the first children, before any shard needs them.
    ///
    /// # Errors
    /// If the command cannot be started.
    pub async fn start_ahead(&self) -> Result<(), ChildError> {
        self.0.launcher.find()?;
        self.0.launcher.fill().await
    }

    /// Waits until a child has failed, where the daemon has to end then
    /// ([`OnChildError::Exit`]). Returns the failure. Cancel safe.
    pub async fn failed(&self) -> String {
        let mut failed = self.0.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(failed) => failed.clone().unwrap_or_default(),
            // The sender is in `self`.
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the children that no shard needs.
    pub fn close(&self) {
        self.0.launcher.close();
    }
}

impl RecordProcessorFactory for ChildProcessors {
    type Processor = ChildProcessor;

    fn processor(&self, shard: &ShardRef) -> ChildProcessor {
        ChildProcessor {
            shared: Arc::clone(&self.0),
            shard: shard.clone(),
            child: None,
            last: None,
        }
    }
}

/// The processor of one shard, in a process of its own.
#[derive(Debug)]
pub struct ChildProcessor {
    /// What all shards share.
    shared: Arc<Shared>,
    /// The shard, for the log and for the name of a failure.
    shard: ShardRef,
    /// `None` before `initialize`, and after it has failed or was dismissed.
    child: Option<ChildProcess>,
    /// Of the newest batch that the child was given: a checkpoint of everything is its end. Kept
    /// between the calls for checkpoints that come late, and for the end of the shard.
    last: Option<Checkpointer>,
}

/// Stores the checkpoints that a child asks for.
struct ShardDesk<'a> {
    /// For the log.
    shard: &'a ShardRef,
    /// `None` if nothing can be stored at the moment.
    checkpointer: Option<&'a Checkpointer>,
    nothing_else: Nothing,
}

/// What a checkpoint of everything is where there is nothing that could be stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nothing {
    /// A mistake of the child.
    Refused,
    /// What is stored already, or will be without the child.
    Stored,
}

impl Desk for ShardDesk<'_> {
    async fn store(&self, wish: &CheckpointWish) -> Result<(), &'static str> {
        let stored = match (&wish.sequence, self.checkpointer) {
            // Libraries checkpoint out of habit where nothing is left to store. An error would make
            // them raise, and the shard would begin anew for nothing.
            (None, _) if self.nothing_else == Nothing::Stored => return Ok(()),
            // The Java daemon has no checkpointer either in `initialize` and after the lease is
            // lost.
            (_, None) => return Err("InvalidStateException"),
            (None, Some(checkpointer)) => checkpointer.checkpoint().await,
            (Some(sequence), Some(checkpointer)) => {
                // The end of the shard is stored by the worker, once the child has done with it.
                if sequence == "SHARD_END" && self.nothing_else == Nothing::Stored {
                    return Ok(());
                }
                // A sentinel such as `TRIM_HORIZON` is no number, and is refused: a child may not
                // move a shard back.
                let Ok(sequence) = sequence.parse() else {
                    return Err("IllegalArgumentException");
                };
                // Three of the libraries cannot name a sub-sequence number. 0 is the first user
                // record of an aggregate: after a restart the others of it come again, and none is
                // lost.
                let position = Position::new(sequence, wish.sub_sequence.unwrap_or(0));
                checkpointer.checkpoint_at_position(&position).await
            }
        };
        stored.map_err(|error| {
            tracing::warn!(shard = %self.shard, "a checkpoint of the child was not stored: {error}");
            exception(&error)
        })
    }
}

/// The name of the exception of the Java KCL that says the same. The libraries pass it on, and
/// their users compare with it: a `ThrottlingException` is tried again, a `ShutdownException` is
/// not.
const fn exception(error: &CheckpointError) -> &'static str {
    match error {
        CheckpointError::OutOfRange(_) => "IllegalArgumentException",
        CheckpointError::LeaseLost { .. } => "ShutdownException",
        CheckpointError::Throttled { .. } => "ThrottlingException",
        _ => "KinesisClientLibDependencyException",
    }
}

impl ChildProcessor {
    /// Asks the child. If that fails, the child is ended: nothing that it did after the stored
    /// checkpoint can be relied on, and the next one begins there.
    ///
    /// Not cancel safe for the child, which is left in the middle of a message; a consumer that
    /// drops this drops the processor as well.
    async fn ask(
        &mut self,
        question: Question<'_>,
        checkpointer: Option<&Checkpointer>,
        nothing_else: Nothing,
    ) -> Result<(), StartOver> {
        let Some(child) = &mut self.child else {
            return Err(StartOver::because("the child has ended"));
        };
        let desk = |checkpointer, nothing_else| ShardDesk {
            shard: &self.shard,
            checkpointer,
            nothing_else,
        };
        // A checkpoint that comes after its answer belongs to the batch before: with the
        // checkpointer of this batch it would be out of range, or, without a number, would store
        // records that the child has not seen.
        let before = desk(self.last.as_ref(), Nothing::Refused);
        let now = desk(checkpointer, nothing_else);
        let asked = child
            .ask(question, &before, &now, self.shared.answer_limit)
            .await;
        let Err(error) = asked else {
            return Ok(());
        };
        // Ended before the error is told, so that the next child of the shard does not write to the
        // same files as this one.
        if let Some(child) = self.child.take() {
            child.end().await;
        }
        if self.shared.on_error == OnChildError::Exit {
            // Only the first failure is told: those that follow come from the end of the daemon.
            let why = format!("{}: {error}", self.shard);
            self.shared.failed.send_if_modified(|failed| {
                let first = failed.is_none();
                failed.get_or_insert(why);
                first
            });
        }
        Err(StartOver::because(error))
    }

    /// Ends a child that has no more to do, in good order.
    async fn dismiss(&mut self) {
        if let Some(child) = self.child.take() {
            child.dismiss(DISMISSAL).await;
        }
    }
}

impl RecordProcessor for ChildProcessor {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        // Not started for this call, as a rule: a spare one has had the time to load its
        // interpreter. A failure is tried again by the worker; the Java daemon would end.
        let child = self.shared.launcher.take().await?;
        child.works_for(&self.shard);
        tracing::info!(shard = %self.shard, pid = child.pid(), "a child works on the shard");
        // Kept before anything is asked: if this future is dropped, the child is dropped with the
        // processor.
        self.child = Some(child);
        let sub_sequence = input
            .checkpoint
            .position()
            .map_or(0, |position| position.sub_sequence);
        // The libraries take a sentinel (`TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`) in the place of
        // a number.
        let sequence = match input.checkpoint.position() {
            Some(position) => position.sequence.to_string(),
            None => input.checkpoint.to_string(),
        };
        let shard = input.shard.shard.as_str();
        let message = Message::Initialize {
            shard,
            sequence: &sequence,
            sub_sequence,
        };
        self.ask(Question::Message(message), None, Nothing::Refused)
            .await?;
        // Only now, so that the shard's own child was not kept waiting for it.
        if let Err(error) = self.shared.launcher.fill().await {
            tracing::warn!("no child can be started ahead of need: {error}");
        }
        Ok(())
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let batch = BatchMessage::new(&input.records, input.millis_behind_latest, input.fetched_at);
        let asked = self
            .ask(
                Question::Batch(batch),
                Some(&input.checkpointer),
                Nothing::Refused,
            )
            .await;
        // Also after a failure: the checkpointer of a batch stays usable until the next one.
        self.last = Some(input.checkpointer);
        Ok(asked?)
    }

    /// An empty list of records.
    async fn idle(&mut self, input: IdleInput) -> Result<(), BoxError> {
        let now = kcl_core::model::Timestamp::from_millis(0);
        // The time is only used for records without an arrival time, and there are none.
        let batch = BatchMessage::new(&[], Some(0), now);
        self.ask(
            Question::Batch(batch),
            input.checkpointer.as_ref(),
            Nothing::Refused,
        )
        .await?;
        Ok(())
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        // None if no child was ever asked, or the last one has failed: then nobody needs to be
        // told.
        if self.child.is_some() {
            let asked = self
                .ask(
                    Question::Message(Message::LeaseLost),
                    None,
                    Nothing::Refused,
                )
                .await;
            if let Err(error) = asked {
                tracing::warn!(
                    shard = %self.shard,
                    "the child was not told that its shard is over ({}): {error}",
                    input.reason
                );
            }
        }
        self.dismiss().await;
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        // The KCL wants the checkpoint of a shard's end from the child, and the libraries send it;
        // the worker stores that end itself once this call has returned.
        let last = self.last.clone();
        // A crash between the child's answer and the worker's write of the end gives the shard to
        // another owner, whose child is asked once more: an end may be told twice, and is never
        // left out.
        self.ask(
            Question::Message(Message::ShardEnded),
            last.as_ref(),
            Nothing::Stored,
        )
        .await?;
        self.dismiss().await;
        Ok(())
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        // If nothing was processed, what is stored already is all that there is to store.
        let nothing_else = match input.checkpointer {
            Some(_) => Nothing::Refused,
            None => Nothing::Stored,
        };
        let asked = self
            .ask(
                Question::Message(Message::ShutdownRequested),
                input.checkpointer.as_ref(),
                nothing_else,
            )
            .await;
        if let Err(error) = asked {
            tracing::warn!(shard = %self.shard, "the child was not told that its shard is given up: {error}");
        }
    }
}
