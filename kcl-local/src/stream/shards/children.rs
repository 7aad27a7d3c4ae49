//! The children of a shard.

use ferrokinesis::types::{HashKeyRange, Shard};
use serde::Serialize;

/// A child, as `GetRecords` and `SubscribeToShard` report it at the end of its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::stream) struct ChildShard {
    /// Its id.
    shard_id: String,
    /// All its parents: a reader that follows two of them needs to know both.
    parent_shards: Vec<String>,
    /// Its hash keys.
    hash_key_range: HashKeyRange,
}

/// The children of the shard `parent`, in the order in which they were created.
///
/// They are the shards that name it as a parent: after a reshard by several steps, those of the
/// next step and not those that are open in the end.
pub(in crate::stream) fn children(shards: &[Shard], parent: &str) -> Vec<ChildShard> {
    let parents = |shard: &Shard| -> Vec<String> {
        [&shard.parent_shard_id, &shard.adjacent_parent_shard_id]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    shards
        .iter()
        .map(|shard| (shard, parents(shard)))
        .filter(|(_, parents)| parents.iter().any(|id| id == parent))
        .map(|(shard, parent_shards)| ChildShard {
            shard_id: shard.shard_id.clone(),
            parent_shards,
            hash_key_range: shard.hash_key_range.clone(),
        })
        .collect()
}
