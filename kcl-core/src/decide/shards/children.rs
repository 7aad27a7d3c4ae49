//! The usual way in which a lease comes into being: its parent was read to the end. Everything else
//! in this folder mends what this cannot do.

use crate::model::{ChildShard, ShardId};

use super::{CreationReason, NewLease};

/// The leases of the children of a finished shard, as its last page names them, at `TRIM_HORIZON`.
/// They are created, unless they exist, *before* the parent's end is stored.
///
/// A child waits for all its parents, also after a merge whose other parent is still being read. If
/// a child does not name the shard on whose last page it is listed, that shard is added as a
/// parent, so that the child waits for it in any case.
#[must_use]
pub fn children_to_create(parent: &ShardId, children: &[ChildShard]) -> Vec<NewLease> {
    let lease = |child: &ChildShard| {
        let mut parents = child.parents.clone();
        if !parents.contains(parent) {
            parents.push(parent.clone());
        }
        NewLease::from_start(
            child.id.clone(),
            child.hash_range,
            parents,
            CreationReason::Child,
        )
    };
    children.iter().map(lease).collect()
}
