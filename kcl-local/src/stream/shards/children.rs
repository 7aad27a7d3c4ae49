//! The children of a shard.

use ferrokinesis::types::{HashKeyRange, Shard};
use serde::Serialize;

/// A child, as `GetRecords` and `SubscribeToShard` report it at the end of its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::stream) struct ChildShard {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: HashKeyRange,
}

/// The children of the shard `parent`, in the order in which they were created.
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
