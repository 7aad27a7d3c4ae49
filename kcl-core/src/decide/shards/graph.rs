use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ChildShard, Shard, ShardId};

/// The shards of one listing, and which shard came from which.
///
/// ```text
///   0 --+            parents stand left of their children; time goes to the right
///       +-- 6 --+    0 and 1 were merged into 6
///   1 --+       |
///               +-- 8
///   7 ----------+
///        +-- 9       5 was split into 9 and 10
///   5 ---+
///        +-- 10
/// ```
///
/// A shard may name parents that are not in the listing: they were removed from the stream, or a
/// filter left them out.
///
/// Invariants: every id occurs once; a shard that is listed as a parent is closed; no shard is its
/// own ancestor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardGraph {
    /// By id, so that every walk has the same order in every worker.
    shards: BTreeMap<ShardId, Shard>,
    /// By parent, listed or not: a parent that has left the stream still has its children here.
    children: BTreeMap<ShardId, BTreeSet<ShardId>>,
    /// Every shard, after its parents.
    order: Vec<ShardId>,
}

/// A listing that contradicts itself, most likely because shards were split or merged while it was
/// read page by page. List again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Inconsistent {
    /// A shard is open and has children.
    #[error("the shard listing is inconsistent: {parent} is open and has the child {child}")]
    OpenParent {
        /// The open shard.
        parent: ShardId,
        /// One of its children.
        child: ShardId,
    },
    /// A shard is its own ancestor.
    #[error("the shard listing is inconsistent: {shard} is an ancestor of itself")]
    Cycle {
        /// A shard of the cycle.
        shard: ShardId,
    },
    /// A shard is listed twice.
    #[error("the shard listing is inconsistent: {shard} is listed twice")]
    Duplicate {
        /// The shard.
        shard: ShardId,
    },
}

impl ShardGraph {
    /// The graph of all pages of one listing.
    ///
    /// # Errors
    /// If the listing contradicts itself. The next one is usually consistent.
    pub fn new(listed: impl IntoIterator<Item = Shard>) -> Result<Self, Inconsistent> {
        let mut graph = Self::default();
        for shard in listed {
            for parent in &shard.parents {
                graph
                    .children
                    .entry(parent.clone())
                    .or_default()
                    .insert(shard.id.clone());
            }
            if let Some(twice) = graph.shards.insert(shard.id.clone(), shard) {
                return Err(Inconsistent::Duplicate { shard: twice.id });
            }
        }
        for (parent, children) in &graph.children {
            let open = graph.get(parent).is_some_and(|shard| !shard.closed);
            if let (true, Some(child)) = (open, children.first()) {
                return Err(Inconsistent::OpenParent {
                    parent: parent.clone(),
                    child: child.clone(),
                });
            }
        }
        graph.order = graph.in_order().into_iter().cloned().collect();
        if graph.order.len() < graph.shards.len() {
            let ordered: BTreeSet<&ShardId> = graph.order.iter().collect();
            if let Some(shard) = graph.shards.keys().find(|id| !ordered.contains(id)) {
                return Err(Inconsistent::Cycle {
                    shard: shard.clone(),
                });
            }
        }
        Ok(graph)
    }

    /// The shard, if it is listed.
    #[must_use]
    pub fn get(&self, id: &ShardId) -> Option<&Shard> {
        self.shards.get(id)
    }

    /// Whether the shard is listed.
    #[must_use]
    pub fn contains(&self, id: &ShardId) -> bool {
        self.shards.contains_key(id)
    }

    /// Whether a shard that is not listed was removed from the stream, as far as this listing can
    /// show. Listings lag behind the stream: one without a younger shard may be older than the
    /// shard. The service numbers shards in the order in which they are created.
    #[must_use]
    pub fn has_lost(&self, id: &ShardId) -> bool {
        let is_younger = |other: &ShardId| other.as_str().len() == id.as_str().len() && other > id;
        !self.contains(id)
            && (self.children(id).next().is_some() || self.shards.keys().any(is_younger))
    }

    /// Whether no shard is listed at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Every listed shard, by id.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values()
    }

    /// The listed parents of a shard.
    pub fn parents(&self, id: &ShardId) -> impl Iterator<Item = &Shard> {
        self.get(id)
            .into_iter()
            .flat_map(|shard| &shard.parents)
            .filter_map(|parent| self.get(parent))
    }

    /// The listed shards that name this one as a parent. Works also for a shard that is no longer
    /// listed.
    pub fn children(&self, id: &ShardId) -> impl Iterator<Item = &Shard> {
        self.children
            .get(id)
            .into_iter()
            .flatten()
            .filter_map(|child| self.get(child))
    }

    /// The same, in the form in which the last page of a shard names them, for a service whose last
    /// page names none.
    #[must_use]
    pub fn child_shards(&self, id: &ShardId) -> Vec<ChildShard> {
        self.children(id)
            .map(|child| ChildShard::new(child.id.clone(), child.parents.clone(), child.hash_range))
            .collect()
    }

    /// The shards without a listed parent: the oldest ones. Their parents have expired, or a filter
    /// has left them out.
    pub fn roots(&self) -> impl Iterator<Item = &Shard> {
        self.shards()
            .filter(|shard| self.parents(&shard.id).next().is_none())
    }

    /// The shards without a listed child: the open ones, in a listing without filter.
    pub fn leaves(&self) -> impl Iterator<Item = &Shard> {
        self.shards()
            .filter(|shard| self.children(&shard.id).next().is_none())
    }

    /// Every shard after all its listed parents, otherwise ordered by id.
    #[must_use]
    pub fn parents_first(&self) -> impl DoubleEndedIterator<Item = &Shard> {
        self.order.iter().filter_map(|id| self.get(id))
    }

    /// The same, without shards that are their own ancestors. Each shard waits for as many parents
    /// as are listed, and is ready when the last of them was put in order. A cycle is never ready,
    /// and is found by what is missing.
    fn in_order(&self) -> Vec<&ShardId> {
        let mut waits: BTreeMap<&ShardId, usize> = BTreeMap::new();
        for shard in self.shards() {
            // A shard that names the same parent twice waits for it once.
            let parents: BTreeSet<&ShardId> =
                self.parents(&shard.id).map(|parent| &parent.id).collect();
            waits.insert(&shard.id, parents.len());
        }
        let mut ready: BTreeSet<&ShardId> = waits
            .iter()
            .filter(|(_, parents)| **parents == 0)
            .map(|(id, _)| *id)
            .collect();
        let mut ordered = Vec::with_capacity(self.shards.len());
        while let Some(id) = ready.pop_first() {
            ordered.push(id);
            for child in self.children(id) {
                if let Some(parents) = waits.get_mut(&child.id) {
                    *parents -= 1;
                    if *parents == 0 {
                        ready.insert(&child.id);
                    }
                }
            }
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HashKeyRange;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        Shard::new(id, HashKeyRange::WHOLE)
            .with_parents(parents.iter().map(|parent| ShardId::from(*parent)))
    }

    fn ids<'a>(shards: impl IntoIterator<Item = &'a Shard>) -> Vec<&'a str> {
        shards.into_iter().map(|shard| shard.id.as_str()).collect()
    }

    fn tree() -> ShardGraph {
        let closed = [
            ("0", &[][..]),
            ("1", &["gone"]),
            ("6", &["0", "1"]),
            ("5", &[]),
            ("7", &["gone", "lost"]),
        ];
        let open = [("8", &["6", "7"][..]), ("9", &["5"]), ("A", &["5"])];
        let closed = closed
            .iter()
            .map(|(id, parents)| shard(id, parents).closed());
        ShardGraph::new(closed.chain(open.iter().map(|(id, parents)| shard(id, parents)))).unwrap()
    }

    #[test]
    fn a_graph_knows_who_came_from_whom() {
        let tree = tree();
        assert_eq!(ids(tree.roots()), ["0", "1", "5", "7"]);
        assert_eq!(ids(tree.leaves()), ["8", "9", "A"]);
        assert_eq!(ids(tree.children(&"5".into())), ["9", "A"]);
        assert_eq!(ids(tree.children(&"lost".into())), ["7"]);
        assert_eq!(ids(tree.parents(&"8".into())), ["6", "7"]);
        assert_eq!(
            ids(tree.parents_first()),
            ["0", "1", "5", "6", "7", "8", "9", "A"]
        );
        assert_eq!(
            tree.child_shards(&"6".into())[0].parents,
            ["6", "7"].map(ShardId::from)
        );
    }

    #[test]
    fn parents_come_first_whatever_the_ids_say() {
        let graph = ShardGraph::new([
            shard("a", &["b"]),
            shard("b", &["c"]).closed(),
            shard("c", &[]).closed(),
        ])
        .unwrap();
        assert_eq!(ids(graph.parents_first()), ["c", "b", "a"]);
    }

    #[test]
    fn a_parent_named_twice_is_one_parent() {
        let graph = ShardGraph::new([shard("a", &["b", "b"]), shard("b", &[]).closed()]).unwrap();
        assert_eq!(ids(graph.parents_first()), ["b", "a"]);
    }

    #[test]
    fn an_open_parent_is_inconsistent() {
        let error = ShardGraph::new([shard("0", &[]), shard("1", &["0"])]).unwrap_err();
        assert_eq!(
            error,
            Inconsistent::OpenParent {
                parent: "0".into(),
                child: "1".into()
            }
        );
    }

    #[test]
    fn a_circle_is_inconsistent() {
        let error = ShardGraph::new([
            shard("0", &["1"]).closed(),
            shard("1", &["0"]).closed(),
            shard("2", &[]),
        ])
        .unwrap_err();
        assert_eq!(error, Inconsistent::Cycle { shard: "0".into() });
        let own = ShardGraph::new([shard("0", &["0"]).closed()]).unwrap_err();
        assert_eq!(own, Inconsistent::Cycle { shard: "0".into() });
    }

    #[test]
    fn a_shard_listed_twice_is_inconsistent() {
        let error = ShardGraph::new([shard("0", &[]), shard("0", &[])]).unwrap_err();
        assert_eq!(error, Inconsistent::Duplicate { shard: "0".into() });
    }
}
