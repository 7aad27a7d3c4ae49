use std::fmt;
use std::sync::Arc;

use crate::model::{Checkpoint, HashKeyRange, Lease, LeaseKey, Shard, ShardId, Timestamp};

/// A lease that is to be created if there is none for its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewLease {
    /// The shard.
    pub shard: ShardId,
    /// Where it begins: a sentinel. The shard's end in a row that is only made so that its children may start.
    pub checkpoint: Checkpoint,
    /// The shards that have to be finished first. None for a lease that begins at the initial position: what came before such a
    /// shard is not read, or was lost.
    pub parents: Vec<ShardId>,
    /// The shard's hash keys.
    pub hash_range: HashKeyRange,
    /// The time at which a lease at `LATEST` or `AT_TIMESTAMP` begins.
    pub start_at: Option<Timestamp>,
    /// Why it is made.
    pub reason: Reason,
}

/// Why a lease is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The application has no lease yet: it begins here, at its initial position.
    Begin,
    /// Its parent was finished.
    Child,
    /// Its parent left the stream unfinished.
    ParentGone,
    /// A lease that there should be was not there. It was deleted, or the worker that was to make it died.
    Missing,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "the application begins",
            Self::Child => "its parent is finished",
            Self::ParentGone => "its parent left the stream",
            Self::Missing => "it was missing",
        })
    }
}

impl NewLease {
    /// A shard that is read from its first record on, after `parents`.
    pub(super) fn from_start(shard: ShardId, hash_range: HashKeyRange, parents: Vec<ShardId>, reason: Reason) -> Self {
        Self { shard, checkpoint: Checkpoint::TrimHorizon, parents, hash_range, start_at: None, reason }
    }

    /// A shard that is read from `checkpoint` on and waits for nothing.
    pub(super) fn unparented(shard: &Shard, checkpoint: Checkpoint, start_at: Option<Timestamp>, reason: Reason) -> Self {
        let (shard, hash_range) = (shard.id.clone(), shard.hash_range);
        Self { shard, checkpoint, parents: Vec::new(), hash_range, start_at, reason }
    }

    /// The row to create, owned by nobody. `stream` is the stream's part of the key, in an application that reads several.
    #[must_use]
    pub fn to_lease(&self, stream: Option<Arc<str>>) -> Lease {
        let mut lease = Lease::new(LeaseKey { stream, shard: self.shard.clone() }, self.checkpoint.clone());
        lease.parents.clone_from(&self.parents);
        lease.hash_range = Some(self.hash_range);
        lease.facts.start_at = self.start_at;
        lease
    }
}
