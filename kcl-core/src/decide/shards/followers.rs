use crate::model::{ChildShard, ShardId};

use super::{ShardGraph, uncovered};

/// The children of a shard that has ended, or `None` unless the listing shows all of them, that is,
/// unless together they cover its hash keys.
///
/// A listing lags behind the stream, each of its pages on its own. It may not show the end yet, or
/// only one of the children. To end a shard with half of its children known would leave the other
/// half without a lease until an audit finds it.
#[must_use]
pub fn followers(graph: &ShardGraph, ended: &ShardId) -> Option<Vec<ChildShard>> {
    let range = graph.get(ended).filter(|shard| shard.closed)?.hash_range;
    let children = graph.child_shards(ended);
    let holes = uncovered(children.iter().map(|child| child.hash_range));
    let whole = holes
        .iter()
        .all(|hole| hole.end() < range.start() || range.end() < hole.start());
    whole.then_some(children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HashKeyRange, Shard};

    fn shard(id: &str, start: u128, end: u128, parents: &[&str]) -> Shard {
        Shard::new(id, HashKeyRange::new(start, end).unwrap())
            .with_parents(parents.iter().map(|parent| ShardId::from(*parent)))
    }

    fn found(shards: impl IntoIterator<Item = Shard>) -> Option<Vec<String>> {
        let children = followers(&ShardGraph::new(shards).unwrap(), &"0".into())?;
        Some(
            children
                .into_iter()
                .map(|child| child.id.to_string())
                .collect(),
        )
    }

    #[test]
    fn both_halves_of_a_split_and_the_whole_of_a_merge_are_all() {
        let split = [
            shard("0", 10, 19, &[]).closed(),
            shard("1", 10, 14, &["0"]),
            shard("2", 15, 19, &["0"]),
        ];
        assert_eq!(found(split), Some(vec!["1".into(), "2".into()]));
        let merge = [
            shard("0", 10, 19, &[]).closed(),
            shard("1", 20, 29, &[]).closed(),
            shard("2", 10, 29, &["0", "1"]),
        ];
        assert_eq!(found(merge), Some(vec!["2".into()]));
    }

    /// A listing with only one half of a split, without a child, or with an open parent proves
    /// nothing.
    #[test]
    fn an_incomplete_listing_shows_no_followers() {
        assert_eq!(
            found([shard("0", 10, 19, &[]).closed(), shard("2", 15, 19, &["0"])]),
            None
        );
        assert_eq!(
            found([shard("0", 10, 19, &[]).closed(), shard("2", 11, 19, &["0"])]),
            None,
            "the first key is missing"
        );
        assert_eq!(
            found([shard("0", 10, 19, &[]).closed(), shard("2", 10, 18, &["0"])]),
            None,
            "the last key is missing"
        );
        assert_eq!(found([shard("0", 10, 19, &[]).closed()]), None);
        assert_eq!(found([shard("0", 10, 19, &[])]), None);
        assert_eq!(found([]), None);
    }
}
