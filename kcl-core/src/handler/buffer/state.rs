use std::collections::{BTreeSet, VecDeque};

use crate::decide::buffers::{BeginningFlush, BufferBounds, FlushCause, RecordBuffers};
use crate::model::{Key, Moment, Position, Record};
use crate::processor::{Background, GatheredRecords, Records};
use crate::runtime::Tasks;

/// Everything that is known of the records that are accepted and not done, each under its number in
/// the buffers.
pub(super) struct BufferState {
    /// Which records are gathered for which key, and when a buffer is due.
    pub(super) buffers: RecordBuffers<Key>,
    /// In the order of the shard, from the first that is not done on.
    pub(super) records: VecDeque<KeptRecord>,
    /// The calls of the handler and the deliveries of dead letters, each with since when: the oldest
    /// first.
    pub(super) calls: BTreeSet<(Moment, u64)>,
    /// The task that begins flushes, and those that do them.
    pub(super) tasks: Tasks,
    /// The consumer's view of the work. `None` before the first batch.
    pub(super) background: Option<Background>,
    /// Whether buffers fill, empty or are over.
    pub(super) phase: BufferPhase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BufferPhase {
    /// A buffer is flushed when it is full or old enough, or memory is short.
    Gathering,
    /// What is gathered is flushed once more, for this reason, and nothing is tried again that fails
    /// when the shard is given up.
    Emptying(FlushCause),
    /// Nothing more is flushed.
    Over,
}

/// A record of a batch: neither is copied.
pub(super) struct KeptRecord {
    /// Its batch, which holds its bytes.
    pub(super) records: Records,
    /// Where it is in the batch.
    pub(super) index: usize,
}

impl KeptRecord {
    /// The record itself.
    pub(super) fn record(&self) -> &Record {
        &self.records[self.index]
    }
}

impl BufferState {
    /// Nothing is gathered yet.
    pub(super) fn new(bounds: BufferBounds) -> Self {
        Self {
            buffers: RecordBuffers::new(bounds),
            records: VecDeque::new(),
            calls: BTreeSet::new(),
            tasks: Tasks::new(),
            background: None,
            phase: BufferPhase::Gathering,
        }
    }

    /// The flush that begins now, with its records.
    pub(super) fn begin(
        &mut self,
        now: Moment,
        is_short: bool,
    ) -> Option<(BeginningFlush<Key>, Vec<Record>)> {
        let all = match self.phase {
            BufferPhase::Gathering => is_short.then_some(FlushCause::Room),
            BufferPhase::Emptying(cause) => Some(cause),
            BufferPhase::Over => return None,
        };
        let flush = self.buffers.begin(now, all)?;
        let first = self.buffers.first();
        let kept = |number: &u64| self.records.get(usize::try_from(number - first).ok()?);
        let records = flush.numbers.iter().filter_map(kept);
        let records = records.map(|kept| kept.record().clone()).collect();
        Some((flush, records))
    }

    /// The finished prefix has grown by so many: its end.
    pub(super) fn grown(&mut self, by: usize) -> Option<Position> {
        let last = self.records.drain(..by).next_back()?;
        Some(last.record().position.clone())
    }

    /// The handler or the dead letters are called, or have returned.
    pub(super) fn calls(&mut self, change: impl FnOnce(&mut BTreeSet<(Moment, u64)>)) {
        change(&mut self.calls);
        if let Some(background) = &self.background {
            background.works_since(
                self.calls.first().map(|(since, _)| *since),
                self.calls.len(),
            );
        }
    }

    /// Tells what is gathered.
    pub(super) fn tell_gathered(&self) {
        if let Some(background) = &self.background {
            let (records, bytes) = self.buffers.gathered();
            let since = self.buffers.oldest();
            background.has_gathered(GatheredRecords {
                records,
                bytes,
                since,
            });
            background.has_lanes(self.buffers.keys());
        }
    }

    /// Tells that nothing is gathered or flushed any more.
    pub(super) fn tell_no_more(&self) {
        if let Some(background) = &self.background {
            background.has_gathered(GatheredRecords::default());
            background.has_lanes(0);
        }
    }

    /// Whether nothing is at work, and nothing begins any more.
    pub(super) fn is_drained(&self) -> bool {
        self.buffers.at_work() == 0
            && (self.phase == BufferPhase::Over || self.buffers.gathered().0 == 0)
    }
}
