//! The retained records of one shard.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StoredRecord;

/// A shard's records, oldest first.
#[derive(Debug)]
pub(in crate::stream) struct ShardLog {
    /// The retained records. They are shared with pages that are being sent, so reading copies no
    /// payload.
    records: VecDeque<Arc<StoredRecord>>,
    /// The index of the next record. It grows even when all records have expired.
    next: u64,
}

/// The result of one read of a shard.
#[derive(Debug)]
pub(in crate::stream) struct Page {
    /// The records, oldest first.
    pub(in crate::stream) records: Vec<Arc<StoredRecord>>,
    /// The index to read from next.
    pub(in crate::stream) next: u64,
    /// Whether no record follows the page yet.
    pub(in crate::stream) at_tip: bool,
    /// When the first record *after* the page arrived, in milliseconds since the Unix epoch.
    pub(in crate::stream) following_ms: Option<u64>,
}

impl Page {
    /// How far a reader of this page is behind the tip of the shard, in milliseconds: 0 only at the
    /// tip.
    pub(in crate::stream) fn millis_behind(&self, now_ms: u64) -> u64 {
        if self.at_tip {
            return 0;
        }
        let reached = self
            .records
            .last()
            .map(|record| record.arrival_ms)
            .or(self.following_ms);
        reached.map_or(1, |reached| now_ms.saturating_sub(reached).max(1))
    }

    /// How much the page counts towards the service's limits, in bytes.
    pub(in crate::stream) fn weight(&self) -> usize {
        self.records.iter().map(|record| record.weight()).sum()
    }
}

impl Default for ShardLog {
    fn default() -> Self {
        // Index 0 belongs to the shard itself: its starting sequence number names no record.
        Self {
            records: VecDeque::new(),
            next: 1,
        }
    }
}

impl ShardLog {
    /// The index of the next record.
    pub(in crate::stream) fn next(&self) -> u64 {
        self.next
    }

    /// Makes the index of the next record at least `next`.
    pub(in crate::stream) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// The arrival time of a record that is put at `now_ms`: never before that of the previous
    /// record, even if the clock was set back.
    pub(in crate::stream) fn arrival(&self, now_ms: u64) -> u64 {
        self.records
            .back()
            .map_or(now_ms, |last| last.arrival_ms.max(now_ms))
    }

    /// Appends a record.
    pub(in crate::stream) fn push(&mut self, record: StoredRecord) {
        self.next = record.index.saturating_add(1);
        self.records.push_back(Arc::new(record));
    }

    /// The index of the first record that arrived at `at_ms` or later; that of the tip if there is
    /// none.
    pub(in crate::stream) fn index_at(&self, at_ms: u64) -> u64 {
        let found = self
            .records
            .partition_point(|record| record.arrival_ms < at_ms);
        self.records
            .get(found)
            .map_or(self.next, |record| record.index)
    }

    /// Reads from the record at `from`, or from the oldest retained one after it: at most `limit`
    /// records and `max_bytes` bytes, but always one record, whatever its size.
    ///
    /// An index that has expired is not an error: reading continues at the oldest record, as in the
    /// service.
    pub(in crate::stream) fn page(&self, from: u64, limit: usize, max_bytes: usize) -> Page {
        let start = self.records.partition_point(|record| record.index < from);
        let mut weight = 0;
        let mut end = start;
        while end - start < limit {
            let Some(record) = self.records.get(end) else {
                break;
            };
            weight += record.weight();
            if weight > max_bytes && end > start {
                break;
            }
            end += 1;
        }
        let records: Vec<_> = self.records.range(start..end).cloned().collect();
        let following = self.records.get(end);
        Page {
            next: records.last().map_or(from, |record| record.index + 1),
            at_tip: following.is_none(),
            following_ms: following.map(|record| record.arrival_ms),
            records,
        }
    }

    /// Whether a record arrived before `horizon_ms`.
    pub(in crate::stream) fn has_expired(&self, horizon_ms: u64) -> bool {
        self.records
            .front()
            .is_some_and(|record| record.arrival_ms < horizon_ms)
    }

    /// Drops the records that arrived before `horizon_ms`. Returns the lowest index that may be
    /// left.
    pub(in crate::stream) fn trim(&mut self, horizon_ms: u64) -> u64 {
        let expired = self
            .records
            .partition_point(|record| record.arrival_ms < horizon_ms);
        self.records.drain(..expired);
        self.records
            .front()
            .map_or(self.next, |record| record.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(arrivals: &[u64]) -> ShardLog {
        let mut log = ShardLog::default();
        for &arrival_ms in arrivals {
            log.push(StoredRecord {
                index: log.next(),
                sequence: "".into(),
                arrival_ms,
                partition_key: "k".into(),
                data: vec![0; 9].into(),
                encrypted: false,
            });
        }
        log
    }

    fn indexes(page: &Page) -> Vec<u64> {
        page.records.iter().map(|record| record.index).collect()
    }

    #[test]
    fn a_page_ends_before_the_record_that_would_exceed_its_bytes() {
        let log = log(&[1, 2, 3, 4]);
        let page = log.page(1, 100, 25);
        assert_eq!(
            (indexes(&page), page.next, page.at_tip),
            (vec![1, 2], 3, false)
        );
        assert_eq!(
            indexes(&log.page(1, 100, 20)),
            [1, 2],
            "a page may be exactly full"
        );
    }

    #[test]
    fn a_record_greater_than_a_page_comes_alone() {
        assert_eq!(indexes(&log(&[1, 2]).page(1, 100, 5)), [1]);
    }

    #[test]
    fn millis_behind_is_zero_at_the_tip_and_only_there() {
        let log = log(&[10, 20, 30]);
        assert_eq!(log.page(1, 2, 100).millis_behind(1_000), 980);
        assert_eq!(log.page(3, 2, 100).millis_behind(1_000), 0);
        assert_eq!(log.page(4, 2, 100).millis_behind(1_000), 0);
        assert_eq!(
            log.page(1, 2, 100).millis_behind(5),
            1,
            "a clock that was set back does not make it the tip"
        );
    }

    #[test]
    fn a_time_after_the_last_record_is_the_tip() {
        let log = log(&[10, 20, 20, 30]);
        assert_eq!(
            [0, 10, 11, 20, 30, 31].map(|at| log.index_at(at)),
            [1, 1, 2, 2, 4, 5]
        );
    }

    #[test]
    fn expired_records_go_and_the_next_index_stays() {
        let mut log = log(&[10, 20, 30]);
        assert!(log.has_expired(20) && !log.has_expired(10));
        assert_eq!(log.trim(20), 2);
        assert_eq!(indexes(&log.page(1, 10, 100)), [2, 3]);
        assert_eq!(log.trim(99), 4);
        assert_eq!(log.next(), 4);
        let empty = log.page(1, 10, 100);
        assert_eq!(
            (empty.records.len(), empty.next, empty.at_tip),
            (0, 1, true)
        );
    }

    #[test]
    fn arrival_times_never_go_back() {
        assert_eq!(log(&[10, 50]).arrival(20), 50);
        assert_eq!(log(&[10, 50]).arrival(60), 60);
    }
}
