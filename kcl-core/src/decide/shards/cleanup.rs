//! When the row of a finished shard may go.
//!
//! It is a kind of memory: it says that the shard was read. If it goes too early, a worker with an
//! old listing creates it again and reads the shard a second time, after its children. If it never
//! goes, every scan reads it for ever. The right time is when the stream itself has forgotten the
//! shard.

use std::fmt;

use crate::lease::{Expect, Write};
use crate::model::{Lease, ShardId};

use super::{Leases, ShardGraph};

/// Whether a row may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Yes, under this condition: the row has not changed since it was judged. A row that was
    /// edited or recreated since then does not meet it, and stays.
    Delete(Expect),
    /// No.
    Keep(Kept),
}

/// Why a row is kept. The `Display` text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// Its shard is not finished.
    Unfinished,
    /// Its shard is still listed. A worker that decided on leases some time ago and was paused
    /// since then could create the row again, and the shard would be read a second time, after its
    /// own children.
    Listed,
    /// The listing is empty, which proves nothing. A stream always has an open shard, so something
    /// is wrong with the listing.
    NothingListed,
    /// The listing has no younger shard, so it may be older than this shard. The shard may have
    /// been created after it.
    OldListing,
    /// A child has no lease yet, and this row shows that the child must be read from its first
    /// record on.
    ChildMissing {
        /// The child.
        child: ShardId,
    },
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("its shard is not finished"),
            Self::Listed => f.write_str("its shard is still listed"),
            Self::OldListing => {
                f.write_str("no younger shard is listed: the listing may be older than it")
            }
            Self::NothingListed => f.write_str("no shard is listed at all"),
            Self::ChildMissing { child } => write!(f, "its child {child} has no lease yet"),
        }
    }
}

/// Judges the row of `lease` against the other `leases` and `graph`, a listing of all shards that
/// was started after the rows were read. A row is deleted only if its shard is finished and no
/// longer listed, and only if the row has not changed: the condition contains its counter and its
/// checkpoint.
#[must_use]
pub fn judge_finished(lease: &Lease, graph: &ShardGraph, leases: &Leases<'_>) -> Finished {
    let id = &lease.key.shard;
    if !lease.checkpoint.is_shard_end() {
        return Finished::Keep(Kept::Unfinished);
    }
    if graph.is_empty() {
        return Finished::Keep(Kept::NothingListed);
    }
    if graph.contains(id) {
        return Finished::Keep(Kept::Listed);
    }
    if !graph.has_lost(id) {
        return Finished::Keep(Kept::OldListing);
    }
    if let Some(child) = graph
        .children(id)
        .find(|child| !leases.contains_key(&child.id))
    {
        return Finished::Keep(Kept::ChildMissing {
            child: child.id.clone(),
        });
    }
    Finished::Delete(Write::delete(lease))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::cases::run;
    use crate::decide::shards::notation::ShardsCase;
    use crate::model::{Checkpoint, HashKeyRange, LeaseKey, Shard};

    #[test]
    fn finished_leases_go_as_the_cases_say() {
        run("cleanup.txt", |given| ShardsCase::read(given).answer());
    }

    #[test]
    fn a_row_that_moved_since_it_was_judged_is_not_deleted() {
        let graph = ShardGraph::new([Shard::new("1", HashKeyRange::WHOLE)]).unwrap();
        let mut lease = Lease::new(LeaseKey::single("0"), Checkpoint::ShardEnd);
        let Finished::Delete(expect) = judge_finished(&lease, &graph, &Leases::new()) else {
            panic!("the row may go");
        };
        assert!(expect.holds(&lease));
        lease.counter += 1;
        assert!(!expect.holds(&lease));
        lease.counter -= 1;
        lease.checkpoint = Checkpoint::TrimHorizon;
        assert!(!expect.holds(&lease));
    }
}
