use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::model::{Position, ShardRef};
use crate::processor::{Failure, ProcessRecordsInput, RecordProcessor, RecordProcessorFactory};
use crate::runtime::panic_error;

use super::{RecordContext, RecordHandler};

/// The records of a shard one after the other.
///
/// A record that fails delays the records after it, in its own shard only: it is delivered again as the worker's
/// [`OnFailure`](crate::OnFailure) says, and the records before it are processed and not delivered again.
pub fn in_order<H: RecordHandler>(handler: H) -> InOrder<H> {
    InOrder { handler: Arc::new(handler) }
}

/// Made by [`in_order`].
pub struct InOrder<H> {
    handler: Arc<H>,
}

impl<H: RecordHandler> RecordProcessorFactory for InOrder<H> {
    type Processor = InOrderProcessor<H>;

    fn processor(&self, _: &ShardRef) -> InOrderProcessor<H> {
        InOrderProcessor { handler: Arc::clone(&self.handler), failed: None }
    }
}

impl<H> fmt::Debug for InOrder<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrder").finish_non_exhaustive()
    }
}

/// The processor of one shard, made by [`InOrder`].
pub struct InOrderProcessor<H> {
    handler: Arc<H>,
    /// The record that failed last, and how often.
    failed: Option<(Position, u32)>,
}

impl<H: RecordHandler> RecordProcessor for InOrderProcessor<H> {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let mut context = RecordContext {
            shard: input.shard.clone(),
            attempt: 1,
            millis_behind_latest: input.millis_behind_latest,
            fetched_at: input.fetched_at,
        };
        for record in &input.records {
            let before = self.failed.as_ref().filter(|(at, _)| *at == record.position).map_or(0, |(_, attempts)| *attempts);
            context.attempt = before + 1;
            // Caught here, where it is known which record it was.
            let handled = AssertUnwindSafe(self.handler.handle(record, &context)).catch_unwind().await;
            let error = match handled {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(panic) => panic_error(&*panic),
            };
            self.failed = Some((record.position.clone(), context.attempt));
            return Err(Failure::at(record, error));
        }
        Ok(())
    }
}

impl<H> fmt::Debug for InOrderProcessor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrderProcessor").field("failed", &self.failed).finish_non_exhaustive()
    }
}
