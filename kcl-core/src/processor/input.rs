use std::sync::{Arc, Mutex, PoisonError};

use crate::checkpoint::Checkpointer;
use crate::decide::start::{Start, StartRefused, begin};
use crate::model::{
    Checkpoint, ChildShard, Fence, LossReason, Moment, Pending, ShardRef, Timestamp, WorkerId,
};

use super::{Background, Records};

/// The input of [`initialize`](super::RecordProcessor::initialize).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InitializeInput {
    /// The shard.
    pub shard: ShardRef,
    /// The worker that holds its lease.
    pub worker: WorkerId,
    /// The stored checkpoint: how far the shard has been processed. It is a sentinel if nothing has
    /// been processed yet.
    pub checkpoint: Checkpoint,
    /// A checkpoint that an earlier owner prepared but did not commit. Its records are delivered
    /// again unless it is committed now.
    pub pending: Option<Pending>,
    /// The fencing token of this acquisition: greater than that of every earlier owner of the
    /// shard.
    pub fence: Fence,
    /// Commits the [`pending`](Self::pending) checkpoint: its end is that position. Use it if the
    /// work of the pending checkpoint turns out to be complete, so that its records need not be
    /// delivered again. `None` if no position is pending.
    pub checkpointer: Option<Checkpointer>,
    /// The number of this call for this acquisition: 1, or more after a failure.
    pub attempt: u32,
    pub(crate) start: StartCell,
}

impl InitializeInput {
    /// Starts reading at another place than the stored checkpoint, once `initialize` succeeds. If
    /// it is called several times, the last call counts.
    ///
    /// The stored checkpoint does not change. Records that retention has deleted cannot be read
    /// again; they are reported as a gap. For records from before the stored checkpoint, a
    /// [`Checkpointer`] accepts positions but writes nothing. The next owner of the shard starts at
    /// the stored checkpoint again, unless its own `initialize` chooses otherwise. Completed shards
    /// are not read again.
    ///
    /// ```
    /// use kcl_core::model::Position;
    /// use kcl_core::processor::{InitializeInput, Start};
    /// use kcl_core::BoxError;
    ///
    /// async fn initialize(input: InitializeInput, in_the_sink: Option<Position>) -> Result<(), BoxError> {
    ///     match in_the_sink {
    ///         // The sink may have been restored from a backup: what it lacks is read again.
    ///         Some(last) => input.begin(Start::After(last))?,
    ///         None => input.begin(Start::TrimHorizon)?,
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// If it would skip records and is not [`Start::SkipTo`]. Nothing changes then.
    pub fn begin(&self, start: Start) -> Result<(), StartRefused> {
        begin(&self.checkpoint, &start)?;
        self.start.set(start);
        Ok(())
    }
}

/// Where `initialize` has chosen to begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartCell(Arc<Mutex<Start>>);

impl StartCell {
    fn set(&self, start: Start) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    pub(crate) fn get(&self) -> Start {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The input of [`process_records`](super::RecordProcessor::process_records).
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
    /// The user records, deaggregated. Never empty.
    pub records: Records,
    /// Stores progress up to the end of this batch, or within it.
    pub checkpointer: Checkpointer,
    /// How far the newest record of the batch was behind the tip of the shard when it was fetched,
    /// in milliseconds. 0 means that no record followed it then. `None` if the service did not say.
    /// An answer of 0 with as many records as were requested is not believed; the age of the last
    /// record is given instead.
    pub millis_behind_latest: Option<u64>,
    /// Whether the batch is the last of its shard, as confirmed by a shard listing. If that takes
    /// more than 2 s after the batch has arrived, the batch is delivered with `false`, and only
    /// [`shard_ended`](super::RecordProcessor::shard_ended) reports the end.
    pub is_at_shard_end: bool,
    /// The child shards, in the last batch of a shard; otherwise empty.
    pub child_shards: Vec<ChildShard>,
    /// How many times records of this batch have been delivered to this processor: 1, or more after
    /// a failure.
    pub attempt: u32,
    /// When the batch was received from the service.
    pub fetched_at: Timestamp,
    pub(crate) fetched: Moment,
    pub(crate) handed_out: Moment,
    pub(crate) background: Background,
}

impl ProcessRecordsInput {
    /// How long the batch waited between its arrival and this call.
    #[must_use]
    pub const fn time_spent_in_cache(&self) -> std::time::Duration {
        self.handed_out.since(self.fetched)
    }
}

/// The input of [`idle`](super::RecordProcessor::idle).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdleInput {
    /// The shard.
    pub shard: ShardRef,
    /// Stores progress up to the last record for which `process_records` has returned `Ok`. `None` if
    /// nothing of the shard has been processed.
    pub checkpointer: Option<Checkpointer>,
    /// How long ago the processor was last called with records, or by `idle`.
    pub quiet_for: std::time::Duration,
}

/// The input of [`lease_lost`](super::RecordProcessor::lease_lost).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeaseLostInput {
    /// The shard.
    pub shard: ShardRef,
    /// Why the shard no longer belongs to this processor.
    pub reason: LossReason,
}

/// The input of [`shard_ended`](super::RecordProcessor::shard_ended).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardEndedInput {
    /// The shard.
    pub shard: ShardRef,
    /// The child shards, as far as the service named them.
    pub child_shards: Vec<ChildShard>,
    /// The number of this call for this acquisition: 1, or more after a failure.
    pub attempt: u32,
}

/// The input of [`shutdown_requested`](super::RecordProcessor::shutdown_requested).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownRequestedInput {
    /// The shard.
    pub shard: ShardRef,
    /// Stores progress up to the last record for which `process_records` has returned `Ok`, so it
    /// never passes a failed batch. `None` if nothing of the shard has been processed yet, by this
    /// or an earlier owner.
    pub checkpointer: Option<Checkpointer>,
}
