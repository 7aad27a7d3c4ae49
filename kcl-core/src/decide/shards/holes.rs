//! The check on the whole: the unfinished leases of a stream must cover all hash keys. It does not
//! depend on how leases are created, so it finds what every rule has missed.

use crate::model::{HashKeyRange, Lease};

use super::ShardGraph;

/// The hash keys that no unfinished lease covers: records with such keys are not read, now or
/// later.
///
/// An unfinished lease also covers the keys of its shard's descendants, since it leads to them. A
/// lease that waits for its parents may overlap with theirs. A lease without a range in its row
/// gets that of the listing. In a working fleet a hole may appear for a moment, because the rows
/// are not all read at the same instant; [`Unread`](super::Unread) judges what it means.
#[must_use]
pub fn holes<'a>(
    leases: impl IntoIterator<Item = &'a Lease>,
    graph: &ShardGraph,
) -> Vec<HashKeyRange> {
    let range = |lease: &Lease| {
        lease
            .hash_range
            .or_else(|| graph.get(&lease.key.shard).map(|shard| shard.hash_range))
    };
    uncovered(
        leases
            .into_iter()
            .filter(|lease| !lease.checkpoint.is_shard_end())
            .filter_map(range),
    )
}

/// The hash keys that none of these ranges contains, in order. A complete listing with a filter has
/// no such holes. Overlapping ranges are allowed: a child that waits has the keys of its parent.
#[must_use]
pub fn uncovered(ranges: impl IntoIterator<Item = HashKeyRange>) -> Vec<HashKeyRange> {
    let mut ranges: Vec<HashKeyRange> = ranges.into_iter().collect();
    ranges.sort_unstable();
    let mut holes = Vec::new();
    // The lowest key that is not known to be covered, or `None` once the last key is covered.
    let mut next = Some(0);
    for range in ranges {
        let Some(from) = next else {
            break;
        };
        if range.start() > from {
            holes.extend(HashKeyRange::new(from, range.start() - 1));
        }
        if range.end() >= from {
            next = range.end().checked_add(1);
        }
    }
    holes.extend(next.and_then(|from| HashKeyRange::new(from, u128::MAX).ok()));
    holes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Checkpoint, LeaseKey, Shard};

    fn range(start: u128, end: u128) -> HashKeyRange {
        HashKeyRange::new(start, end).unwrap()
    }

    fn lease(id: &str, range: Option<HashKeyRange>, checkpoint: Checkpoint) -> Lease {
        let mut lease = Lease::new(LeaseKey::single(id), checkpoint);
        lease.hash_range = range;
        lease
    }

    #[test]
    fn what_is_between_ranges_and_at_both_ends_is_a_hole() {
        assert_eq!(uncovered([]), [HashKeyRange::WHOLE]);
        assert_eq!(uncovered([HashKeyRange::WHOLE]), []);
        assert_eq!(
            uncovered([range(20, 29), range(5, 9)]),
            [range(0, 4), range(10, 19), range(30, u128::MAX)]
        );
        assert_eq!(uncovered([range(0, 9), range(10, u128::MAX)]), []);
    }

    #[test]
    fn ranges_may_overlap_and_hold_each_other() {
        assert_eq!(
            uncovered([
                range(0, 50),
                range(10, 20),
                range(40, 60),
                range(61, u128::MAX)
            ]),
            []
        );
        assert_eq!(uncovered([range(0, u128::MAX), range(3, 4)]), []);
    }

    #[test]
    fn an_unfinished_parent_covers_its_children_a_finished_one_none() {
        let low = lease("0", Some(range(0, 99)), Checkpoint::TrimHorizon);
        let done = lease("1", Some(range(100, u128::MAX)), Checkpoint::ShardEnd);
        assert_eq!(
            holes([&low, &done], &ShardGraph::default()),
            [range(100, u128::MAX)]
        );
        let child = lease("2", Some(range(100, u128::MAX)), Checkpoint::TrimHorizon);
        assert_eq!(holes([&low, &done, &child], &ShardGraph::default()), []);
    }

    #[test]
    fn a_range_that_a_row_lacks_comes_from_the_listing() {
        let graph = ShardGraph::new([Shard::new("0", HashKeyRange::WHOLE)]).unwrap();
        let lease = lease("0", None, Checkpoint::Latest);
        assert_eq!(holes([&lease], &graph), []);
        assert_eq!(
            holes([&lease], &ShardGraph::default()),
            [HashKeyRange::WHOLE]
        );
    }

    proptest! {
        #[test]
        fn a_key_is_in_a_hole_or_in_a_range(bounds in prop::collection::vec((0_u128..40, 0_u128..40), 0..8), key in 0_u128..45) {
            let ranges: Vec<_> = bounds.iter().map(|(a, b)| range(*a.min(b), *a.max(b))).collect();
            let holes = uncovered(ranges.iter().copied());
            prop_assert!(ranges.iter().any(|range| range.contains(key)) != holes.iter().any(|hole| hole.contains(key)));
            prop_assert!(holes.windows(2).all(|pair| pair[0].end() + 1 < pair[1].start()));
        }
    }
}
