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
    /// Everything that had been delivered was finished, its checkpoint was stored, and the lease
    /// was released (or kept, with [`Stop::Keep`](super::Stop::Keep)).
    Drained,
    /// The lease was released before anything was delivered, or its shard had ended.
    Released,
    /// The lease was lost, the deadline passed, or the future of `run` was dropped, and the
    /// handler's call was dropped unfinished. Other workers take the shard over when the lease
    /// expires.
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
