use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::decide::lanes::RecordLanes;
use crate::model::{Key, Moment, Position, Record, ShardRef, Timestamp};
use crate::processor::{Background, Records};
use crate::runtime::Tasks;

/// Everything that is known of the records that are accepted and not done, each under its number in
/// the lanes.
pub(super) struct WorkState {
    /// Which record may begin, and up to where all are done.
    pub(super) lanes: RecordLanes<Key>,
    /// In the order of the shard. The first one is the first that is not done, so its number is
    /// that of the lanes' first.
    pub(super) records: VecDeque<AcceptedRecord>,
    /// The records that are at work, each with since when: the oldest first.
    pub(super) begun: BTreeSet<(Moment, u64)>,
    /// The tasks that take records and work on them, and those that wait to try one again.
    pub(super) tasks: Tasks,
    /// How many take records.
    pub(super) workers: usize,
    /// The consumer's view of the work. `None` before the first batch.
    pub(super) background: Option<Background>,
    /// Whether records may begin.
    pub(super) phase: WorkPhase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkPhase {
    /// Records begin as lanes and workers allow.
    Working,
    /// No further record begins.
    Leaving,
}

pub(super) struct AcceptedRecord {
    /// The batch that it came with, which holds its bytes.
    pub(super) batch: Arc<HandedBatch>,
    /// Where it is in the batch.
    pub(super) index: usize,
    /// How often it was taken: by that the pauses between grow.
    pub(super) rounds: u32,
    /// How often the handler was called with it.
    pub(super) calls: u32,
    /// What its last call said.
    pub(super) error: Option<Arc<str>>,
    /// Since when it is at work.
    pub(super) since: Option<Moment>,
}

/// What the records of a batch have in common.
pub(super) struct HandedBatch {
    /// All of the batch, also those that are done: their memory is one piece.
    pub(super) records: Records,
    /// As the handler is told it.
    pub(super) shard: ShardRef,
    /// As the service said with the page.
    pub(super) millis_behind_latest: Option<u64>,
    /// When the page came, by the wall clock.
    pub(super) fetched_at: Timestamp,
}

/// A record that is at work.
pub(super) struct RecordJob {
    /// Its number in the lanes, which stays its own while others are done.
    pub(super) number: u64,
    /// Kept alive by it, also when the state has let it go.
    pub(super) batch: Arc<HandedBatch>,
    /// Where it is in the batch.
    pub(super) index: usize,
    /// Which time it is taken.
    pub(super) round: u32,
    /// How often the handler was called with it before, and what the last call said.
    pub(super) calls: u32,
    pub(super) error: Option<Arc<str>>,
    /// To whom its end is reported.
    pub(super) background: Background,
}

impl RecordJob {
    /// The record itself.
    pub(super) fn record(&self) -> &Record {
        &self.batch.records[self.index]
    }
}

impl AcceptedRecord {
    pub(super) fn position(&self) -> Position {
        self.batch.records[self.index].position.clone()
    }
}

impl WorkState {
    /// No record is accepted yet.
    pub(super) fn new(lanes: RecordLanes<Key>) -> Self {
        Self {
            lanes,
            records: VecDeque::new(),
            begun: BTreeSet::new(),
            tasks: Tasks::new(),
            workers: 0,
            background: None,
            phase: WorkPhase::Working,
        }
    }

    /// Takes the next record that may begin, if the lease is still valid. The caller hands it out
    /// with no await in between.
    pub(super) fn begin(&mut self) -> Option<RecordJob> {
        if self.phase != WorkPhase::Working || self.lanes.can_begin() == 0 {
            return None;
        }
        let background = self.background.clone()?;
        let now = background.may_begin()?;
        let number = self.lanes.begin()?;
        let record = self.accepted(number)?;
        record.rounds = record.rounds.saturating_add(1);
        record.since = Some(now);
        let job = RecordJob {
            number,
            batch: Arc::clone(&record.batch),
            index: record.index,
            round: record.rounds,
            calls: record.calls,
            error: record.error.clone(),
            background,
        };
        self.begun.insert((now, number));
        self.see_oldest();
        Some(job)
    }

    /// The handler is called with this record: how often it was with this call.
    pub(super) fn called(&mut self, number: u64) -> u32 {
        let Some(record) = self.accepted(number) else {
            return 1;
        };
        record.calls = record.calls.saturating_add(1);
        record.calls
    }

    /// The work on this record is over, for now or for good. Before it leaves the lanes.
    pub(super) fn left(&mut self, number: u64) {
        if let Some(since) = self.accepted(number).and_then(|record| record.since.take()) {
            self.begun.remove(&(since, number));
            self.see_oldest();
        }
    }

    /// The finished prefix has grown by so many: its end.
    pub(super) fn grown(&mut self, by: usize) -> Option<Position> {
        let last = self.records.drain(..by).next_back()?;
        Some(last.position())
    }

    /// What is known of a record; `None` if it is done, which a late pause may not know.
    pub(super) fn accepted(&mut self, number: u64) -> Option<&mut AcceptedRecord> {
        let index = number.checked_sub(self.lanes.first())?;
        self.records.get_mut(usize::try_from(index).ok()?)
    }

    /// Since when the oldest work goes on.
    fn see_oldest(&self) {
        if let Some(background) = &self.background {
            background.works_since(
                self.begun.first().map(|(since, _)| *since),
                self.begun.len(),
            );
        }
    }
}
