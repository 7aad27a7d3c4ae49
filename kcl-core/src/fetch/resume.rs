//! Where a shard is opened again, so that nothing is skipped and what may be missing is noticed.
//!
//! | what is known | opened | why |
//! |---|---|---|
//! | nothing was handed on | where the tenancy begins | the checkpoint's sentinel, or the time that it stands for |
//! | a record was handed on | AT that record | it comes again and is dropped; if another one comes first, retention has removed some |
//! | a subscription told a place further on, a short time ago | AT that place | nothing behind it can have expired yet, and the last record may have |

use std::cmp::Ordering;

use crate::decide::gap::{DataGap, judge_first};
use crate::model::{Checkpoint, Facts, Moment, Position, Record, SequenceNumber};
use crate::stream::StartAt;

/// Where a shard has to be opened (again) so that nothing is skipped.
///
/// It moves only when a page has been handed on. The shard is opened AT the last record that is
/// done or was handed on, never after it: the rest of an aggregate would be skipped, and the record
/// that comes back first shows whether retention has deleted what lies between. "Latest" is the
/// time that it was resolved to.
///
/// A subscription tells a place further on, also when there are no records. The next one is opened
/// there as long as nothing behind that place can have aged out: on a quiet shard the last record
/// ages out like any other, and that it does not come back would look as if something were missing.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// Where the tenancy begins, until something was handed on.
    begin: StartAt,
    /// What does not have to come again: everything up to here.
    last: Option<LastRecord>,
    /// The shard was opened at `last`, and the stream has not shown yet whether that record is
    /// still there.
    unproved: bool,
    /// A place behind all that was handed on, and until when everything behind it is there for
    /// certain.
    told: Option<(SequenceNumber, Moment)>,
}

/// The last record that is done, or was handed on.
#[derive(Clone, Debug)]
struct LastRecord {
    /// Its sequence number; an aggregate has one for all its records.
    sequence: SequenceNumber,
    /// The last user record of an aggregate; nothing when all of the Kinesis record was handed on.
    sub_sequence: Option<u64>,
}

/// The error for a lease that does not say where to begin: it is finished, or its time was never
/// stored.
#[derive(Debug, thiserror::Error)]
#[error("the lease is at {checkpoint} and no time is known for it")]
pub(crate) struct NoPlace {
    /// What the lease says instead.
    checkpoint: Checkpoint,
}

impl Resume {
    /// The place of a tenancy that begins at this checkpoint.
    pub(crate) fn new(checkpoint: &Checkpoint, facts: &Facts) -> Result<Self, NoPlace> {
        let no_place = || NoPlace {
            checkpoint: checkpoint.clone(),
        };
        let (begin, last) = match checkpoint {
            Checkpoint::TrimHorizon => (StartAt::TrimHorizon, None),
            Checkpoint::Latest | Checkpoint::AtTimestamp => (
                StartAt::Timestamp(facts.start_at.ok_or_else(no_place)?),
                None,
            ),
            Checkpoint::At(position) => {
                let last = LastRecord {
                    sequence: position.sequence.clone(),
                    sub_sequence: Some(position.sub_sequence),
                };
                (StartAt::Sequence(position.sequence.clone()), Some(last))
            }
            Checkpoint::ShardEnd => return Err(no_place()),
        };
        Ok(Self {
            begin,
            last,
            unproved: false,
            told: None,
        })
    }

    /// Where to open the shard; from now on the next record shows whether something is missing.
    ///
    /// The place itself does not move: a call that fails may be repeated any number of times.
    pub(crate) fn open(&mut self) -> StartAt {
        self.unproved = self.last.is_some();
        match &self.last {
            Some(last) => StartAt::Sequence(last.sequence.clone()),
            None => self.begin.clone(),
        }
    }

    /// Where to open the shard again at `now`: at the place that was told, if that can be trusted.
    /// What the stream has not shown yet it still has to show.
    pub(crate) fn go_on(&mut self, now: Moment) -> StartAt {
        match &self.told {
            Some((place, until)) if now < *until => StartAt::Sequence(place.clone()),
            _ => self.open(),
        }
    }

    /// The place behind all that was handed on, as the stream tells it, and until when everything
    /// behind it is there for certain.
    ///
    /// Who has been given nothing yet begins where it was to begin: the place may be that of a
    /// record before.
    pub(crate) fn told(&mut self, place: SequenceNumber, until: Moment) {
        self.told = self
            .last
            .as_ref()
            .is_some_and(|last| last.sequence <= place)
            .then_some((place, until));
    }

    /// Where to look at `now` whether something follows, while the shard is open elsewhere: what
    /// that has still to show it still has to show. Behind the last record only as long as nothing
    /// that follows it can have aged out.
    pub(crate) fn after(&self, now: Moment) -> StartAt {
        let is_trusted = self.told.as_ref().is_some_and(|(_, until)| now < *until);
        match &self.last {
            Some(LastRecord {
                sequence,
                sub_sequence: None,
            }) if !self.unproved && is_trusted => StartAt::AfterSequence(sequence.clone()),
            Some(last) => StartAt::Sequence(last.sequence.clone()),
            None => self.begin.clone(),
        }
    }

    /// The answer that is taken in next comes from the last record on: it shows whether something
    /// is missing.
    pub(crate) const fn proves(&mut self) {
        self.unproved = self.last.is_some();
    }

    /// The first record since the shard was opened: is something missing before it?
    pub(crate) fn judge(&mut self, first: &SequenceNumber) -> Option<DataGap> {
        let last = self
            .last
            .as_ref()
            .filter(|_| std::mem::take(&mut self.unproved))?;
        judge_first(&last.position(), Some(first))
    }

    /// An answer says that the shard ended without a record since it was opened: is something
    /// missing before the end? That has still to be shown if it has not ended.
    pub(crate) fn judge_end(&self) -> Option<DataGap> {
        let last = self.last.as_ref().filter(|_| self.unproved)?;
        judge_first(&last.position(), None)
    }

    /// Leaves only what does not come again.
    ///
    /// Within an aggregate that was half done, the sub-sequence number decides.
    pub(crate) fn keep_new(&self, records: &mut Vec<Record>) {
        if let Some(last) = &self.last {
            // What is done comes first: the records of a page are in order.
            let old = records.partition_point(|record| last.covers(&record.position));
            records.drain(..old);
        }
    }

    /// A page that ends with this record was handed on.
    ///
    /// A page that comes twice, as after a polled question beside a subscription, does not move it
    /// back.
    pub(crate) fn handed_on(&mut self, sequence: SequenceNumber) {
        if self
            .last
            .as_ref()
            .is_none_or(|last| last.sequence <= sequence)
        {
            // The records are further than the place that was told before they came.
            self.told = None;
            self.last = Some(LastRecord {
                sequence,
                sub_sequence: None,
            });
        }
    }
}

impl LastRecord {
    /// The position up to which everything is done, for the judgement of a gap.
    fn position(&self) -> Position {
        Position::new(self.sequence.clone(), self.sub_sequence.unwrap_or(0))
    }

    /// Whether this record, or one before it, is the record at this position.
    fn covers(&self, position: &Position) -> bool {
        match position.sequence.cmp(&self.sequence) {
            Ordering::Less => true,
            Ordering::Equal => self
                .sub_sequence
                .is_none_or(|sub| position.sub_sequence <= sub),
            Ordering::Greater => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u128) -> SequenceNumber {
        SequenceNumber::from_u128(value)
    }

    fn at(sequence: u128, sub: u64) -> Checkpoint {
        Checkpoint::At(Position::new(number(sequence), sub))
    }

    /// Also when the checkpoint lies inside an aggregate.
    #[test]
    fn a_shard_is_opened_at_its_checkpoint_or_last_delivery() {
        let mut resume = Resume::new(&at(1000, 3), &Facts::default()).unwrap();
        assert_eq!(resume.open(), StartAt::Sequence(number(1000)));
        // The iterator expires before any record came: the same place again, not the one behind the
        // aggregate.
        assert_eq!(resume.open(), StartAt::Sequence(number(1000)));
        resume.handed_on(number(2000));
        assert_eq!(resume.open(), StartAt::Sequence(number(2000)));
    }

    #[test]
    fn latest_is_opened_at_its_time_until_a_page_was_handed_on() {
        let time = crate::model::Timestamp::from_millis(1_700_000_000_000);
        let facts = Facts {
            start_at: Some(time),
            ..Facts::default()
        };
        let mut resume = Resume::new(&Checkpoint::Latest, &facts).unwrap();
        assert_eq!(resume.open(), StartAt::Timestamp(time));
        assert_eq!(resume.open(), StartAt::Timestamp(time));
    }

    fn record(sequence: u128, sub: u64) -> Record {
        let raw = crate::model::RawRecord::new(number(sequence), "key", "data");
        Record {
            position: Position::new(number(sequence), sub),
            ..Record::from(raw)
        }
    }

    fn left(resume: &Resume, mut records: Vec<Record>) -> Vec<Position> {
        resume.keep_new(&mut records);
        records.into_iter().map(|record| record.position).collect()
    }

    #[test]
    fn what_was_done_before_does_not_come_again() {
        let resume = Resume::new(&at(5, 1), &Facts::default()).unwrap();
        let left = left(
            &resume,
            vec![record(5, 0), record(5, 1), record(5, 2), record(6, 0)],
        );
        assert_eq!(
            left,
            [Position::new(number(5), 2), Position::new(number(6), 0)]
        );
    }

    #[test]
    fn delivered_records_do_not_repeat_and_earlier_pages_are_void() {
        let mut resume = Resume::new(&Checkpoint::TrimHorizon, &Facts::default()).unwrap();
        resume.handed_on(number(7));
        resume.handed_on(number(4));
        let left = left(
            &resume,
            vec![record(4, 0), record(7, 0), record(7, 5), record(8, 0)],
        );
        assert_eq!(left, [Position::new(number(8), 0)]);
    }

    #[test]
    fn what_retention_deleted_while_the_shard_was_read_is_a_gap_too() {
        let mut resume = Resume::new(&Checkpoint::TrimHorizon, &Facts::default()).unwrap();
        resume.open();
        assert_eq!(resume.judge(&number(1)), None, "nothing was read before");
        resume.handed_on(number(1));
        assert_eq!(resume.judge(&number(5)), None, "the same iterator goes on");
        resume.handed_on(number(5));
        resume.open();
        assert_eq!(resume.judge(&number(5)), None, "it is still there");
        resume.open();
        let gap = resume.judge(&number(9)).unwrap();
        assert_eq!((gap.after, gap.certain), (at(5, 0), false));
        assert_eq!(resume.judge(&number(9)), None, "said once");
    }

    #[test]
    fn a_continuation_is_used_while_it_is_safe_and_shows_no_gap() {
        let mut resume = Resume::new(&at(1000, 3), &Facts::default()).unwrap();
        let at = |seconds| Moment::from_origin(std::time::Duration::from_secs(seconds));
        assert_eq!(resume.go_on(at(0)), StartAt::Sequence(number(1000)));
        assert_eq!(resume.judge(&number(1000)), None);
        resume.handed_on(number(1000));
        resume.told(number(1500), at(60));
        assert_eq!(resume.go_on(at(59)), StartAt::Sequence(number(1500)));
        assert_eq!(
            resume.judge(&number(2000)),
            None,
            "nothing behind that place has aged out"
        );
        assert_eq!(resume.go_on(at(60)), StartAt::Sequence(number(1000)));
        assert!(resume.judge(&number(2000)).is_some());
        resume.handed_on(number(2000));
        resume.told(number(1999), at(120));
        assert_eq!(
            resume.go_on(at(61)),
            StartAt::Sequence(number(2000)),
            "it is behind what was handed on"
        );
    }

    #[test]
    fn an_end_without_the_last_record_shows_a_gap_each_time() {
        let mut resume = Resume::new(&at(1000, 3), &Facts::default()).unwrap();
        assert_eq!(resume.judge_end(), None, "the shard was not opened");
        resume.open();
        let gap = resume.judge_end().unwrap();
        assert_eq!(gap.after, at(1000, 3));
        assert_eq!(
            resume.judge_end(),
            Some(gap),
            "the shard may not have ended"
        );
        assert_eq!(resume.judge(&number(1000)), None);
        assert_eq!(resume.judge_end(), None, "the last record is there");
    }

    /// Only then can nothing have been lost between the last record and the answer.
    #[test]
    fn a_request_after_the_last_record_is_made_while_none_aged_out() {
        let mut resume = Resume::new(&Checkpoint::TrimHorizon, &Facts::default()).unwrap();
        let at = |seconds| Moment::from_origin(std::time::Duration::from_secs(seconds));
        assert_eq!(
            resume.after(at(0)),
            StartAt::TrimHorizon,
            "nothing was read"
        );
        resume.handed_on(number(1000));
        assert_eq!(
            resume.after(at(0)),
            StartAt::Sequence(number(1000)),
            "no place was told"
        );
        resume.told(number(1000), at(60));
        assert_eq!(resume.after(at(59)), StartAt::AfterSequence(number(1000)));
        assert_eq!(
            resume.after(at(60)),
            StartAt::Sequence(number(1000)),
            "it is not sure any more"
        );
        resume.proves();
        assert!(
            resume.judge(&number(2000)).is_some(),
            "the last record is gone, and perhaps others"
        );
    }

    /// A continuation may come before any record does.
    #[test]
    fn latest_begins_at_its_time_even_after_an_early_continuation() {
        let time = crate::model::Timestamp::from_millis(1_700_000_000_000);
        let mut resume = Resume::new(
            &Checkpoint::Latest,
            &Facts {
                start_at: Some(time),
                ..Facts::default()
            },
        )
        .unwrap();
        resume.told(number(1500), Moment::from_origin(std::time::Duration::MAX));
        assert_eq!(resume.go_on(Moment::default()), StartAt::Timestamp(time));
    }

    #[test]
    fn records_not_shown_before_a_continuation_are_still_expected() {
        let mut resume = Resume::new(&at(1000, 3), &Facts::default()).unwrap();
        let at = |seconds| Moment::from_origin(std::time::Duration::from_secs(seconds));
        resume.go_on(at(0));
        resume.told(number(1500), at(60));
        assert_eq!(resume.go_on(at(1)), StartAt::Sequence(number(1500)));
        assert!(
            resume.judge(&number(2000)).is_some(),
            "the checkpointed record has never come"
        );
    }

    #[test]
    fn a_lease_without_time_and_a_finished_one_are_refused() {
        assert!(Resume::new(&Checkpoint::Latest, &Facts::default()).is_err());
        assert!(Resume::new(&Checkpoint::ShardEnd, &Facts::default()).is_err());
    }
}
