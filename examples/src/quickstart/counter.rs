use std::sync::Arc;

use kcl_core::BoxError;
use kcl_core::processor::{
    Failure, InitializeInput, LeaseLostInput, ProcessRecordsInput, RecordProcessor,
    ShardEndedInput, ShardRef,
};

use super::counts::{Counts, ShardState};

/// Counts the words of the lines of one shard.
#[derive(Debug)]
pub struct WordCounter {
    counts: Arc<Counts>,
}

impl WordCounter {
    /// Creates the processor for one acquisition of a shard.
    #[must_use]
    pub fn new(counts: &Arc<Counts>, _: &ShardRef) -> Self {
        Self {
            counts: Arc::clone(counts),
        }
    }
}

impl RecordProcessor for WordCounter {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        self.counts.shard(&input.shard.shard, ShardState::Reading);
        Ok(())
    }

    /// The counts and the position are stored before this returns, so that the worker's automatic
    /// checkpoint, which follows, is never ahead of them. That takes a few milliseconds per batch;
    /// a handler that blocks for longer should do so on a separate thread.
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.counts.take(
            &input.shard.shard,
            &input.records,
            input.millis_behind_latest,
        )?;
        Ok(())
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.counts.shard(&input.shard.shard, ShardState::Released);
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.counts.shard(&input.shard.shard, ShardState::Ended);
        Ok(())
    }
}
