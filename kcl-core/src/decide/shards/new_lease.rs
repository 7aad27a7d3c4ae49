use std::fmt;
use std::sync::Arc;

use crate::model::{Checkpoint, HashKeyRange, Lease, LeaseKey, Shard, ShardId, Timestamp};

/// A lease to create, unless its shard already has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewLease {
    /// The shard.
    pub shard: ShardId,
    /// Where it begins: a sentinel. The shard's end in a row that is created only so that its
    /// children may be read.
    pub checkpoint: Checkpoint,
    /// The shards that have to be finished first, as far as they have rows or will get them. Empty
    /// for a lease at `TRIM_HORIZON` that follows no other lease: earlier records cannot be read
    /// any more, even if their shards are still listed for a while.
    pub parents: Vec<ShardId>,
    /// The shard's hash keys.
    pub hash_range: HashKeyRange,
    /// The time at which a lease at `LATEST` or `AT_TIMESTAMP` begins; otherwise `None`.
    pub start_at: Option<Timestamp>,
    /// Why it is created. It decides nothing; it is for the log.
    pub reason: CreationReason,
}

/// Why a lease is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CreationReason {
    /// The application has no lease yet: it begins here, at its initial position. `LATEST` means
    /// now only in this case.
    Begin,
    /// Its parent was finished. By the worker that has read the parent. The usual one.
    Child,
    /// Its parent was removed from the stream unfinished. After a gap that is reported.
    ParentGone,
    /// The lease was missing: it was deleted, or the worker that should have created it died. An
    /// audit has found it.
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
    /// The lease of a shard that is read from its first record on, after `parents`. `TRIM_HORIZON`
    /// of a child is its first record, so no record lies between the parent's end and it.
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

    /// The lease of a shard with which reading begins. If it begins at a time, it names its
    /// parents. It does not depend on them (the gate knows that), but it waits for them if another
    /// worker, which listed the shards a little earlier, began with them.
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

    /// The row to create, without an owner. `stream` is the stream's part of the key, in an
    /// application that reads several streams. A worker that is to read it at once adds itself as
    /// the owner ([`Lease::owned_by`]).
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
