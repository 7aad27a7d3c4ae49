//! One child process, from its start to its end.
//!
//! Three things run at once for it: the exchange, which writes to its standard input and waits for
//! answers ([`ChildProcess::ask`]), and two tasks that read its standard output and its standard
//! error at all times. A child that writes more than a pipe holds blocks until somebody reads, so
//! reading must never depend on what the exchange is waiting for.
//!
//! No future here is cancel safe but `has_ended`: a question that was dropped half way leaves the
//! child in the middle of a message. So [`ChildProcess`] is dropped with it, which kills the child;
//! the shard resumes from the stored checkpoint in another one.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kcl_core::processor::ShardRef;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use crate::protocol::{Action, BatchMessage, CheckpointWish, Exchange, Message, Said, Then};
use crate::runtime::{Tasks, within};

use super::ChildError;
use super::output::{Label, log_errors, read_messages};

/// How many messages of a child may wait to be heard. A library sends one at a time; a child that
/// sends more waits.
const WAITING: usize = 64;
/// How much of a batch is encoded before it is written into the pipe.
const PIECE: usize = 64 * 1024;
/// How long it is waited for the exit status of a child that has closed its output.
const EXIT: Duration = Duration::from_secs(1);
/// How long the last words of a child that has ended are waited for. A process that it has started
/// may hold its pipes open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A child process, and the talk with it. Dropped, it is killed together with all the processes that
/// it has started.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    /// The handle to wait for it. Its id stays reserved by the system until it was waited for,
    /// which is what makes `kill` safe.
    process: Child,
    /// Closed when there is nothing more to say.
    input: Option<ChildStdin>,
    /// What the reader of the standard output understood, in order. Closed when the child has
    /// closed its output.
    messages: mpsc::Receiver<Said>,
    /// Whether an answer is owed, and to which question.
    exchange: Exchange,
    /// Who it is, in the log.
    label: Label,
    /// They read what it writes.
    readers: Tasks,
    /// Used for every message, so that nothing is allocated for one.
    buffer: Vec<u8>,
}

/// Who stores checkpoints.
pub(crate) trait Desk {
    /// Stores a checkpoint. The error is the name of an exception of the KCL.
    fn store(&self, wish: &CheckpointWish)
    -> impl Future<Output = Result<(), &'static str>> + Send;
}

/// What is said to a child.
pub(crate) enum Question<'a> {
    /// Anything but records: it fits into the buffer as a whole.
    Message(Message<'a>),
    /// Records. They are encoded and written piece by piece.
    Batch(BatchMessage<'a>),
}

impl ChildProcess {
    /// Takes over a process that was started with all three of its pipes, and begins to read its
    /// output.
    ///
    /// # Errors
    /// If a pipe is missing: the process was not started for this.
    pub(super) fn new(mut process: Child) -> io::Result<Self> {
        let gone = || io::Error::other("the child has no pipes");
        let input = process.stdin.take().ok_or_else(gone)?;
        let output = process.stdout.take().ok_or_else(gone)?;
        let errors = process.stderr.take().ok_or_else(gone)?;
        let label = Label {
            pid: process.id().unwrap_or(0),
            shard: Arc::new(OnceLock::new()),
        };
        let (sender, messages) = mpsc::channel(WAITING);
        let mut readers = Tasks::default();
        readers.start(read_messages(output, label.clone(), sender));
        readers.start(log_errors(errors, label.clone()));
        Ok(Self {
            process,
            input: Some(input),
            messages,
            exchange: Exchange::default(),
            label,
            readers,
            buffer: Vec::new(),
        })
    }

    /// The child works for this shard from now on.
    pub(crate) fn works_for(&self, shard: &ShardRef) {
        let _ = self.label.shard.set(shard.clone());
    }

    /// The process id, for the log. 0 if the process had ended before it was asked for.
    pub(crate) const fn pid(&self) -> u32 {
        self.label.pid
    }

    /// Whether the process is gone. An error of the system counts as the end: such a child is of no
    /// use.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Asks the child, and waits until it has done what it was asked to. Checkpoints that it asks
    /// for meanwhile are stored by `desk`; those that it has asked for since the last question, by
    /// `before`.
    ///
    /// `limit` is how long it may be silent. It begins anew with each word of the child, so that a
    /// batch may take as long as it likes to a child that checkpoints within it.
    pub(crate) async fn ask(
        &mut self,
        question: Question<'_>,
        before: &(impl Desk + Sync),
        desk: &(impl Desk + Sync),
        limit: Duration,
    ) -> Result<(), ChildError> {
        let action = match &question {
            Question::Message(message) => message.action().unwrap_or(Action::Initialize),
            Question::Batch(_) => Action::ProcessRecords,
        };
        // What the child has said since its last answer belongs to the question before.
        while let Ok(said) = self.messages.try_recv() {
            self.hear(said, before, action, limit).await?;
        }
        let mut late = Vec::new();
        match question {
            Question::Message(message) => {
                self.buffer.clear();
                message.write(&mut self.buffer);
                self.write(action, limit).await?;
            }
            Question::Batch(mut batch) => loop {
                self.buffer.clear();
                let more = batch.write(&mut self.buffer, PIECE);
                self.write(action, limit).await?;
                if !more {
                    break;
                }
                // So does this: the child cannot have read a message that has no end yet. It gets
                // its answer behind that.
                while let Ok(said) = self.messages.try_recv() {
                    late.push(said);
                }
            },
        }
        for said in late {
            self.hear(said, before, action, limit).await?;
        }
        self.exchange.ask(action);
        loop {
            match within(limit, self.messages.recv()).await {
                None => return Err(ChildError::Silent { action, limit }),
                Some(None) => return Err(self.ended(action).await),
                Some(Some(said)) => {
                    if self.hear(said, desk, action, limit).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Closes the child's input, which tells it that it is not needed any more, and waits for its
    /// end. What is left after `limit` is killed. Anything may still hold its pipes open: they are
    /// not waited for.
    pub(crate) async fn dismiss(mut self, limit: Duration) {
        self.input = None;
        if within(limit, self.process.wait()).await.is_none() {
            tracing::warn!(
                target: "child",
                pid = self.pid(),
                "the child did not end within {} s after its last message, and is killed",
                limit.as_secs_f64()
            );
        }
        self.end().await;
    }

    /// Kills the child and all the processes that it has started, and waits until what it wrote
    /// before is in the log: it may say there why it failed.
    pub(crate) async fn end(mut self) {
        self.kill();
        // A reader that has more messages than anybody takes ends as well.
        self.messages.close();
        let _ = within(LAST_WORDS, self.readers.ended()).await;
    }

    /// Kills the process group. Only where the child has not been waited for: its id may belong to
    /// another process by then.
    fn kill(&self) {
        #[cfg(unix)]
        if let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            // The group may be empty already; there is nothing more that could be done.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// Takes a word of the child; returns whether the exchange is over.
    async fn hear(
        &mut self,
        said: Said,
        desk: &(impl Desk + Sync),
        action: Action,
        limit: Duration,
    ) -> Result<bool, ChildError> {
        // A checkpoint is answered here, in the middle of the exchange: the library in the child
        // blocks until it has the result.
        match self.exchange.hear(said) {
            Then::Over => Ok(true),
            Then::GoOn => Ok(false),
            Then::OutOfStep { done, asked } => Err(ChildError::OutOfStep { done, asked }),
            Then::Store(wish) => {
                let error = desk.store(&wish).await.err();
                let wish = &wish;
                self.buffer.clear();
                Message::Checkpoint { wish, error }.write(&mut self.buffer);
                self.write(action, limit).await?;
                Ok(false)
            }
        }
    }

    /// Writes what is in the buffer.
    async fn write(&mut self, action: Action, limit: Duration) -> Result<(), ChildError> {
        let Some(input) = &mut self.input else {
            return Err(self.ended(action).await);
        };
        let written = async {
            input.write_all(&self.buffer).await?;
            input.flush().await
        };
        match within(limit, written).await {
            Some(Ok(())) => Ok(()),
            // A closed pipe: how the child ended says more than `broken pipe` does.
            Some(Err(_)) => Err(self.ended(action).await),
            None => Err(ChildError::Silent { action, limit }),
        }
    }

    /// The error of a child that does not talk any more.
    async fn ended(&mut self, action: Action) -> ChildError {
        let status = match within(EXIT, self.process.wait()).await {
            Some(Ok(status)) => Some(status),
            Some(Err(_)) | None => None,
        };
        ChildError::Ended { action, status }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // `kill_on_drop` ends the child alone.
        self.kill();
    }
}
