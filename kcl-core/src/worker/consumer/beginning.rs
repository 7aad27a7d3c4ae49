//! How a processor is created and initialized, and where it begins.

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

    /// Applies the start that `initialize` has chosen, and the checkpoint that it has stored.
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
