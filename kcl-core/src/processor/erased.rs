use async_trait::async_trait;

use crate::BoxError;

use super::{
    Failure, IdleInput, InitializeInput, LeaseLostInput, ProcessRecordsInput, RecordProcessor,
    RecordProcessorFactory, ShardEndedInput, ShardRef, ShutdownRequestedInput,
};

/// A type-erased [`RecordProcessor`]: it costs one allocation per call, and the worker is compiled
/// only once.
#[async_trait]
pub(crate) trait ErasedProcessor: Send {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError>;
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure>;
    async fn idle(&mut self, input: IdleInput) -> Result<(), BoxError>;
    async fn lease_lost(&mut self, input: LeaseLostInput);
    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError>;
    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput);
}

#[async_trait]
impl<P: RecordProcessor> ErasedProcessor for P {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        RecordProcessor::initialize(self, input).await
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        RecordProcessor::process_records(self, input).await
    }

    async fn idle(&mut self, input: IdleInput) -> Result<(), BoxError> {
        RecordProcessor::idle(self, input).await
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        RecordProcessor::lease_lost(self, input).await;
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        RecordProcessor::shard_ended(self, input).await
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        RecordProcessor::shutdown_requested(self, input).await;
    }
}

/// A type-erased [`RecordProcessorFactory`].
pub(crate) trait ErasedFactory: Send + Sync {
    fn processor(&self, shard: &ShardRef) -> Box<dyn ErasedProcessor>;
    fn check(&self) -> Result<(), BoxError>;
}

impl<F: RecordProcessorFactory> ErasedFactory for F {
    fn processor(&self, shard: &ShardRef) -> Box<dyn ErasedProcessor> {
        Box::new(RecordProcessorFactory::processor(self, shard))
    }

    fn check(&self) -> Result<(), BoxError> {
        RecordProcessorFactory::check(self)
    }
}
