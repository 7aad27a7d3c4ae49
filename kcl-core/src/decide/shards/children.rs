use crate::model::{ChildShard, ShardId};

use super::{CreationReason, NewLease};

/// The leases of the shards that follow a finished one, as its last page names them, at
/// `TRIM_HORIZON`. They are created, if there are none, *before* the parent's end is stored.
///
/// A child waits for all its parents, also after a merge whose other parent is still being read. A
/// child that does not name the shard whose page it stands on is given it as a parent: it waits for
/// it in any case.
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
