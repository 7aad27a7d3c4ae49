//! One shard: its records in order, and what a reader at a position receives.

use std::collections::VecDeque;

use crate::model::{ChildShard, RawRecord, SequenceNumber, Shard, ShardId, Timestamp};
use crate::stream::StartAt;

use super::place::LogPosition;

/// The service's limits for one page: 10,000 records and 10 MiB.
pub(super) const MAX_PAGE_RECORDS: u32 = 10_000;
/// 10 MiB for one page: the largest that a reader must have memory for.
pub(super) const MAX_PAGE_BYTES: usize = 10 << 20;

/// A shard with the records that it retains.
#[derive(Debug)]
pub(super) struct ShardLog {
    /// The shard as the stream lists it.
    pub(super) shard: Shard,
    /// When it was created: decides which listing at a time contains it.
    pub(super) opened_at: Timestamp,
    /// When it was closed: with `opened_at`, which listings at a time contain it.
    pub(super) closed_at: Option<Timestamp>,
    /// The child shards, named on its last page.
    pub(super) children: Vec<ChildShard>,
    /// Those that are retained, in the order of their sequence numbers and of their arrival.
    records: VecDeque<RawRecord>,
}

/// The result of one read.
pub(super) struct ReadResult {
    /// In order; empty if the reader has read everything.
    pub(super) records: Vec<RawRecord>,
    /// Where the next read begins: after the last record, or where this one began if there was
    /// none.
    pub(super) next: LogPosition,
    /// Whether the shard holds more records after these.
    pub(super) more: bool,
}

impl ShardLog {
    /// A shard without records.
    pub(super) const fn new(shard: Shard, opened_at: Timestamp) -> Self {
        Self {
            shard,
            opened_at,
            closed_at: None,
            children: Vec::new(),
            records: VecDeque::new(),
        }
    }

    pub(super) const fn id(&self) -> &ShardId {
        &self.shard.id
    }

    /// The caller has made sure of the order of sequence numbers and arrival times.
    pub(super) fn append(&mut self, record: RawRecord) {
        self.records.push_back(record);
    }

    /// How many records are retained.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// No record is appended from now on. A reader sees the end after the last one.
    pub(super) const fn close(&mut self, at: Timestamp) {
        self.shard.closed = true;
        self.closed_at = Some(at);
    }

    /// Removes the records up to and including this sequence number, and returns how many there
    /// were.
    pub(super) fn trim(&mut self, up_to: &SequenceNumber) -> usize {
        let gone = self
            .records
            .partition_point(|record| record.sequence <= *up_to);
        self.records.drain(..gone);
        gone
    }

    /// The position that a reader asks for. `tip` is the sequence number of the stream's next
    /// event.
    pub(super) fn place(&self, at: &StartAt, tip: SequenceNumber) -> LogPosition {
        match at {
            StartAt::TrimHorizon => LogPosition::Before(SequenceNumber::from_u128(0)),
            StartAt::Timestamp(time) => {
                let first = self
                    .records
                    .partition_point(|record| record.arrived_at < Some(*time));
                LogPosition::Before(
                    self.records
                        .get(first)
                        .map_or(tip, |record| record.sequence.clone()),
                )
            }
            StartAt::Sequence(sequence) => LogPosition::Before(sequence.clone()),
            StartAt::AfterSequence(sequence) => LogPosition::After(sequence.clone()),
        }
    }

    /// The records that a reader at this position receives.
    pub(super) fn read(&self, place: &LogPosition, limit: usize, most_bytes: usize) -> ReadResult {
        let first = self.records.partition_point(|record| place.is_past(record));
        let mut bytes = 0;
        let fits = |record: &&RawRecord| {
            bytes += record.data.len() + record.partition_key.len();
            // A record that is larger than a page makes a page of its own.
            bytes <= most_bytes || bytes == record.data.len() + record.partition_key.len()
        };
        let records: Vec<_> = self
            .records
            .range(first..)
            .take(limit)
            .take_while(fits)
            .cloned()
            .collect();
        ReadResult {
            next: records.last().map_or_else(
                || place.clone(),
                |last| LogPosition::After(last.sequence.clone()),
            ),
            more: first + records.len() < self.records.len(),
            records,
        }
    }
}
