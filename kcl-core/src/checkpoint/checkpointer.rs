use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::decide::checkpoint::{Accepted, Prepared, accept, prepare};
use crate::meters::ShardMeters;
use crate::model::{Position, Record};
use crate::runtime::Clock;
use crate::tenancy::held::{Held, OrderError, Orders};

use super::{CheckpointError, Delivered};

/// Stores how far an application has processed a shard. Each batch comes with its own.
///
/// It can be cloned, kept and used from any task: work that continues after `process_records` has
/// returned calls it when it is done. [`checkpoint`](Self::checkpoint) stands for the end of *this*
/// batch, however late it is called and however many batches have followed.
///
/// A position is accepted if it lies between the stored checkpoint and the last delivered record. A
/// stored checkpoint never goes back, and a worker that has lost the lease cannot store one,
/// however late its write arrives. While a shard is
/// [replayed](crate::processor::InitializeInput::begin), positions before the stored checkpoint are
/// accepted and not written.
///
/// ```
/// use kcl_core::processor::ProcessRecordsInput;
/// use kcl_core::{Failure, RecordProcessor};
///
/// /// How many records are written before each checkpoint.
/// const OFTEN: usize = 1000;
///
/// struct Orders {
///     written: usize,
/// }
///
/// impl RecordProcessor for Orders {
///     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
///         for record in &input.records {
///             // ... write the record.
///             self.written += 1;
///             if self.written % OFTEN == 0 {
///                 input.checkpointer.checkpoint_at(record).await?;
///             }
///         }
///         input.checkpointer.checkpoint().await?;
///         Ok(())
///     }
/// }
/// # use std::time::Duration;
/// # use kcl_core::lease::LeaseTable;
/// # use kcl_core::model::{Checkpoint, LeaseKey};
/// # use kcl_core::processor::ShardRef;
/// # use kcl_core::worker::{Checkpoints, Event};
/// # use kcl_core::{BoxError, MemoryLeaseTable, MemoryStream, Worker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let (stream, table) = (MemoryStream::new("orders", 1), MemoryLeaseTable::new());
/// # let (shard, sequence) = stream.put("customer-7", "an order")?;
/// # let builder = Worker::builder().stream("orders").source(stream).application("orders").lease_table(table.clone());
/// # let worker = builder.checkpoints(Checkpoints::Manual).processor(|_: &ShardRef| Orders { written: 0 }).build()?;
/// # let mut events = worker.events();
/// # let caught_up = async { while !matches!(events.next().await, Some(Event::CaughtUp { .. }) | None) {} };
/// # worker.run_until(caught_up, Duration::from_secs(10)).await?;
/// # let row = table.get(&LeaseKey::single(shard)).await?.ok_or("no lease")?;
/// # assert_eq!(row.checkpoint, Checkpoint::At(sequence.into()));
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future of a call only stops waiting for the answer: the checkpoint may or may not
/// be stored.
#[derive(Clone)]
pub struct Checkpointer {
    /// Shared with the checkpointers of other batches, so an old one cannot store what a new one
    /// may not.
    shard: Arc<CheckpointerShared>,
    /// What [`Checkpointer::checkpoint`] stores.
    end: Position,
}

/// What all checkpointers of a tenancy share.
pub(crate) struct CheckpointerShared {
    /// Whether the lease is still this worker's, and what is stored.
    held: Arc<Held>,
    /// The way to the lease's writer. It works after the consumer has ended, and then says that the
    /// lease is lost.
    orders: Orders,
    /// The upper limit of what can be stored.
    delivered: Delivered,
    meters: ShardMeters,
    clock: Arc<dyn Clock>,
    /// The position that an earlier owner prepared: it may be committed before any record is
    /// delivered again.
    prepared: Option<Position>,
    /// If the processor chose to start before the stored checkpoint, that checkpoint. Positions
    /// before it are not stored.
    replay: OnceLock<Position>,
}

impl CheckpointerShared {
    pub(crate) fn new(
        held: Arc<Held>,
        delivered: Delivered,
        meters: ShardMeters,
        clock: Arc<dyn Clock>,
        prepared: Option<Position>,
    ) -> Self {
        Self {
            orders: held.orders(),
            held,
            delivered,
            meters,
            clock,
            prepared,
            replay: OnceLock::new(),
        }
    }

    /// Notes that reading begins before `stored`, the stored checkpoint. Only the first call
    /// counts, because a processor begins only once.
    pub(crate) fn replays_up_to(&self, stored: Position) {
        let _ = self.replay.set(stored);
    }

    /// Whether no position after the replayed records has been stored. The stored checkpoint then
    /// does not show how far this tenancy has processed.
    pub(crate) fn replays(&self) -> bool {
        self.replay
            .get()
            .is_some_and(|replay| self.held.stored().position() == Some(replay))
    }

    /// Whether this position is accepted without being stored, because it is before the stored
    /// checkpoint of a replayed shard.
    fn is_replayed(&self, wanted: &Position) -> bool {
        self.replay.get().is_some_and(|replay| wanted < replay)
            && self.replays()
            && self.held.loss().is_none()
    }

    /// Judges a position here, before the writer is asked: most refusals need no hop to the
    /// coordination thread. The writer judges it again, because the stored checkpoint may have
    /// moved by then.
    fn accept(&self, wanted: &Position) -> Result<Accepted, CheckpointError> {
        if let Some(reason) = self.held.loss() {
            return Err(CheckpointError::LeaseLost {
                reason: Some(reason),
            });
        }
        let delivered = self.delivered.greatest();
        Ok(accept(
            &self.held.stored(),
            delivered.as_ref().max(self.prepared.as_ref()),
            wanted,
        )?)
    }

    /// Asks the writer, and measures how long the application waits.
    async fn store(&self, wanted: &Position) -> Result<(), CheckpointError> {
        let sent = self.clock.now();
        let stored = self.orders.checkpoint(wanted.clone()).await;
        self.meters.checkpointed_in(self.clock.now().since(sent));
        let stored = stored.map_err(|error| match error {
            OrderError::Lost(reason) => OrderError::Lost(reason.or_else(|| self.held.loss())),
            other => other,
        });
        stored
            .map_err(|error| CheckpointError::from_order(error, wanted, self.delivered.greatest()))
    }
}

impl Checkpointer {
    /// The same, for less: up to there.
    pub(crate) fn up_to(&self, end: Position) -> Self {
        Self::new(Arc::clone(&self.shard), end)
    }

    pub(crate) const fn new(shard: Arc<CheckpointerShared>, end: Position) -> Self {
        Self { shard, end }
    }

    /// The end of the batch that this belongs to, which [`checkpoint`](Self::checkpoint) stores. A
    /// good name for what a batch has produced: it is unique in the shard and grows.
    #[must_use]
    pub const fn end(&self) -> &Position {
        &self.end
    }

    /// Stores that everything up to the end of this batch has been processed.
    ///
    /// # Errors
    /// See [`CheckpointError`]. If the end of a later batch has been stored already, this one is
    /// out of range.
    pub async fn checkpoint(&self) -> Result<(), CheckpointError> {
        self.store(&self.end).await
    }

    /// Stores that everything up to and including this record has been processed.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub async fn checkpoint_at(&self, record: &Record) -> Result<(), CheckpointError> {
        self.store(&record.position).await
    }

    /// Stores that everything up to and including this position has been processed.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub async fn checkpoint_at_position(&self, position: &Position) -> Result<(), CheckpointError> {
        self.store(position).await
    }

    /// Writes the first half of a two-phase checkpoint at the end of this batch: after a failover
    /// the next owner receives it, together with `state`, in
    /// [`InitializeInput::pending`](crate::processor::InitializeInput::pending). That owner starts
    /// to read at the last *committed* checkpoint.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub async fn prepare(
        &self,
        state: Option<Bytes>,
    ) -> Result<PreparedCheckpoint, CheckpointError> {
        self.prepare_at_position(&self.end, state).await
    }

    /// The same as [`prepare`](Self::prepare), at this position.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub async fn prepare_at_position(
        &self,
        position: &Position,
        state: Option<Bytes>,
    ) -> Result<PreparedCheckpoint, CheckpointError> {
        let prepared = PreparedCheckpoint {
            shard: Arc::clone(&self.shard),
            at: position.clone(),
        };
        if self.shard.is_replayed(position) {
            return Ok(prepared);
        }
        let accepted = self.shard.accept(position)?;
        let Prepared::Store(pending) = prepare(&self.shard.held.stored(), accepted, state) else {
            // Nothing to write: the commit will find the position already stored.
            return Ok(prepared);
        };
        match self.shard.orders.prepare(pending).await {
            Ok(()) => Ok(prepared),
            Err(error) => Err(CheckpointError::from_order(
                error,
                position,
                self.shard.delivered.greatest(),
            )),
        }
    }

    async fn store(&self, position: &Position) -> Result<(), CheckpointError> {
        if self.shard.is_replayed(position) {
            return Ok(());
        }
        // The writer also gets positions that are stored already: it may still have to remove the
        // prepared checkpoint there.
        self.shard.accept(position)?;
        self.shard.store(position).await
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("lease", self.shard.held.key())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A two-phase checkpoint whose first half is stored.
///
/// ```
/// use kcl_core::Failure;
/// use kcl_core::processor::ProcessRecordsInput;
///
/// async fn process_records(input: ProcessRecordsInput) -> Result<(), Failure> {
///     let file = format!("orders-after-{}.jsonl", input.checkpointer.end());
///     // The lease stores the name: if this process dies, the next owner finds it in `InitializeInput::pending`.
///     let prepared = input.checkpointer.prepare(Some(file.clone().into())).await?;
///     // ... publish the file.
///     prepared.commit().await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct PreparedCheckpoint {
    shard: Arc<CheckpointerShared>,
    /// What [`PreparedCheckpoint::commit`] stores.
    at: Position,
}

impl PreparedCheckpoint {
    /// Its position.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.at
    }

    /// Writes the second half: the position becomes the stored checkpoint, and the prepared one is
    /// removed.
    ///
    /// # Errors
    /// See [`CheckpointError`]. If a later checkpoint has been stored since, this one is out of
    /// range.
    pub async fn commit(&self) -> Result<(), CheckpointError> {
        if self.shard.is_replayed(&self.at) {
            return Ok(());
        }
        self.shard.accept(&self.at)?;
        self.shard.store(&self.at).await
    }
}

impl fmt::Debug for PreparedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedCheckpoint")
            .field("lease", self.shard.held.key())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
