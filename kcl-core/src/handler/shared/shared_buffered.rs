use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::BoxError;
use crate::decide::shared_buffer::SharedBounds;
use crate::handler::Retries;
use crate::handler::buffer::{AGE, BYTES, RECORDS};
use crate::handler::filter::RecordFilter;
use crate::model::{Record, ShardRef};
use crate::processor::{
    Failure, LeaseLostInput, ProcessRecordsInput, RecordProcessor, RecordProcessorFactory,
    ShardEndedInput, ShutdownRequestedInput,
};

use super::SharedBufferHandler;
use super::member::SharedMember;
use super::work::{SharedPlan, SharedWork};

/// Gathers the records of all shards of a worker in one buffer, and gives them to the handler
/// together: for fewer and larger files than with a [`buffer`](crate::handler::buffer()) of each
/// shard.
///
/// ```
/// use std::time::Duration;
///
/// use kcl_core::handler::{ShardRecord, SharedBufferHandler, SharedFlushContext, shared_buffer};
/// use kcl_core::{Failure, Worker};
///
/// struct Files;
///
/// impl SharedBufferHandler for Files {
///     async fn flush(&self, records: &[ShardRecord], _: &SharedFlushContext) -> Result<(), Failure> {
///         for of_shard in records.chunk_by(|one, next| one.shard == next.shard) {
///             println!("{} records of {}", of_shard.len(), of_shard[0].shard);
///         }
///         Ok(()) // The checkpoint of each shard follows.
///     }
/// }
///
/// let files = shared_buffer(Files).bytes(64 * 1024 * 1024).every(Duration::from_secs(60));
/// let builder = Worker::builder().stream("orders").processor(files);
/// # drop(builder);
/// ```
pub fn shared_buffer<H: SharedBufferHandler>(handler: H) -> SharedBuffered<H> {
    SharedBuffered {
        plan: SharedPlan {
            bounds: SharedBounds {
                records: RECORDS,
                bytes: BYTES,
                age: AGE,
                window: RECORDS,
            },
            gives_back: false,
            retries: None,
            filter: RecordFilter::default(),
        },
        window: RECORDS,
        handler: Arc::new(handler),
        work: OnceLock::new(),
    }
}

/// Makes a processor for each shard that gathers its records in the buffer of the worker. Made by
/// [`shared_buffer`].
///
/// The buffer is flushed when it holds [`records`](Self::records) or [`bytes`](Self::bytes), or when
/// its oldest record has waited as long as [`every`](Self::every) says, whichever comes first; before
/// that when the byte budget has no room for the next records of a shard, when a shard ends, and
/// when one is given up. There is one flush at a time; the next buffer fills meanwhile.
///
/// **Each shard has its own checkpoint, and it follows the flush**: it is the end of what is flushed
/// of this shard without a hole. When a shard is given up, what is gathered is flushed once more
/// within the time that a drain has, or what is gathered of this shard is
/// [given back](Self::give_back). A flush that takes longer than the worker's
/// [`handler_budget`](crate::worker::Settings::handler_budget) costs the leases of all shards in it.
pub struct SharedBuffered<H> {
    handler: Arc<H>,
    plan: SharedPlan,
    window: usize,
    /// From the first shard on.
    work: OnceLock<Arc<SharedWork<H>>>,
}

impl<H: SharedBufferHandler> SharedBuffered<H> {
    /// As many records are flushed, and never more by one call. At least 1. Default: 10,000.
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.plan.bounds.records = records.max(1);
        self.widen()
    }

    /// A buffer with so many bytes of data is flushed. They count in the worker's byte budget, which
    /// has to be larger: a buffer that it has no room for is flushed before it is full. Default: 5
    /// MiB.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.plan.bounds.bytes = bytes.max(1);
        self
    }

    /// The buffer is flushed at the latest when its oldest record has been in it for so long.
    /// Default: 60 s.
    #[must_use]
    pub fn every(mut self, span: Duration) -> Self {
        self.plan.bounds.age = span;
        self
    }

    /// How many records of one shard there may be from the first that is not done to the last that
    /// is in the buffer: when there are so many, the buffer is flushed, whatever it holds. At least
    /// as many as two buffers hold. Default: 10,000, or that.
    #[must_use]
    pub fn window(mut self, records: usize) -> Self {
        self.window = records;
        self.widen()
    }

    /// Only records of which this says yes are gathered. The others are done: the checkpoint passes
    /// them when what precedes them is flushed. As
    /// [`ByRecord::filter`](crate::handler::ByRecord::filter).
    #[must_use]
    pub fn filter(mut self, wants: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        self.plan.filter = RecordFilter::new(wants);
        self
    }

    /// When a shard is given up, what is gathered of it is not flushed and comes again at its next
    /// owner; what other shards have gathered stays. Default: the buffer is flushed, with what is in
    /// it of all shards, so that nothing comes again.
    #[must_use]
    pub fn give_back(mut self) -> Self {
        self.plan.gives_back = true;
        self
    }

    /// What follows when a flush fails. What failed is tried again in halves until the record that
    /// fails is alone; only then do its attempts count. While it is tried again, nothing of any
    /// shard is flushed. Default: the worker's [`OnFailure`](crate::OnFailure): under `Retry` it is
    /// tried for as long as it takes.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.plan.retries = Some(retries);
        self
    }

    fn widen(mut self) -> Self {
        let least = self.plan.bounds.records.saturating_mul(2);
        self.plan.bounds.window = self.window.max(least);
        self
    }
}

impl<H: SharedBufferHandler> RecordProcessorFactory for SharedBuffered<H> {
    type Processor = SharedBufferedProcessor<H>;

    fn processor(&self, _: &ShardRef) -> SharedBufferedProcessor<H> {
        let work = self.work.get_or_init(|| {
            let handler = Arc::clone(&self.handler);
            Arc::new(SharedWork::new(handler, self.plan.clone()))
        });
        SharedBufferedProcessor {
            member: SharedMember::new(Arc::clone(work)),
        }
    }

    fn check(&self) -> Result<(), BoxError> {
        if self.plan.bounds.age.is_zero() {
            return Err("`SharedBuffered::every` of no time (more than none is allowed)".into());
        }
        self.plan.retries.as_ref().map_or(Ok(()), Retries::check)
    }
}

impl<H> fmt::Debug for SharedBuffered<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuffered")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// The processor of one shard, made by [`SharedBuffered`].
pub struct SharedBufferedProcessor<H: SharedBufferHandler> {
    member: SharedMember<H>,
}

impl<H: SharedBufferHandler> RecordProcessor for SharedBufferedProcessor<H> {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.member.take_over(input).await
    }

    async fn lease_lost(&mut self, _: LeaseLostInput) {
        self.member.end().await;
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        // The shard does not end before what is gathered of it is flushed.
        self.member.end().await;
        Ok(())
    }

    async fn shutdown_requested(&mut self, _: ShutdownRequestedInput) {
        self.member.drain().await;
    }
}

impl<H: SharedBufferHandler> fmt::Debug for SharedBufferedProcessor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBufferedProcessor")
            .field("member", &self.member)
            .finish()
    }
}
