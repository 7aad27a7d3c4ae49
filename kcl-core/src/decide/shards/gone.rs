//! A shard that was removed from the stream before it was read to its end: retention was shorter
//! than the delay of the application. The records are lost already. What is left to do is to say
//! so, and to go on with the shards that followed without another gap.

use crate::decide::gap::{self, DataGap};
use crate::model::{HashKeyRange, Lease, Shard};

use super::lineage::Lineage;
use super::{CreationReason, Leases, NewLease, ShardGraph};

/// What to do about a lease whose shard was removed from the stream: report the gap, create the
/// leases, then store the shard's end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// The records that are lost. From the checkpoint on, with an unknown end.
    pub gap: DataGap,
    /// The leases of the following shards, at `TRIM_HORIZON`. Empty if they exist.
    pub create: Vec<NewLease>,
}

/// Judges a lease against `graph`, a listing of all shards that was started after the row was read.
/// Returns `None` unless the lease is unfinished and its shard is not listed. An empty listing
/// proves nothing, because a stream always has an open shard.
///
/// The following shards are the listed ones that name this one as a parent. If the application was
/// down for longer than a generation of shards is retained, those have been removed too; then the
/// following shards are the oldest listed ones that share hash keys with this one: those keys are
/// read on from the first record that is still retained.
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
    // A root is reached later only if one of its parents has a lease. A lease of another child of
    // that parent does not show this: a worker that moved on from an older shard created leases
    // only for the children that share that shard's keys.
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
