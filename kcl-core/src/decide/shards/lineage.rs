//! Rows can be missing: they were deleted from outside, or by another framework, or a worker died
//! before it created them. What a missing row would have said can often be seen from its relatives.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Checkpoint, Lease, ShardId};

use super::ShardGraph;

/// The leases of one stream, by shard. Without the stream's part of the key: everything here
/// concerns one stream.
pub type Leases<'a> = BTreeMap<ShardId, &'a Lease>;

/// What the leases show about shards that have none.
///
/// Two relations spread along the graph: from parents to children, "the lease of an ancestor leads
/// to it" (`follows`), and from children to parents, "the lease of a descendant shows that it was
/// read" (`passed`).
#[derive(Debug)]
pub(super) struct Lineage<'a> {
    graph: &'a ShardGraph,
    leases: &'a Leases<'a>,
    /// Computed from the oldest shards to the youngest.
    follows: BTreeSet<&'a ShardId>,
    /// Computed from the youngest shards to the oldest. It comes first, because `follows` uses it.
    passed: BTreeSet<&'a ShardId>,
}

impl<'a> Lineage<'a> {
    /// Both relations need one pass over the graph each, so a stream with ten thousand shards is no
    /// problem.
    pub(super) fn new(graph: &'a ShardGraph, leases: &'a Leases<'a>) -> Self {
        let mut lineage = Self {
            graph,
            leases,
            follows: BTreeSet::new(),
            passed: BTreeSet::new(),
        };
        for shard in graph.parents_first().rev() {
            if lineage.is_passed(&shard.id) {
                lineage.passed.insert(&shard.id);
            }
        }
        for shard in graph.parents_first() {
            if shard.parents.iter().any(|id| {
                lineage.has_lease(id) || lineage.is_passed(id) || lineage.follows.contains(id)
            }) {
                lineage.follows.insert(&shard.id);
            }
        }
        lineage
    }

    /// Whether the shard has a row, whatever is in it.
    pub(super) fn has_lease(&self, id: &ShardId) -> bool {
        self.leases.contains_key(id)
    }

    /// Whether an ancestor of the shard has a lease or was read: the shard was, or will be, reached
    /// from there.
    pub(super) fn follows(&self, id: &ShardId) -> bool {
        self.follows.contains(id)
    }

    /// Whether progress in a descendant shows that this shard was read. A lease that began at its
    /// own time shows nothing: earlier records may never have been read.
    pub(super) fn is_passed(&self, id: &ShardId) -> bool {
        self.graph
            .children(id)
            .any(|child| match self.leases.get(&child.id) {
                Some(lease) if lease.facts.first_time().is_some() => false,
                Some(lease) => {
                    matches!(lease.checkpoint, Checkpoint::At(_) | Checkpoint::ShardEnd)
                        || self.passed.contains(&child.id)
                }
                None => self.passed.contains(&child.id),
            })
    }

    /// Whether nothing of the shard is left to read: its lease is at the end or, if it has no
    /// lease, it was removed from the stream or was read.
    pub(super) fn is_done(&self, id: &ShardId) -> bool {
        match self.leases.get(id) {
            Some(lease) => lease.checkpoint.is_shard_end(),
            None => !self.graph.contains(id) || self.is_passed(id),
        }
    }
}
