use std::sync::{Arc, Mutex, PoisonError};

use crate::checkpoint::Checkpointer;
use crate::decide::start::{Start, StartRefused, begin};
use crate::model::{Checkpoint, ChildShard, Fence, LossReason, Moment, Pending, ShardRef, Timestamp, WorkerId};

use super::Records;

/// What [`initialize`](super::RecordProcessor::initialize) is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InitializeInput {
    /// The shard.
    pub shard: ShardRef,
    /// Who works on it now.
    pub worker: WorkerId,
    /// How far it has been processed; a sentinel when nothing is done.
    pub checkpoint: Checkpoint,
    /// A checkpoint that an earlier owner prepared and did not commit. Its records come again, unless it is committed now.
    pub pending: Option<Pending>,
    /// Larger than that of every earlier owner of the shard.
    pub fence: Fence,
    /// Stores what [`pending`](Self::pending) says, at once: its end is that position. For a two-phase checkpoint whose work turns out to be
    /// published, so that its records need not come again. Nothing when nothing is pending at a position.
    pub checkpointer: Option<Checkpointer>,
    /// The call for this acquisition: 1, or more after a failure.
    pub attempt: u32,
    pub(crate) start: StartCell,
}

impl InitializeInput {
    /// Begins to read elsewhere than at the stored checkpoint, when `initialize` succeeds. The last word of a call counts.
    ///
    /// The stored checkpoint stays as it is, and so does what retention has deleted: that is told as a gap. What comes again before
    /// the stored checkpoint is done without being stored: a [`Checkpointer`] accepts its positions and writes nothing. The next owner
    /// of the shard begins at the checkpoint again, unless its own `initialize` says otherwise; shards that are done do not come again.
    ///
    /// ```
    /// use kcl_core::model::Position;
    /// use kcl_core::processor::{InitializeInput, Start};
    /// use kcl_core::BoxError;
    ///
    /// async fn initialize(input: InitializeInput, in_the_sink: Option<Position>) -> Result<(), BoxError> {
    ///     match in_the_sink {
    ///         // The sink may be an older one, from a backup: what it lacks comes again.
    ///         Some(last) => input.begin(Start::After(last))?,
    ///         None => input.begin(Start::TrimHorizon)?,
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Records would be left out by it, and [`Start::SkipTo`] does not say so. Nothing changes.
    pub fn begin(&self, start: Start) -> Result<(), StartRefused> {
        begin(&self.checkpoint, &start)?;
        self.start.set(start);
        Ok(())
    }
}

/// Where `initialize` wants to begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartCell(Arc<Mutex<Start>>);

impl StartCell {
    fn set(&self, start: Start) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    pub(crate) fn get(&self) -> Start {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What [`process_records`](super::RecordProcessor::process_records) is given.
///
/// ```
/// use kcl_core::Failure;
/// use kcl_core::processor::ProcessRecordsInput;
///
/// async fn process_records(input: ProcessRecordsInput) -> Result<(), Failure> {
///     if input.attempt > 1 {
///         eprintln!("{}: attempt {} on {} records", input.shard, input.attempt, input.records.len());
///     }
///     for record in &input.records {
///         println!("{} {}", record.partition_key, String::from_utf8_lossy(&record.data));
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessRecordsInput {
    /// The shard.
    pub shard: ShardRef,
    /// The records, taken out of their aggregates. Never empty.
    pub records: Records,
    /// Stores progress up to the end of this batch, or within it.
    pub checkpointer: Checkpointer,
    /// How old the newest record of the batch was against the tip of the shard when it was fetched. 0: nothing followed it then. A server
    /// that says 0 beside as many records as were asked for is not believed.
    pub millis_behind_latest: Option<u64>,
    /// The batch is the last of its shard, and the listing has confirmed it. An end that is confirmed later than 2 s after the batch came
    /// is told by [`shard_ended`](super::RecordProcessor::shard_ended) alone.
    pub is_at_shard_end: bool,
    /// The shards that follow, with the last batch of a shard.
    pub child_shards: Vec<ChildShard>,
    /// How often records of this batch have been handed out to this processor: 1, or more after a failure.
    pub attempt: u32,
    /// When the batch came from the service.
    pub fetched_at: Timestamp,
    pub(crate) fetched: Moment,
    pub(crate) handed_out: Moment,
}

impl ProcessRecordsInput {
    /// How long the batch lay between the service and this call.
    #[must_use]
    pub const fn time_spent_in_cache(&self) -> std::time::Duration {
        self.handed_out.since(self.fetched)
    }
}

/// What [`lease_lost`](super::RecordProcessor::lease_lost) is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeaseLostInput {
    /// The shard.
    pub shard: ShardRef,
    /// Why the shard is not this processor's any more.
    pub reason: LossReason,
}

/// What [`shard_ended`](super::RecordProcessor::shard_ended) is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardEndedInput {
    /// The shard.
    pub shard: ShardRef,
    /// The shards that follow, as far as the service named them.
    pub child_shards: Vec<ChildShard>,
    /// The call for this acquisition: 1, or more after a failure.
    pub attempt: u32,
}

/// What [`shutdown_requested`](super::RecordProcessor::shutdown_requested) is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownRequestedInput {
    /// The shard.
    pub shard: ShardRef,
    /// Stores progress up to the last record that `process_records` has returned `Ok` for: a batch that failed is not passed.
    /// Nothing when nothing of the shard is done.
    pub checkpointer: Option<Checkpointer>,
}
