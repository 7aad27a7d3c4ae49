use crate::decide::gap::{self, DataGap};
use crate::model::{HashKeyRange, Lease, Shard};

use super::lineage::Lineage;
use super::{CreationReason, Leases, NewLease, ShardGraph};

/// What follows from a lease whose shard has left the stream: report the gap, create the leases,
/// then store the shard's end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// What is lost.
    pub gap: DataGap,
    /// The leases that follow, at `TRIM_HORIZON`.
    pub create: Vec<NewLease>,
}

/// Judges a lease against `graph`, a listing of all shards that was begun after the row was read.
/// Nothing, unless the lease is unfinished and its shard is not listed. An empty listing shows
/// nothing: a stream always has an open shard.
///
/// What follows are the listed shards that name this one as a parent. If the application stood
/// still for longer than a generation of shards lives, those have left the stream too; then what
/// follows are the oldest listed shards with hash keys of this one: keys that were read to here are
/// read on from the first record that there still is.
#[must_use]
pub fn shard_gone(lease: &Lease, graph: &ShardGraph, leases: &Leases<'_>) -> Option<Gone> {
    let id = &lease.key.shard;
    if graph.is_empty() || graph.contains(id) {
        return None;
    }
    let gap = gap::shard_gone(&lease.checkpoint)?;
    let lineage = Lineage::new(graph, leases);
    let unread = |shard: &&Shard| !lineage.has_lease(&shard.id) && !lineage.is_passed(&shard.id);
    let children = graph.children(id).filter(unread);
    let children = children.map(|child| {
        NewLease::from_start(
            child.id.clone(),
            child.hash_range,
            child.parents.clone(),
            CreationReason::ParentGone,
        )
    });
    let overlaps = |range: HashKeyRange| {
        lease
            .hash_range
            .is_some_and(|own| own.start() <= range.end() && range.start() <= own.end())
    };
    // Only who has a lease of its parent will come to a root. That one of the parent's other
    // children was begun is no sign of it: who passed over from an older shard began those alone
    // that have that shard's keys.
    let is_awaited = |root: &&Shard| root.parents.iter().any(|parent| lineage.has_lease(parent));
    let orphans = graph
        .roots()
        .filter(|root| overlaps(root.hash_range) && !is_awaited(root))
        .filter(unread);
    let orphans = orphans.map(|root| {
        NewLease::from_start(
            root.id.clone(),
            root.hash_range,
            Vec::new(),
            CreationReason::ParentGone,
        )
    });
    Some(Gone {
        gap,
        create: children.chain(orphans).collect(),
    })
}
