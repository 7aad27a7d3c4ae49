//! From an answer of the service to what is handed on, for polling and fan-out alike.
//!
//! ```text
//!  raw records -> gap before the first? -> cut at the bound -> taken apart -> without what is done -> Fetched
//!                                                                                   |
//!                                                         Resume moves, and only here
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::deaggregate::{Deaggregator, OutOfRange};
use crate::decide::bound::Bound;
use crate::decide::lag::{age, believed};
use crate::meters::ShardMeters;
use crate::model::{ChildShard, HashKeyRange, RawRecord, Record, Timestamp};
use crate::runtime::{Clock, within};
use crate::stream::{Error, ErrorKind};

use super::budget::Permit;
use super::fetched::{End, Fetched, ReadEnd};
use super::resume::Resume;
use super::size::RecordSize;

/// What a shard's records go through, whichever way they came: judged for a gap, taken apart, and
/// freed of what does not have to come again. Only then the place to resume from moves.
#[derive(Debug)]
pub(crate) struct PageDecoder {
    clock: Arc<dyn Clock>,
    /// Counts what was read of this shard.
    pub(super) meters: ShardMeters,
    /// Where the shard is opened again.
    pub(super) resume: Resume,
    /// Takes KPL aggregates apart.
    deaggregator: Deaggregator,
    /// What happens to user records outside the shard's hash keys: after a reshard an aggregate may
    /// contain some that belong to another shard.
    out_of_range: OutOfRange,
    /// How large the records of this shard are.
    pub(super) size: RecordSize,
    /// The end was read: there is nothing to ask for any more.
    ended: bool,
    /// The time up to which is read, if the reading ends.
    bound: Option<Bound>,
    /// When what comes next was asked for: it was answered after that. Nothing when it may have
    /// been under way before.
    asked: Option<Timestamp>,
    /// The tip was reached, and that was said.
    reached_tip: bool,
}

impl PageDecoder {
    /// For a shard with these hash keys, if they are known.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        meters: ShardMeters,
        resume: Resume,
        hash_range: Option<HashKeyRange>,
        out_of_range: OutOfRange,
    ) -> Self {
        let deaggregator = Deaggregator::new(hash_range);
        Self {
            clock,
            meters,
            resume,
            deaggregator,
            out_of_range,
            size: RecordSize::default(),
            ended: false,
            bound: None,
            asked: None,
            reached_tip: false,
        }
    }

    /// Reads up to this bound and no further.
    pub(crate) const fn until(mut self, bound: Option<Bound>) -> Self {
        self.bound = bound;
        self
    }

    /// What comes next is asked for now.
    pub(super) fn asks(&mut self) {
        self.asked = Some(self.clock.wall());
    }

    /// What comes next may have been under way before it was asked for.
    ///
    /// An answer that was sent before it was asked for cannot prove that the shard was read up to a
    /// time.
    pub(super) const fn knows_not_when(&mut self) {
        self.asked = None;
    }

    /// Whether an answer without records says that the shard is read up to the bound.
    pub(super) fn is_read(&self, millis_behind_latest: Option<u64>) -> bool {
        self.bound
            .zip(self.asked)
            .is_some_and(|(bound, asked)| bound.is_passed_at_tip(millis_behind_latest, asked))
    }

    /// Whether the end was taken in.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The end that was taken in last is none.
    ///
    /// A later listing has shown the shard as open: the answer was wrong, or came from an emulator.
    pub(super) const fn goes_on(&mut self) {
        self.ended = false;
    }

    /// Records in the form in which they are handed on; nothing if they say nothing. `is_full`: no
    /// more of them fit into one answer, so that there may be more whatever it says of the tip.
    /// `end` are the shards that follow the last ones.
    ///
    /// Nothing in it waits, so that a future that is dropped cannot leave the place to resume from
    /// ahead of what was handed on.
    pub(super) fn take_in(
        &mut self,
        mut raw: Vec<RawRecord>,
        is_full: bool,
        said: Option<u64>,
        end: Option<Vec<ChildShard>>,
        mut permit: Permit,
    ) -> Option<Fetched> {
        let age_of_last = raw.last().map_or(Duration::ZERO, |last| {
            age(last.arrived_at, self.clock.wall())
        });
        // Nothing follows the end of a shard, however full its last page is.
        let millis_behind_latest = believed(said, is_full && end.is_none(), age_of_last);
        let at_tip = self.answered(millis_behind_latest);
        let first = raw.first().map(|record| &record.sequence);
        let gap = first.and_then(|first| self.resume.judge(first));
        // Where there is a first record it has shown that already.
        let missing = if end.is_some() {
            self.resume.judge_end()
        } else {
            None
        };
        let cut = self
            .bound
            .and_then(|bound| bound.cut(raw.iter().map(|record| record.arrived_at)));
        // What was cut off is not given.
        let at_tip = at_tip && cut.is_none();
        let is_bound = cut.is_some()
            || (raw.is_empty() && end.is_none() && self.is_read(millis_behind_latest));
        if let Some(cut) = cut {
            raw.truncate(cut);
        }
        let end = if is_bound {
            Some(End::Bound)
        } else {
            end.map(|children| {
                End::Closed(ReadEnd {
                    children,
                    gap: missing,
                })
            })
        };
        self.ended = end.is_some();
        let last = raw.last().map(|record| record.sequence.clone());
        let records = self.take_apart(raw, &mut permit);
        // Also when nothing of the page is left: what follows it is read, not the same again.
        if let Some(last) = last {
            self.resume.handed_on(last);
        }
        if records.is_empty() && !self.ended && gap.is_none() && !at_tip {
            return None;
        }
        Some(Fetched {
            permit: (!records.is_empty()).then_some(permit),
            records,
            millis_behind_latest,
            fetched: self.clock.now(),
            fetched_at: self.clock.wall(),
            gap,
            at_tip,
            end,
        })
    }

    /// The user records that are still to be done, with the permit for what they occupy.
    ///
    /// An aggregate can be many times larger when it is taken apart. What it then occupies is
    /// counted, and remembered for the size of the next request.
    fn take_apart(&mut self, raw: Vec<RawRecord>, permit: &mut Permit) -> Vec<Record> {
        let apart = self.deaggregator.take_apart(raw);
        self.size.observe_growth(permit.bytes(), apart.occupied);
        permit.correct(apart.occupied);
        self.meters.aggregates.increment(apart.aggregates);
        self.meters.corrupt.increment(apart.corrupt);
        let mut records = apart.records;
        self.resume.keep_new(&mut records);
        // Where there are none, which is nearly always, the list is not read once more.
        if apart.out_of_range > 0 {
            let outside = records.iter().filter(|record| record.out_of_range).count();
            self.meters.out_of_range.increment(outside as u64);
            if self.out_of_range == OutOfRange::Drop {
                records.retain(|record| !record.out_of_range);
            }
        }
        records
    }

    /// An answer without a record. It is handed on only where it shows that the tip is reached, and
    /// only once.
    pub(super) fn take_in_empty(&mut self, millis_behind_latest: Option<u64>) -> Option<Fetched> {
        self.answered(millis_behind_latest).then(|| Fetched {
            at_tip: true,
            ..self.nothing(None)
        })
    }

    /// Takes in that the stream has answered. Whether that shows for the first time that there is
    /// nothing more.
    ///
    /// It is said once per tenancy: the application learns that it has caught up, and not that it
    /// idles.
    fn answered(&mut self, millis_behind_latest: Option<u64>) -> bool {
        self.meters
            .lag
            .answered(self.clock.now(), millis_behind_latest);
        millis_behind_latest == Some(0) && !std::mem::replace(&mut self.reached_tip, true)
    }

    /// That the service does not know the shard.
    pub(super) fn gone(&self) -> Fetched {
        self.nothing(Some(End::Gone))
    }

    /// An answer without records, at this moment.
    fn nothing(&self, end: Option<End>) -> Fetched {
        Fetched {
            records: Vec::new(),
            permit: None,
            millis_behind_latest: None,
            fetched: self.clock.now(),
            fetched_at: self.clock.wall(),
            gap: None,
            at_tip: false,
            end,
        }
    }
}

/// The answer of a call, or that there was none in time.
///
/// A call that is not answered counts as [`Unreachable`](ErrorKind::Unreachable): if that lasts,
/// another worker may do better.
pub(crate) async fn bounded<T>(
    clock: &dyn Clock,
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    within(clock, limit, call).await.unwrap_or_else(|| {
        Err(Error::new(
            ErrorKind::Unreachable,
            operation,
            format!("no answer within {limit:?}"),
        ))
    })
}

/// The memory that raw records take before they are taken apart, with the spare room of their list.
pub(super) fn occupied(raw: &Vec<RawRecord>) -> usize {
    let spare = raw.capacity() - raw.len();
    raw.iter().map(RawRecord::occupied).sum::<usize>()
        + spare * size_of::<RawRecord>()
        // The list of user records that is made from it.
        + raw.len() * size_of::<Record>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::scene::Scene;
    use crate::model::SequenceNumber;
    use crate::runtime::pause;

    #[tokio::test(start_paused = true)]
    async fn a_reading_ends_at_its_bound_or_at_a_tip_asked_for_after_it() {
        let scene = Scene::new();
        let share = scene.budget.seat();
        let mut decoder = scene
            .intake()
            .until(Some(Bound::new(Timestamp::from_millis(5_000))));
        pause(&*scene.clock, Duration::from_secs(7)).await;
        assert!(
            !decoder.is_read(Some(0)),
            "when it was asked for is not known"
        );
        decoder.asks();
        assert!(decoder.is_read(Some(0)) && !decoder.is_read(Some(1)));
        decoder.knows_not_when();
        assert!(!decoder.is_read(Some(0)));
        let record = |number, millis| RawRecord {
            arrived_at: Some(Timestamp::from_millis(millis)),
            ..RawRecord::new(SequenceNumber::from_u128(number), "k", "x")
        };
        let raw = vec![record(1, 5_000), record(2, 5_001)];
        let page = decoder
            .take_in(raw, false, Some(0), None, share.acquire(1).await)
            .unwrap();
        assert!(matches!(page.end, Some(End::Bound)) && decoder.has_ended());
        assert_eq!((page.records.len(), page.at_tip), (1, false));
        decoder.goes_on();
        assert!(!decoder.has_ended());
    }

    #[test]
    fn a_page_takes_its_records_its_spare_room_and_their_list() {
        let mut raw = Vec::with_capacity(8);
        raw.extend(
            (0..3).map(|number| RawRecord::new(SequenceNumber::from_u128(number), "key", "data")),
        );
        let spare = raw.capacity() - 3;
        let records: usize = raw.iter().map(RawRecord::occupied).sum();
        assert_eq!(
            occupied(&raw),
            records + spare * size_of::<RawRecord>() + 3 * size_of::<Record>()
        );
    }
}
