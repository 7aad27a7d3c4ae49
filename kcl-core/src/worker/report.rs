use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Checkpoint, LeaseKey};

/// How a worker ended.
///
/// ```
/// use kcl_core::worker::{ShutdownReport, Stopped};
///
/// fn log(report: &ShutdownReport) {
///     println!("{report}"); // 3 drained, 0 released unread, 1 abandoned
///     for (lease, shard) in &report.shards {
///         if shard.stopped == Stopped::Abandoned {
///             eprintln!("{lease} is read again by another worker after {}", shard.checkpoint);
///         }
///     }
/// }
/// # log(&ShutdownReport::default());
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How its [`run`](super::Worker::run) ended.
    pub run: RunEnd,
    /// The shards that were held when the shutdown began, by lease key.
    pub shards: BTreeMap<LeaseKey, ShardReport>,
}

/// How [`Worker::run`](super::Worker::run) ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunEnd {
    /// It was never called.
    #[default]
    NotRun,
    /// It returned gracefully: after a shutdown, or at the end of a bounded read.
    Finished,
    /// It returned an error.
    Failed,
    /// Its future was dropped before it had ended, for example by a `select!` in which another
    /// branch finished first. Nothing was stored at the end and no lease was released: other
    /// workers take the shards over when the leases expire.
    /// [`Worker::run_until`](super::Worker::run_until) is the way to stop on a signal.
    Dropped,
}

/// How one shard was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardReport {
    /// How.
    pub stopped: Stopped,
    /// The stored checkpoint, as this worker has last seen it.
    pub checkpoint: Checkpoint,
}

/// How a shard was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// This worker had delivered records of the shard, and gave its lease up in good order: one
    /// write stored the last checkpoint and released the lease (or kept it, with
    /// [`Stop::Keep`](super::Stop::Keep)).
    ///
    /// That checkpoint covers what was finished, which need not be all that was delivered. The next
    /// owner is given again: the rest of a batch that had failed; records whose calls of a
    /// [handler](crate::handler) failed, or were still running when the time for them was over,
    /// shortly before the deadline, with all records after the first of them; what a buffer could
    /// not flush, or was to [give back](crate::handler::Buffered::give_back); and with
    /// [`Checkpoints::Manual`](super::Checkpoints::Manual) everything after the processor's own last
    /// checkpoint. [`ShardReport::checkpoint`] says how far it is.
    Drained,
    /// No record of the shard had been delivered since the lease was acquired, and the lease was
    /// released (or kept). Or nothing was left to release: the shard had been read to its end, or
    /// somebody had edited its checkpoint, which gives the lease up at once.
    Released,
    /// The lease was not released: it was lost, its release could not be written, the deadline
    /// passed, or the future of `run` was dropped. A call of the handler that was running was dropped
    /// unfinished. Other workers take the shard over when the lease expires, if none has it already,
    /// and read on after the stored checkpoint.
    Abandoned,
}

impl ShutdownReport {
    /// How many shards were given up in this way.
    #[must_use]
    pub fn count(&self, stopped: Stopped) -> usize {
        self.shards
            .values()
            .filter(|shard| shard.stopped == stopped)
            .count()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [drained, released, abandoned] =
            [Stopped::Drained, Stopped::Released, Stopped::Abandoned]
                .map(|stopped| self.count(stopped));
        f.write_str(match self.run {
            RunEnd::Finished => "",
            RunEnd::NotRun => "the worker did not run: ",
            RunEnd::Failed => "`run` ended with an error: ",
            RunEnd::Dropped => {
                "the future of `run` was dropped, which stores nothing and frees no lease: "
            }
        })?;
        write!(
            f,
            "{drained} drained, {released} released unread, {abandoned} abandoned"
        )
    }
}
