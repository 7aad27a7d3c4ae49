use std::future::Future;

use crate::BoxError;

use super::{Failure, InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput, ShardRef, ShutdownRequestedInput};

/// What an application does with the records of one shard.
///
/// Only [`process_records`](Self::process_records) has to be written. See the [module](crate::processor) for the order of the calls.
/// A panic in any call counts as an error of that call.
///
/// Calls are not cancelled while the worker lives. A call that takes longer than the worker's handler budget
/// loses the lease; what it then stores is refused.
pub trait RecordProcessor: Send + 'static {
    /// Comes first, and again after a pause until it succeeds. Nothing is handed out before. It may say where to begin
    /// ([`InitializeInput::begin`]), and commit what an earlier owner prepared ([`InitializeInput::checkpointer`]).
    ///
    /// # Errors
    /// Any error is reported as an event and the call is repeated.
    fn initialize(&mut self, input: InitializeInput) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = input;
        async { Ok(()) }
    }

    /// The next records. `Ok` means that they are done.
    ///
    /// # Errors
    /// The batch is not lost: what happens is the worker's [`OnFailure`](super::OnFailure).
    fn process_records(&mut self, input: ProcessRecordsInput) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The shard is somebody else's, or will be. Nothing can be stored any more.
    fn lease_lost(&mut self, input: LeaseLostInput) -> impl Future<Output = ()> + Send {
        let _ = input;
        async {}
    }

    /// All records of the shard have been handed out. `Ok` means that everything of this shard is done, work in the background
    /// included: the worker then writes the shard's end, and the shards that follow begin.
    ///
    /// # Errors
    /// Any error is reported as an event and the call is repeated after a pause; the shard does not end before it succeeds.
    fn shard_ended(&mut self, input: ShardEndedInput) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = input;
        async { Ok(()) }
    }

    /// The worker is about to give the shard up in good order. A last chance to store progress; records that are not done come again
    /// elsewhere. `lease_lost` follows.
    fn shutdown_requested(&mut self, input: ShutdownRequestedInput) -> impl Future<Output = ()> + Send {
        let _ = input;
        async {}
    }
}

/// Makes a processor for each acquisition of a shard.
///
/// A closure will do: `|_shard: &ShardRef| MyProcessor::default()`.
pub trait RecordProcessorFactory: Send + Sync + 'static {
    /// What is made.
    type Processor: RecordProcessor;

    /// The processor of this shard. Called at each acquisition; should be quick and must not block.
    fn processor(&self, shard: &ShardRef) -> Self::Processor;
}

impl<F, P> RecordProcessorFactory for F
where
    F: Fn(&ShardRef) -> P + Send + Sync + 'static,
    P: RecordProcessor,
{
    type Processor = P;

    fn processor(&self, shard: &ShardRef) -> P {
        self(shard)
    }
}
