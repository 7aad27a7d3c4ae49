use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Checkpoint, Lease, ShardId};

use super::ShardGraph;

/// The leases of one stream, by shard.
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
    follows: BTreeSet<&'a ShardId>,
    passed: BTreeSet<&'a ShardId>,
}

impl<'a> Lineage<'a> {
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
