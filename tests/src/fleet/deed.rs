use std::time::Duration;

use kcl_core::model::{ShardId, Timestamp};

/// Something that was done to a worker process, or that it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When. What lasts (a freeze) has a deed at its beginning and one at its end.
    pub at: Timestamp,
    /// To which process, by its place among all that were started.
    pub member: usize,
    /// What.
    pub what: What,
    /// The shards that the process had then.
    pub shards: Vec<ShardId>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was started.
    Started,
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Frozen,
    /// SIGCONT.
    Woken,
    /// The requests to its lease table were harmed, for so long.
    TableHarmed(Duration),
    /// Those to its stream were.
    StreamHarmed,
    /// SIGTERM.
    Stopped,
    /// It ended by itself, or because it was told to.
    Ended,
}
