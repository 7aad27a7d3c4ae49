use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Checkpoint, LeaseKey};

/// How a graceful stop went.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The shards that were held when the stop was asked for.
    pub shards: BTreeMap<LeaseKey, ShardReport>,
}

/// How one shard was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardReport {
    /// How.
    pub stopped: Stopped,
    /// The stored checkpoint, as this worker has seen it last.
    pub checkpoint: Checkpoint,
}

/// How a shard was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The batch in hand was finished, the last checkpoint stored, the lease freed (or kept, if that was asked for).
    Drained,
    /// The lease was freed before anything was handed out, or its shard had ended.
    Released,
    /// The lease was lost, or the deadline came first: the handler was dropped where it stood. Others take the shard over when the
    /// lease expires.
    GivenUp,
}

impl ShutdownReport {
    /// How many shards were given up like this.
    #[must_use]
    pub fn count(&self, stopped: Stopped) -> usize {
        self.shards.values().filter(|shard| shard.stopped == stopped).count()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [drained, released, given_up] =
            [Stopped::Drained, Stopped::Released, Stopped::GivenUp].map(|stopped| self.count(stopped));
        write!(f, "{drained} drained, {released} released, {given_up} given up")
    }
}
