use std::future::Future;

use crate::BoxError;

use super::{
    Failure, IdleInput, InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput,
    ShardRef, ShutdownRequestedInput,
};

/// Processes the records of one shard. An application implements this.
///
/// Only [`process_records`](Self::process_records) is required. See the [module](crate::processor)
/// for the order of the calls. A panic in a call counts as an error of that call.
///
/// **After a failure or a panic the same object is called again**, with the records that are not
/// done, and what the failed call changed in memory stays changed. Therefore change memory last,
/// after everything that can fail; or keep the position of the last record that was counted, and
/// skip the records up to it.
///
/// Calls are not cancelled while the worker runs. If a call takes longer than the worker's handler
/// budget, the lease is lost, and checkpoints that the call tries to store afterwards are rejected.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use kcl_core::processor::{InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput};
/// use kcl_core::{BoxError, Failure, RecordProcessor};
///
/// /// Counts the records of each customer.
/// #[derive(Default)]
/// struct Customers(BTreeMap<String, u64>);
///
/// impl RecordProcessor for Customers {
///     async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
///         println!("{} continues at {}", input.shard, input.checkpoint);
///         Ok(())
///     }
///
///     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
///         let customers = input.records.iter().map(|record| record.partition_key.to_string());
///         let orders: Vec<String> = customers.collect(); // Whatever can fail comes first.
///         for customer in orders {
///             *self.0.entry(customer).or_default() += 1; // Memory is changed last.
///         }
///         Ok(())
///     }
///
///     async fn lease_lost(&mut self, input: LeaseLostInput) {
///         println!("{} was lost: {}", input.shard, input.reason);
///     }
///
///     async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
///         println!("{} is done: {} customers", input.shard, self.0.len());
///         Ok(())
///     }
/// }
/// # use std::time::Duration;
/// # use kcl_core::processor::ShardRef;
/// # use kcl_core::worker::Event;
/// # use kcl_core::{MemoryLeaseTable, MemoryStream, Worker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let stream = MemoryStream::new("orders", 1);
/// # let (shard, _) = stream.put("customer-7", "an order")?;
/// # stream.split_evenly(&shard)?;
/// # let builder = Worker::builder().stream("orders").source(stream).application("customers").lease_table(MemoryLeaseTable::new());
/// # let worker = builder.processor(|_: &ShardRef| Customers::default()).build()?;
/// # let mut events = worker.events();
/// # let ended = async { while !matches!(events.next().await, Some(Event::ShardEnded { .. }) | None) {} };
/// # worker.run_until(ended, Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `RecordProcessor`",
    label = "not a record processor",
    note = "implement `kcl_core::RecordProcessor` for batches, or wrap a `RecordHandler` as \
        `kcl_core::handler::in_order(handler)`"
)]
pub trait RecordProcessor: Send + 'static {
    /// The first call, repeated after a pause until it succeeds. No record is delivered before
    /// that. It may choose where to start ([`InitializeInput::begin`]), and commit what an earlier
    /// owner prepared ([`InitializeInput::checkpointer`]).
    ///
    /// # Errors
    /// Any error is reported as an event, and the call is retried.
    fn initialize(
        &mut self,
        input: InitializeInput,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = input;
        async { Ok(()) }
    }

    /// Processes the next records. `Ok` means that all of them have been processed. After an error
    /// or a panic, the records that are not done are delivered to the same object again.
    ///
    /// # Errors
    /// After any error, the worker's [`OnFailure`](super::OnFailure) decides what happens to the
    /// batch.
    fn process_records(
        &mut self,
        input: ProcessRecordsInput,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// No records have come for as long as the worker's
    /// [`idle_every`](crate::worker::Settings::idle_every) says, which is off by default: for timers,
    /// and for work that is done by time and not by number. Again after each such time, until records
    /// come. Not while a batch waits to be delivered again.
    ///
    /// # Errors
    /// Any error is reported as an event, and changes nothing: the next call comes at its time.
    fn idle(&mut self, input: IdleInput) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = input;
        async { Ok(()) }
    }

    /// The lease is lost: another worker owns the shard, or soon will. Nothing can be stored any
    /// more.
    fn lease_lost(&mut self, input: LeaseLostInput) -> impl Future<Output = ()> + Send {
        let _ = input;
        async {}
    }

    /// Every record of the shard has been delivered. `Ok` means that all of them have been
    /// processed, including any work in the background: the worker then stores the shard's end, and
    /// the child shards can be read.
    ///
    /// # Errors
    /// Any error is reported as an event, and the call is retried after a pause. The shard does not
    /// end before the call succeeds.
    fn shard_ended(
        &mut self,
        input: ShardEndedInput,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = input;
        async { Ok(()) }
    }

    /// The worker is about to release the shard gracefully. This is the last chance to store
    /// progress: records after the stored checkpoint are delivered again to the next owner.
    /// `lease_lost` follows.
    fn shutdown_requested(
        &mut self,
        input: ShutdownRequestedInput,
    ) -> impl Future<Output = ()> + Send {
        let _ = input;
        async {}
    }
}

/// Creates a processor for each acquisition of a shard.
///
/// A closure is enough: `|_shard: &ShardRef| MyProcessor::default()`. The type of its parameter
/// must be written out: rustc cannot infer it, so `|_| MyProcessor::default()` does not compile.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use kcl_core::processor::{ProcessRecordsInput, RecordProcessorFactory, ShardRef};
/// use kcl_core::{Failure, RecordProcessor};
///
/// /// What the processors of all shards share: a connection pool or a counter, for example.
/// struct Counting {
///     records: Arc<AtomicU64>,
/// }
///
/// struct Counter(Arc<AtomicU64>);
///
/// impl RecordProcessorFactory for Counting {
///     type Processor = Counter;
///
///     fn processor(&self, _shard: &ShardRef) -> Counter {
///         Counter(Arc::clone(&self.records))
///     }
/// }
///
/// impl RecordProcessor for Counter {
///     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
///         self.0.fetch_add(input.records.len() as u64, Ordering::Relaxed);
///         Ok(())
///     }
/// }
/// # let worker = kcl_core::Worker::builder().processor(Counting { records: Arc::default() });
/// # drop(worker);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `RecordProcessorFactory`",
    label = "not a record processor factory",
    note = "pass a closure whose parameter type is written out, such as `|_shard: &ShardRef| \
        MyProcessor`, or `kcl_core::handler::in_order(handler)`"
)]
pub trait RecordProcessorFactory: Send + Sync + 'static {
    /// The type of the processors.
    type Processor: RecordProcessor;

    /// Creates the processor of this shard. Called at each acquisition. It should be quick and must
    /// not block.
    fn processor(&self, shard: &ShardRef) -> Self::Processor;

    /// Checks the factory's own settings. [`build`](crate::worker::Builder::build) calls this once,
    /// and fails if it returns an error. A factory that wraps another one should call that one's
    /// `check`. By default nothing is checked.
    ///
    /// # Errors
    /// Which setting is invalid, what it was set to, and what is expected.
    fn check(&self) -> Result<(), BoxError> {
        Ok(())
    }
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
