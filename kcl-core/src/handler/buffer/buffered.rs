use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::BoxError;
use crate::decide::buffers::BufferBounds;
use crate::handler::Retries;
use crate::handler::filter::RecordFilter;
use crate::model::{Record, ShardRef};
use crate::processor::{
    Failure, LeaseLostInput, ProcessRecordsInput, RecordProcessor, RecordProcessorFactory,
    ShardEndedInput, ShutdownRequestedInput,
};

use super::BufferHandler;
use super::work::{BufferPlan, BufferWork};

/// The default: as many records as one `GetRecords` returns at most.
pub(in crate::handler) const RECORDS: usize = 10_000;
/// The default: 5 MiB, as Amazon Data Firehose buffers by default.
pub(in crate::handler) const BYTES: u64 = 5 * 1024 * 1024;
/// The default.
pub(in crate::handler) const AGE: Duration = Duration::from_secs(60);

/// Gathers the records of each shard, and gives them to the handler together: for writing files,
/// bulk inserts, and whatever costs as much for many records as for one.
///
/// ```
/// use std::time::Duration;
///
/// use kcl_core::handler::{BufferHandler, FlushContext, buffer};
/// use kcl_core::model::Record;
/// use kcl_core::{Failure, Worker};
///
/// struct Files;
///
/// impl BufferHandler for Files {
///     async fn flush(&self, records: &[Record], context: &FlushContext) -> Result<(), Failure> {
///         // ... one file of all these records, named by the first: a repeated flush replaces it.
///         println!("{} {} has {} records", context.shard, records[0].position, records.len());
///         Ok(()) // The checkpoint follows.
///     }
/// }
///
/// let files = buffer(Files).records(5_000).bytes(1024 * 1024).every(Duration::from_secs(30));
/// let builder = Worker::builder().stream("orders").processor(files);
/// # drop(builder);
/// ```
pub fn buffer<H: BufferHandler>(handler: H) -> Buffered<H> {
    let bounds = BufferBounds {
        records: RECORDS,
        bytes: BYTES,
        age: AGE,
        at_work: 1,
        window: RECORDS,
    };
    Buffered {
        handler: Arc::new(handler),
        plan: BufferPlan {
            bounds,
            by_key: false,
            gives_back: false,
            retries: None,
            filter: RecordFilter::default(),
        },
        window: RECORDS,
    }
}

/// Makes a processor for each shard that gathers its records for one handler. Made by [`buffer`].
///
/// A buffer is flushed when it holds [`records`](Self::records) or [`bytes`](Self::bytes), or when
/// its oldest record has waited as long as [`every`](Self::every) says, whichever comes first; before
/// that when the byte budget has no room for the next records, and when the shard ends. The next
/// buffer fills meanwhile.
///
/// **The checkpoint follows the flush**: it is the end of what is flushed without a hole, so after a
/// crash the records of a buffer come again. Their memory counts in the worker's byte budget until
/// then. When the shard is given up, what is gathered is flushed once more within the time that a
/// drain has, or is [given back](Self::give_back). A flush that takes longer than the worker's
/// [`handler_budget`](crate::worker::Settings::handler_budget) costs the lease. The worker's
/// [`Checkpoints`](crate::worker::Checkpoints) makes no difference here: what is flushed is stored as
/// with `Automatic`.
pub struct Buffered<H> {
    handler: Arc<H>,
    plan: BufferPlan,
    window: usize,
}

impl<H: BufferHandler> Buffered<H> {
    /// As many records are flushed, and never more by one call. At least 1. Default: 10,000.
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.plan.bounds.records = records.max(1);
        self.widen()
    }

    /// A buffer with so many bytes of data is flushed. Default: 5 MiB.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.plan.bounds.bytes = bytes.max(1);
        self
    }

    /// A buffer is flushed at the latest when its oldest record has been in it for so long. Default:
    /// 60 s.
    #[must_use]
    pub fn every(mut self, span: Duration) -> Self {
        self.plan.bounds.age = span;
        self
    }

    /// Each partition key has a buffer of its own. Up to `at_work` are flushed at the same time,
    /// those of one key one after the other, in order; one that waits to be tried again is among
    /// them. Default: a buffer for the shard.
    #[must_use]
    pub fn by_key(mut self, at_work: usize) -> Self {
        (self.plan.by_key, self.plan.bounds.at_work) = (true, at_work.max(1));
        self
    }

    /// How many records of a shard there may be from the first that is not done to the last that is
    /// in a buffer: when there are so many, the oldest buffer is flushed, whatever it holds. It
    /// matters with [`by_key`](Self::by_key), where a key whose records come rarely waits for its
    /// time. At least as many as two buffers hold. Default: 10,000, or that.
    #[must_use]
    pub fn window(mut self, records: usize) -> Self {
        self.window = records;
        self.widen()
    }

    /// Only records of which this says yes are gathered. The others are done: the checkpoint passes
    /// them when what precedes them is flushed. As [`ByRecord::filter`](super::super::ByRecord::filter).
    #[must_use]
    pub fn filter(mut self, wants: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        self.plan.filter = RecordFilter::new(wants);
        self
    }

    /// When the shard is given up, nothing more is flushed: the records come again at the next
    /// owner, which has full buffers by them. Default: what is gathered is flushed, so that nothing
    /// comes again.
    #[must_use]
    pub fn give_back(mut self) -> Self {
        self.plan.gives_back = true;
        self
    }

    /// What follows when a flush fails. What failed is tried again in halves until the record that
    /// fails is alone; only then do its attempts count. Default: the worker's
    /// [`OnFailure`](crate::OnFailure): under `Retry` it is tried for as long as it takes.
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

impl<H: BufferHandler> RecordProcessorFactory for Buffered<H> {
    type Processor = BufferedProcessor<H>;

    fn processor(&self, _: &ShardRef) -> BufferedProcessor<H> {
        BufferedProcessor {
            work: BufferWork::new(Arc::clone(&self.handler), self.plan.clone()),
        }
    }

    fn check(&self) -> Result<(), BoxError> {
        if self.plan.bounds.age.is_zero() {
            return Err("`Buffered::every` of no time (more than none is allowed)".into());
        }
        self.plan.retries.as_ref().map_or(Ok(()), Retries::check)
    }
}

impl<H> fmt::Debug for Buffered<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// The processor of one shard, made by [`Buffered`].
pub struct BufferedProcessor<H: BufferHandler> {
    work: BufferWork<H>,
}

impl<H: BufferHandler> RecordProcessor for BufferedProcessor<H> {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.work.take_over(input).await
    }

    async fn lease_lost(&mut self, _: LeaseLostInput) {
        self.work.end().await;
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        // The shard does not end before its buffers are flushed.
        self.work.end().await;
        Ok(())
    }

    async fn shutdown_requested(&mut self, _: ShutdownRequestedInput) {
        self.work.drain().await;
    }
}

impl<H: BufferHandler> fmt::Debug for BufferedProcessor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedProcessor")
            .field("work", &self.work)
            .finish()
    }
}
