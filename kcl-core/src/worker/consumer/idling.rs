//! The call on a shard of which no records come.
//!
//! An application that gathers records, or that has to say how far it is even if nothing happens,
//! cannot do so in `process_records`: without records there is no such call. `idle` is called
//! instead, if the setting `idle_every` is set.

use std::sync::Arc;

use crate::checkpoint::Checkpointer;
use crate::decide::consumer::Step;
use crate::lease::with_causes;
use crate::processor::IdleInput;
use crate::worker::event::HandlerCall;

use super::ShardConsumer;

impl ShardConsumer {
    /// Waits until the processor is to be told that no records come; for ever where it is not to
    /// be. The time counts from the end of the last call with records, or of the last `idle`.
    pub(super) fn is_quiet(&self) -> impl Future<Output = ()> + use<> {
        let every = self.inner.parts.settings.idle_every;
        let (clock, since) = (Arc::clone(&self.clock), self.quiet_since);
        async move {
            match every {
                Some(every) => clock.sleep_until(since + every).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Calls `idle` once. Its checkpointer reaches up to the last record that is done; there is
    /// none while nothing is done.
    ///
    /// A failure is reported and goes no further: no record depends on the call, so there is
    /// nothing to retry and no reason to delay the next batch.
    pub(super) async fn call_idle(&mut self) -> Step {
        let now = self.clock.now();
        let done = self.background.finished(self.done.as_ref());
        let input = IdleInput {
            shard: self.shard.clone(),
            checkpointer: done.map(|done| Checkpointer::new(Arc::clone(&self.tenancy), done)),
            quiet_for: now.since(self.quiet_since),
        };
        // With no await between the question and the call.
        if !self.held.is_valid(now) {
            return self.lose();
        }
        let result = self.call(|processor| processor.idle(input)).await;
        self.quiet_since = self.clock.now();
        if let Ok(Err(error)) | Err(error) = result {
            let starts_over = self.asks_to_start_over(&*error);
            // Nothing waits for it: it comes again at its next time.
            let error: Arc<str> = with_causes(&*error).into();
            self.failed(&HandlerCall::Idle.to_string(), &error);
            self.say_failed(HandlerCall::Idle, 1, None, error);
            if starts_over {
                return self.start_over();
            }
        }
        Step::IdleReturned
    }
}
