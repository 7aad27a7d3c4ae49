use std::fmt;
use std::sync::Arc;

use crate::model::{Checkpoint, HashKeyRange, Lease, LeaseKey, Shard, ShardId, Timestamp};

/// A lease that is to be created if there is none for its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewLease {
    /// The shard.
    pub shard: ShardId,
    /// Where it begins: a sentinel. The shard's end in a row that is only made so that its children
    /// may start.
    pub checkpoint: Checkpoint,
    /// The shards that have to be finished first, as far as they have rows or are to have them.
    /// None for a lease that begins at `TRIM_HORIZON` without following anything: what came before
    /// it is out of reach, even if it is still listed for a while.
    pub parents: Vec<ShardId>,
    /// The shard's hash keys.
    pub hash_range: HashKeyRange,
    /// The time at which a lease at `LATEST` or `AT_TIMESTAMP` begins.
    pub start_at: Option<Timestamp>,
    /// Why it is made.
    pub reason: CreationReason,
}

/// Why a lease is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CreationReason {
    /// The application has no lease yet: it begins here, at its initial position.
    Begin,
    /// Its parent was finished.
    Child,
    /// Its parent left the stream unfinished.
    ParentGone,
    /// A lease that there should be was not there. It was deleted, or the worker that was to make
    /// it died.
    Missing,
}

impl fmt::Display for CreationReason {
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
    pub(super) fn from_start(
        shard: ShardId,
        hash_range: HashKeyRange,
        parents: Vec<ShardId>,
        reason: CreationReason,
    ) -> Self {
        Self {
            shard,
            checkpoint: Checkpoint::TrimHorizon,
            parents,
            hash_range,
            start_at: None,
            reason,
        }
    }

    /// A shard to begin with. One that begins at a time names its parents, which it does not need
    /// (the gate knows), but which it waits for if another worker, that listed the shards a little
    /// earlier, began with them.
    pub(super) fn first(
        shard: &Shard,
        checkpoint: Checkpoint,
        start_at: Option<Timestamp>,
        reason: CreationReason,
    ) -> Self {
        let parents = if start_at.is_some() {
            shard.parents.clone()
        } else {
            Vec::new()
        };
        Self {
            shard: shard.id.clone(),
            checkpoint,
            parents,
            hash_range: shard.hash_range,
            start_at,
            reason,
        }
    }

    /// The row to create, owned by nobody. `stream` is the stream's part of the key, in an
    /// application that reads several.
    #[must_use]
    pub fn to_lease(&self, stream: Option<Arc<str>>) -> Lease {
        let mut lease = Lease::new(
            LeaseKey {
                stream,
                shard: self.shard.clone(),
            },
            self.checkpoint.clone(),
        );
        lease.parents.clone_from(&self.parents);
        lease.hash_range = Some(self.hash_range);
        lease.facts.start_at = self.start_at;
        lease
    }
}
