//! When the shards of a stream were opened and closed.

use std::collections::HashMap;

use ferrokinesis::sequence::parse_sequence;
use ferrokinesis::types::Shard;

/// The times of a stream's shards, in milliseconds since the Unix epoch.
///
/// A shard's last sequence number contains the time of its closing in whole seconds. The *end* of
/// that second is used: a reader that begins within that second begins at the parent, and reads
/// slightly too much rather than too little.
///
/// A shard is open from the moment when its parents were closed until it is closed itself, so that
/// at each moment the open shards cover every hash key exactly once. (The time in a child's first
/// sequence number is one second later, so that the child's sequence numbers are greater than its
/// parents'.)
#[derive(Debug)]
pub(in crate::stream) struct Lifetimes<'a> {
    /// When each shard was closed, by id; `None` while it is open.
    closed: HashMap<&'a str, Option<u64>>,
}

/// The last millisecond of a second.
const LAST_OF_A_SECOND: u64 = 999;

impl<'a> Lifetimes<'a> {
    /// The times of `shards`.
    pub(in crate::stream) fn of(shards: &'a [Shard]) -> Self {
        Self {
            closed: shards
                .iter()
                .map(|shard| (shard.shard_id.as_str(), closing_ms(shard)))
                .collect(),
        }
    }

    /// When a shard was opened: 0 for one of the stream's first shards.
    pub(in crate::stream) fn opened_ms(&self, shard: &Shard) -> u64 {
        let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        let closings = parents
            .into_iter()
            .flatten()
            .filter_map(|id| self.closed.get(id.as_str()).copied().flatten());
        closings.max().unwrap_or(0)
    }

    /// When a shard was closed; `None` while it is open.
    pub(in crate::stream) fn closed_ms(&self, shard: &Shard) -> Option<u64> {
        self.closed.get(shard.shard_id.as_str()).copied().flatten()
    }

    /// Whether a shard was open at this time.
    pub(in crate::stream) fn open_at(&self, shard: &Shard, at_ms: u64) -> bool {
        self.opened_ms(shard) <= at_ms && self.closed_ms(shard).is_none_or(|closed| at_ms < closed)
    }

    /// Whether a shard was still open at this time or later.
    pub(in crate::stream) fn open_since(&self, shard: &Shard, at_ms: u64) -> bool {
        self.closed_ms(shard).is_none_or(|closed| closed >= at_ms)
    }
}

/// When a shard was closed: the end of the second in its last sequence number.
fn closing_ms(shard: &Shard) -> Option<u64> {
    let end = shard
        .sequence_number_range
        .ending_sequence_number
        .as_deref()?;
    let second = parse_sequence(end).ok().and_then(|end| end.seq_time);
    // Even with an unreadable number, the shard is closed.
    Some(second.map_or(0, |second| second.saturating_add(LAST_OF_A_SECOND)))
}
