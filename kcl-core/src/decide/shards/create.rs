//! Which leases are missing. An audit asks this; a stream that works has none.
//!
//! Two mistakes are possible here, and both lose data. A lease too few leaves a shard that nobody
//! reads. A lease at the wrong place, such as `LATEST` for the child of a shard that was read,
//! skips records without a trace. So the rule goes along the graph: what leads to a shard decides
//! where it begins.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Checkpoint, Shard, ShardId};

use super::lineage::Lineage;
use super::{Begin, CreationReason, Leases, NewLease, ShardGraph};

/// The missing leases for the shards of `graph`, given the existing `leases`. Parents come before
/// their children, and **each creation has to be acknowledged before the next**.
///
/// For an empty table, `graph` is the listing of [`listing_for`](super::listing_for); later it is
/// that of all shards.
///
/// Every shard without children must be read. If it has no lease:
///
/// - if a lease leads to it (one of its ancestors has one), the shard gets its lease when its
///   parents are done. If they are all done already, it gets one now, at `TRIM_HORIZON` whatever
///   the initial position is: the records of its parents were read, so a later start would leave a
///   gap. A parent to which no lease leads (after a merge of which only the other parent is read)
///   begins at the initial position;
/// - if no lease leads to it, reading begins at the initial position: for `LATEST` with the shard
///   itself, otherwise with those of its ancestors that were open at that position, as [`Begin`]
///   defines.
///
/// If a lease waits for a parent without a lease, the parent's lease is created: at the initial
/// position or, if the parent is known to have been read, at the shard's end.
///
/// The result is the same as the KCL's, except for two cases in which the KCL never reads a shard
/// or skips records: the child of a finished parent whose row was deleted, and a shard at `LATEST`
/// to which no lease leads.
#[must_use]
pub fn leases_to_create(graph: &ShardGraph, leases: &Leases<'_>, begin: &Begin) -> Vec<NewLease> {
    let mut plan = CreationPlan {
        graph,
        leases,
        begin,
        lineage: Lineage::new(graph, leases),
        judged: BTreeSet::new(),
        new: BTreeMap::new(),
    };
    for leaf in graph.leaves().filter(|leaf| !leases.contains_key(&leaf.id)) {
        plan.reach(leaf);
    }
    for waiting in leases
        .values()
        .filter(|lease| lease.checkpoint == Checkpoint::TrimHorizon)
    {
        for parent in waiting
            .parents
            .iter()
            .filter(|parent| !leases.contains_key(*parent))
        {
            plan.restore(parent);
        }
    }
    let mut new = plan.new;
    graph
        .parents_first()
        .filter_map(|shard| new.remove(&shard.id))
        .collect()
}

/// The state of one decision. It only collects; nothing is created before all of it is known.
struct CreationPlan<'a> {
    graph: &'a ShardGraph,
    leases: &'a Leases<'a>,
    begin: &'a Begin,
    /// What the existing rows show about shards without one.
    lineage: Lineage<'a>,
    /// A shard can be reached on two ways, after a merge. It is judged once.
    judged: BTreeSet<&'a ShardId>,
    /// In no order; the result is sorted by the graph, parents first.
    new: BTreeMap<ShardId, NewLease>,
}

impl<'a> CreationPlan<'a> {
    /// Makes sure that leases lead to a shard that has none. It walks up from the shard until it
    /// finds where reading has to begin. The stack replaces a recursion, which a stream with many
    /// generations could make too deep.
    fn reach(&mut self, shard: &'a Shard) {
        let graph = self.graph;
        let mut ahead = vec![shard];
        while let Some(shard) = ahead.pop() {
            if !self.judged.insert(&shard.id) {
                continue;
            }
            if !self.lineage.follows(&shard.id) {
                if self.begin.begins_at(graph, shard) {
                    self.begin_with(shard);
                } else {
                    ahead.extend(graph.parents(&shard.id));
                }
            } else if shard
                .parents
                .iter()
                .all(|parent| self.lineage.is_done(parent))
            {
                self.follow(shard);
            } else {
                let unread = |parent: &&Shard| {
                    !self.leases.contains_key(&parent.id) && !self.lineage.is_done(&parent.id)
                };
                ahead.extend(graph.parents(&shard.id).filter(unread));
            }
        }
    }

    /// Restores the row of a parent for which a lease waits. A row that was deleted from outside
    /// leaves its children waiting for ever. If the children show that the parent was read, its row
    /// comes back at the shard's end, so that nothing is read twice.
    fn restore(&mut self, parent: &ShardId) {
        let Some(shard) = self.graph.get(parent) else {
            return;
        };
        if self.lineage.is_passed(parent) {
            self.add(NewLease::first(
                shard,
                Checkpoint::ShardEnd,
                None,
                CreationReason::Missing,
            ));
        } else {
            self.reach(shard);
        }
    }

    /// Adds a lease at the initial position.
    fn begin_with(&mut self, shard: &Shard) {
        let (checkpoint, start_at) = self.begin.start();
        let reason = if self.leases.is_empty() {
            CreationReason::Begin
        } else {
            CreationReason::Missing
        };
        self.add(NewLease::first(shard, checkpoint, start_at, reason));
    }

    /// Adds the lease of a shard whose parents are all done. It names only the parents that have a
    /// row, because the others would not be found.
    fn follow(&mut self, shard: &Shard) {
        let parents = shard
            .parents
            .iter()
            .filter(|parent| self.leases.contains_key(*parent))
            .cloned()
            .collect();
        self.add(NewLease::from_start(
            shard.id.clone(),
            shard.hash_range,
            parents,
            CreationReason::Missing,
        ));
    }

    /// The first reason for a lease counts.
    fn add(&mut self, lease: NewLease) {
        self.new.entry(lease.shard.clone()).or_insert(lease);
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::cases::run;
    use crate::decide::shards::notation::ShardsCase;

    #[test]
    fn leases_are_created_as_the_cases_say() {
        run("create.txt", |given| ShardsCase::read(given).answer());
    }
}
