use std::collections::HashMap;

use ferrokinesis::sequence::shard_id_name;
use ferrokinesis::types::{HashKeyRange, SequenceNumberRange, Shard};
use proptest::prelude::*;

use super::{Filter, reshard};
use crate::stream::records::Origin;

const NOW_MS: u64 = 1_700_000_100_000;

/// Open shards whose ranges begin at the hash keys `starts`, the first of which is 0.
fn stream(starts: &[u128]) -> Vec<Shard> {
    let ends = starts
        .iter()
        .skip(1)
        .map(|next| next - 1)
        .chain([u128::MAX]);
    let shard = |at: usize, start: u128, end: u128| {
        let origin = Origin {
            shard: at as i64,
            created_ms: 1_700_000_000_000,
        };
        Shard {
            shard_id: shard_id_name(at as i64),
            hash_key_range: HashKeyRange::new(start.to_string(), end.to_string()),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: origin.sequence(0, 0),
                ending_sequence_number: None,
            },
            parent_shard_id: None,
            adjacent_parent_shard_id: None,
        }
    };
    starts
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(at, (&start, end))| shard(at, start, end))
        .collect()
}

fn ranges(shards: &[&Shard]) -> Vec<(u128, u128)> {
    let mut ranges: Vec<_> = shards
        .iter()
        .map(|shard| {
            (
                shard.hash_key_range.start_u128(),
                shard.hash_key_range.end_u128(),
            )
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

fn covers_each_key_once(ranges: &[(u128, u128)]) -> bool {
    ranges.first().is_some_and(|first| first.0 == 0)
        && ranges.last().is_some_and(|last| last.1 == u128::MAX)
        && ranges
            .windows(2)
            .all(|pair| pair[0].1.checked_add(1) == Some(pair[1].0))
}

#[test]
fn doubling_splits_each_shard_in_two() {
    let mut shards = stream(&[0, 1 << 127]);
    reshard(&mut shards, 4, NOW_MS);
    let parents: Vec<_> = shards
        .iter()
        .map(|shard| shard.parent_shard_id.as_deref())
        .collect();
    let (zero, one) = (Some("shardId-000000000000"), Some("shardId-000000000001"));
    assert_eq!(parents, [None, None, zero, zero, one, one]);
    assert!(
        shards
            .iter()
            .all(|shard| shard.adjacent_parent_shard_id.is_none())
    );
}

#[test]
fn halving_merges_neighbours() {
    let mut shards = stream(&[0, 1 << 126, 2 << 126, 3 << 126]);
    reshard(&mut shards, 2, NOW_MS);
    let parents: Vec<_> = shards[4..]
        .iter()
        .map(|shard| {
            (
                shard.parent_shard_id.as_deref(),
                shard.adjacent_parent_shard_id.as_deref(),
            )
        })
        .collect();
    let id = [
        "shardId-000000000000",
        "shardId-000000000001",
        "shardId-000000000002",
        "shardId-000000000003",
    ]
    .map(Some);
    assert_eq!(parents, [(id[0], id[1]), (id[2], id[3])]);
}

#[test]
fn a_shard_that_has_its_range_already_stays_open() {
    let mut shards = stream(&[0, 1 << 127, 3 << 126]);
    reshard(&mut shards, 2, NOW_MS);
    assert_eq!(shards[0].sequence_number_range.ending_sequence_number, None);
    assert_eq!(shards.len(), 4);
}

proptest! {
    #[test]
    fn any_stream_becomes_equal_ranges_with_a_whole_tree(
        mut starts in prop::collection::vec(any::<u128>(), 0..12),
        target in 1_u32..20,
    ) {
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let before = stream(&starts);
        let mut shards = before.clone();
        reshard(&mut shards, target, NOW_MS);

        let by_id: HashMap<&str, &Shard> = shards.iter().map(|shard| (shard.shard_id.as_str(), shard)).collect();
        let open = Filter::AtLatest.select(&shards, 0);
        prop_assert_eq!(open.len(), target as usize);
        prop_assert!(covers_each_key_once(&ranges(&open)));
        let sizes: Vec<u128> = ranges(&open).iter().map(|(start, end)| end - start).collect();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        prop_assert!(most - least <= u128::from(target));

        // Before, during and after the change, each key has exactly one open shard, and
        // intermediate shards are never open.
        for at_ms in [NOW_MS - 1_000, NOW_MS, NOW_MS + 60_000] {
            let then = Filter::AtTimestamp(at_ms).select(&shards, 0);
            prop_assert!(covers_each_key_once(&ranges(&then)), "at {}", at_ms);
        }
        for shard in &shards[before.len()..] {
            let parents: Vec<&Shard> = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id]
                .into_iter().flatten().map(|id| by_id[id.as_str()]).collect();
            prop_assert!(!parents.is_empty());
            for parent in parents {
                prop_assert!(parent.sequence_number_range.ending_sequence_number.is_some());
                prop_assert!(
                    parent.sequence_number_range.starting_sequence_number < shard.sequence_number_range.starting_sequence_number
                );
                let children = super::children(&shards, &parent.shard_id);
                prop_assert!((1..=2).contains(&children.len()));
            }
        }
    }
}
