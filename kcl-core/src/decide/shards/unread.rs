use crate::model::{HashKeyRange, Lease};

use super::{ShardGraph, holes};

/// The hash keys of a stream that are not read, judged by successive readings of its leases and
/// shards.
///
/// A hole in the leases counts if an open shard has its keys, and if it is in two successive
/// readings: a single reading may have seen the rows while they were being created. Most likely a
/// row was edited.
#[derive(Clone, Debug, Default)]
pub struct Unread {
    /// The holes of the last reading.
    before: Vec<HashKeyRange>,
    /// What was reported last. When it is empty again, the same hole may be reported anew.
    told: Vec<HashKeyRange>,
}

impl Unread {
    /// Adds another reading. Returns the keys that are not read, if there are any and they differ
    /// from the last ones reported.
    pub fn see<'a>(
        &mut self,
        leases: impl IntoIterator<Item = &'a Lease>,
        graph: &ShardGraph,
    ) -> Option<Vec<HashKeyRange>> {
        let mut open: Vec<_> = graph
            .shards()
            .filter(|shard| !shard.closed)
            .map(|shard| shard.hash_range)
            .collect();
        open.sort_unstable();
        let now = common(&holes(leases, graph), &open);
        let lasting = common(&self.before, &now);
        self.before = now;
        let is_news = !lasting.is_empty() && lasting != self.told;
        self.told = lasting;
        is_news.then(|| self.told.clone())
    }
}

/// The keys that are in both. In the order of the first; ranges that only touch have nothing in
/// common.
fn common(one: &[HashKeyRange], other: &[HashKeyRange]) -> Vec<HashKeyRange> {
    let both = |a: &HashKeyRange, b: &HashKeyRange| {
        HashKeyRange::new(a.start().max(b.start()), a.end().min(b.end())).ok()
    };
    one.iter()
        .flat_map(|a| other.iter().filter_map(move |b| both(a, b)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checkpoint, LeaseKey, Shard};

    fn range(start: u128, end: u128) -> HashKeyRange {
        HashKeyRange::new(start, end).unwrap()
    }

    fn low() -> Shard {
        Shard::new("0", range(0, 99))
    }

    fn high() -> Shard {
        Shard::new("1", range(100, u128::MAX))
    }

    fn lease(id: &str, checkpoint: Checkpoint) -> Lease {
        Lease::new(LeaseKey::single(id), checkpoint)
    }

    #[test]
    fn a_hole_is_told_when_it_stands_in_two_readings_and_once() {
        let graph = ShardGraph::new([low(), high()]).unwrap();
        let whole = [
            lease("0", Checkpoint::Latest),
            lease("1", Checkpoint::Latest),
        ];
        let edited = [
            lease("0", Checkpoint::Latest),
            lease("1", Checkpoint::ShardEnd),
        ];
        let mut unread = Unread::default();
        assert_eq!(
            unread.see(&edited, &graph),
            None,
            "it may have been a moment"
        );
        assert_eq!(unread.see(&whole, &graph), None, "it was");
        assert_eq!(unread.see(&edited, &graph), None);
        assert_eq!(
            unread.see(&edited, &graph),
            Some(vec![range(100, u128::MAX)])
        );
        assert_eq!(unread.see(&edited, &graph), None, "it was told");
        assert_eq!(unread.see(&edited[1..], &graph), None);
        assert_eq!(
            unread.see(&edited[1..], &graph),
            Some(vec![range(0, 99), range(100, u128::MAX)]),
            "there is more"
        );
        assert_eq!(unread.see(&whole, &graph), None);
        assert_eq!(unread.see(&edited, &graph), None);
        assert_eq!(
            unread.see(&edited, &graph),
            Some(vec![range(100, u128::MAX)]),
            "it came back"
        );
    }

    #[test]
    fn keys_that_no_open_shard_has_are_missed_by_nobody() {
        let graph = ShardGraph::new([low(), high().closed()]).unwrap();
        let leases = [
            lease("0", Checkpoint::Latest),
            lease("1", Checkpoint::ShardEnd),
        ];
        let mut unread = Unread::default();
        assert_eq!(
            [unread.see(&leases, &graph), unread.see(&leases, &graph)],
            [None, None]
        );
    }
}
