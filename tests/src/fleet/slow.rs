use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::processor::{
    Failure, InitializeInput, LeaseLostInput, ProcessRecordsInput, RecordProcessor,
    ShardEndedInput, ShutdownRequestedInput,
};
use kcl_core::{Clock, SystemClock};

/// A processor that takes its time for each batch, so that others wait behind it.
#[derive(Debug)]
pub(super) struct Slow<P> {
    processor: P,
    batch_time: Duration,
}

impl<P> Slow<P> {
    pub(super) const fn new(processor: P, batch_time: Duration) -> Self {
        Self {
            processor,
            batch_time,
        }
    }
}

impl<P: RecordProcessor> RecordProcessor for Slow<P> {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        self.processor.initialize(input).await
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.processor.process_records(input).await?;
        if !self.batch_time.is_zero() {
            SystemClock
                .sleep_until(SystemClock.now() + self.batch_time)
                .await;
        }
        Ok(())
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.processor.lease_lost(input).await;
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.processor.shard_ended(input).await
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        self.processor.shutdown_requested(input).await;
    }
}
