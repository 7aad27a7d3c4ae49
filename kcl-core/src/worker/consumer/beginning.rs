//! How a processor is created and initialized, and where it begins.
//!
//! The order matters for an application that opens files or transactions per shard: the parents are
//! finished, the lease is held and its fence is known before `initialize` is called, and no record
//! is fetched before it has succeeded.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use crate::checkpoint::Checkpointer;
use crate::decide::consumer::Step;
use crate::decide::start::{Start, StartRefused, begin};
use crate::model::Checkpoint;
use crate::processor::{InitializeInput, StartCell};
use crate::worker::event::{Event, HandlerCall};

use super::{ShardConsumer, panic_error};

impl ShardConsumer {
    /// Calls `initialize`, once for each attempt, with the lease as it is stored now. It may choose
    /// another start, and it may commit a checkpoint that an earlier owner has prepared.
    ///
    /// The processor is made once and kept over failed attempts, so that what it has opened is not
    /// opened twice. A panic in the factory counts as a failed attempt, too: the worker goes on
    /// with its other shards.
    pub(super) async fn initialize(&mut self) -> Step {
        let stored = self.held.stored();
        // An earlier call that failed may have committed it.
        let pending = self
            .row
            .pending
            .clone()
            .filter(|_| stored == self.row.checkpoint);
        let prepared = pending
            .as_ref()
            .and_then(|pending| pending.at.position())
            .cloned();
        let start = StartCell::default();
        let input = InitializeInput {
            shard: self.shard.clone(),
            worker: self.inner.parts.worker.clone(),
            checkpoint: stored,
            pending,
            fence: self.held.fence(),
            checkpointer: prepared.map(|at| Checkpointer::new(Arc::clone(&self.tenancy), at)),
            attempt: self.failures + 1,
            start: start.clone(),
        };
        self.meters
            .lag
            .is_to_be_read(self.clock.now(), self.usual_silence());
        if self.processor.is_none() {
            // The factory is application code too, and may panic.
            let factory = AssertUnwindSafe(|| self.inner.parts.factory.processor(&self.shard));
            match std::panic::catch_unwind(factory) {
                Ok(processor) => self.processor = Some(processor),
                Err(panic) => {
                    return self.call_failed(HandlerCall::Initialize, None, &*panic_error(&*panic));
                }
            }
        }
        let started = self.clock.now();
        let result = self.call(|processor| processor.initialize(input)).await;
        self.meters.initialized_in(self.clock.now().since(started));
        match result {
            Ok(Ok(())) => {
                if let Err(refused) = self.begin_at(&start.get()) {
                    return self.call_failed(HandlerCall::Initialize, None, &refused);
                }
                self.inner.outlet.say(Event::ShardStarted {
                    shard: self.shard.clone(),
                });
                self.quiet_since = self.clock.now();
                Step::Initialized
            }
            Ok(Err(error)) | Err(error) => self.call_failed(HandlerCall::Initialize, None, &*error),
        }
    }

    /// Applies the start that `initialize` has chosen, and the checkpoint that it has stored. A
    /// start before the stored checkpoint is a replay. The stored checkpoint stays where it is
    /// until the replay has passed it: checkpoints before it are accepted and not written, because
    /// a stored checkpoint never goes back.
    ///
    /// An invalid choice counts as a failed `initialize`, so the application hears of it, and
    /// nothing is read from a place that it did not mean.
    fn begin_at(&mut self, start: &Start) -> Result<(), StartRefused> {
        let stored = self.held.stored();
        let elsewhere = begin(&stored, start)?;
        if let (Some(begin), Some(stored)) = (&elsewhere, stored.position())
            && *begin < Checkpoint::At(stored.clone())
        {
            self.tenancy.replays_up_to(stored.clone());
        }
        self.begin = elsewhere.unwrap_or(stored);
        self.done = self.begin.position().cloned();
        Ok(())
    }
}
