use std::fmt;
use std::sync::Arc;

use crate::BoxError;
use crate::decide::lanes::LaneBounds;
use crate::model::{Record, ShardRef};
use crate::processor::{
    Failure, LeaseLostInput, ProcessRecordsInput, RecordProcessor, RecordProcessorFactory,
    ShardEndedInput, ShutdownRequestedInput,
};

use super::filter::RecordFilter;
use super::work::{RecordOrder, RecordWork, WorkPlan};
use super::{RecordHandler, Retries};

/// The default window: as many records as one `GetRecords` returns at most.
const WINDOW: usize = 10_000;

/// The records of a shard one after the other, in order.
///
/// A record that fails holds up those behind it, in its shard alone.
pub fn in_order<H: RecordHandler>(handler: H) -> ByRecord<H> {
    ByRecord::new(RecordOrder::Shard, 1, handler)
}

/// Up to `at_work` records of a shard at the same time, those of one partition key one after the
/// other, in order.
///
/// A key that is slow, or whose record fails, holds up only itself, until there are
/// [`window`](ByRecord::window) records from it on.
///
/// ```
/// use kcl_core::handler::{RecordContext, RecordHandler, by_key};
/// use kcl_core::model::Record;
/// use kcl_core::{BoxError, Worker};
///
/// struct Orders;
///
/// impl RecordHandler for Orders {
///     async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
///         // ... a call of another service, say of 20 ms: 256 of them at a time are 12,800 records per second and shard.
///         Ok(())
///     }
/// }
///
/// let builder = Worker::builder().stream("orders").processor(by_key(256, Orders));
/// # drop(builder);
/// ```
pub fn by_key<H: RecordHandler>(at_work: usize, handler: H) -> ByRecord<H> {
    ByRecord::new(RecordOrder::Key, at_work, handler)
}

/// Up to `at_work` records of a shard at the same time, in any order.
pub fn unordered<H: RecordHandler>(at_work: usize, handler: H) -> ByRecord<H> {
    ByRecord::new(RecordOrder::None, at_work, handler)
}

/// Makes a processor for each shard that gives its records to one handler. Made by [`in_order`],
/// [`by_key`] and [`unordered`].
///
/// Records are at work beside the calls of the shard: while the next are fetched, and when no more
/// come. The checkpoint is the end of the finished prefix: it never passes a record that is at
/// work, that failed, or that waits. When the shard is given up, no further record begins. At a
/// hand-over those at work have the worker's [`drain_limit`](crate::worker::Settings::drain_limit)
/// to end; when the worker is stopped, they have the time until the deadline, less a tenth of it (1
/// s at least) for the release of the lease. Then they are dropped, as they are when the lease is
/// lost. What was not done comes again at the next owner. The shard's end is stored when all of its
/// records are done.
///
/// A record whose work takes longer than the worker's
/// [`handler_budget`](crate::worker::Settings::handler_budget) costs the lease, as a call of a
/// processor does. The worker's [`Checkpoints`](crate::worker::Checkpoints) makes no difference
/// here: what is done is stored as with `Automatic`.
pub struct ByRecord<H> {
    /// One for all shards of the worker.
    handler: Arc<H>,
    /// The same for every shard.
    plan: WorkPlan,
}

impl<H: RecordHandler> ByRecord<H> {
    /// A window that is smaller than what may be at work would leave workers idle, so it is at
    /// least as large.
    fn new(order: RecordOrder, at_work: usize, handler: H) -> Self {
        let at_work = at_work.max(1);
        let bounds = LaneBounds {
            at_work,
            window: WINDOW.max(at_work),
        };
        Self {
            handler: Arc::new(handler),
            plan: WorkPlan {
                order,
                bounds,
                retries: None,
                filter: RecordFilter::default(),
            },
        }
    }

    /// How many records of a shard there may be from the first that is not done to the last that
    /// has begun. It bounds how far the others go on beside a slow one, and how many come again
    /// after a crash. Their memory counts in the byte budget. At least as many as may be at work.
    /// Default: 10,000.
    #[must_use]
    pub fn window(mut self, records: usize) -> Self {
        self.plan.bounds.window = records.max(self.plan.bounds.at_work);
        self
    }

    /// Only records of which this says yes are given to the handler. The others are done: the
    /// checkpoint passes them. It should be quick: it is asked once for each record or, while the
    /// window is full, a few times. A panic fails the batch.
    ///
    /// ```
    /// # use kcl_core::handler::{RecordContext, RecordHandler, by_key};
    /// # use kcl_core::model::Record;
    /// # use kcl_core::BoxError;
    /// # struct Orders;
    /// # impl RecordHandler for Orders {
    /// #     async fn handle(&self, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// let processors = by_key(64, Orders).filter(|record| record.partition_key.starts_with("customer-"));
    /// # drop(processors);
    /// ```
    #[must_use]
    pub fn filter(mut self, wants: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        self.plan.filter = RecordFilter::new(wants);
        self
    }

    /// What follows when a record fails. Default: the worker's [`OnFailure`](crate::OnFailure):
    /// under `Retry` a record is tried again for as long as it takes.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.plan.retries = Some(retries);
        self
    }
}

impl<H: RecordHandler> RecordProcessorFactory for ByRecord<H> {
    type Processor = ByRecordProcessor<H>;

    fn processor(&self, _: &ShardRef) -> ByRecordProcessor<H> {
        ByRecordProcessor {
            work: RecordWork::new(Arc::clone(&self.handler), self.plan.clone()),
        }
    }

    fn check(&self) -> Result<(), BoxError> {
        self.plan.retries.as_ref().map_or(Ok(()), Retries::check)
    }
}

impl<H> fmt::Debug for ByRecord<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByRecord")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// The processor of one shard, made by [`ByRecord`].
pub struct ByRecordProcessor<H: RecordHandler> {
    /// Dropped with the processor, which ends all work on the shard.
    work: RecordWork<H>,
}

impl<H: RecordHandler> RecordProcessor for ByRecordProcessor<H> {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.work.take_over(input).await
    }

    async fn lease_lost(&mut self, _: LeaseLostInput) {
        self.work.end().await;
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        // The shard does not end before its work is done.
        self.work.end().await;
        Ok(())
    }

    async fn shutdown_requested(&mut self, _: ShutdownRequestedInput) {
        self.work.drain().await;
    }
}

impl<H: RecordHandler> fmt::Debug for ByRecordProcessor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByRecordProcessor")
            .field("work", &self.work)
            .finish()
    }
}
