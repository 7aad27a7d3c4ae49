use crate::decide::gap::{DataGap, judge_first};
use crate::model::{Checkpoint, Facts, Position, Record, SequenceNumber, Timestamp};
use crate::stream::StartAt;

/// Where a shard has to be opened (again) so that nothing is skipped.
///
/// It moves only when a page has been handed on. As long as nothing has, it is the place where the tenancy began: the checkpoint is
/// opened AT, never after it (the rest of an aggregate would be skipped), and "latest" is the time that it was resolved to.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    place: Place,
    /// Everything up to here was done before this tenancy; what comes back of it is not handed out again.
    done: Option<Position>,
    /// The stream has not yet shown whether the checkpointed record is still there.
    unproved: Option<Position>,
}

#[derive(Clone, Debug)]
enum Place {
    Begin(StartAt),
    After(SequenceNumber),
}

/// A lease does not say where to begin.
#[derive(Debug, thiserror::Error)]
#[error("the lease is at {checkpoint} and no time is known for it")]
pub(crate) struct NoPlace {
    checkpoint: Checkpoint,
}

impl Resume {
    /// The place of a tenancy that begins at this checkpoint. `at` stands in for a row that was made without a resolved time: the
    /// time that the application asks for.
    pub(crate) fn new(checkpoint: &Checkpoint, facts: &Facts, at: Option<Timestamp>) -> Result<Self, NoPlace> {
        let (start, done) = match checkpoint {
            Checkpoint::TrimHorizon => (StartAt::TrimHorizon, None),
            Checkpoint::Latest | Checkpoint::AtTimestamp => match facts.start_at.or(at) {
                Some(time) => (StartAt::Timestamp(time), None),
                None => return Err(NoPlace { checkpoint: checkpoint.clone() }),
            },
            Checkpoint::At(position) => (StartAt::Sequence(position.sequence.clone()), Some(position.clone())),
            Checkpoint::ShardEnd => return Err(NoPlace { checkpoint: checkpoint.clone() }),
        };
        Ok(Self { place: Place::Begin(start), unproved: done.clone(), done })
    }

    /// Where to open the shard.
    pub(crate) fn start_at(&self) -> StartAt {
        match &self.place {
            Place::Begin(start) => start.clone(),
            Place::After(sequence) => StartAt::AfterSequence(sequence.clone()),
        }
    }

    /// The first record of the tenancy was read (nothing: the shard ended without one): is something missing?
    pub(crate) fn judge(&mut self, first: Option<&SequenceNumber>) -> Option<DataGap> {
        self.unproved.take().and_then(|checkpoint| judge_first(&checkpoint, first))
    }

    /// Leaves only what is not done yet.
    pub(crate) fn keep_new(&self, records: &mut Vec<Record>) {
        if let Some(done) = &self.done {
            // What is done comes first: the records of a page are in order.
            let old = records.partition_point(|record| record.position <= *done);
            records.drain(..old);
        }
    }

    /// A page that ends with this record was handed on.
    pub(crate) fn handed_on(&mut self, last: SequenceNumber) {
        self.done = None;
        self.place = Place::After(last);
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

    #[test]
    fn a_checkpoint_inside_an_aggregate_is_opened_at_until_a_page_was_handed_on() {
        let mut resume = Resume::new(&at(1000, 3), &Facts::default(), None).unwrap();
        assert_eq!(resume.start_at(), StartAt::Sequence(number(1000)));
        // The iterator expires before any record came: the same place again, not the one behind the aggregate.
        assert_eq!(resume.start_at(), StartAt::Sequence(number(1000)));
        resume.handed_on(number(1000));
        assert_eq!(resume.start_at(), StartAt::AfterSequence(number(1000)));
    }

    #[test]
    fn latest_is_opened_at_its_time_until_a_page_was_handed_on() {
        let time = Timestamp::from_millis(1_700_000_000_000);
        let facts = Facts { start_at: Some(time), ..Facts::default() };
        let resume = Resume::new(&Checkpoint::Latest, &facts, None).unwrap();
        assert_eq!(resume.start_at(), StartAt::Timestamp(time));
    }

    #[test]
    fn what_was_done_before_does_not_come_again() {
        let resume = Resume::new(&at(5, 1), &Facts::default(), None).unwrap();
        let record = |sequence, sub| {
            let raw = crate::model::RawRecord::new(number(sequence), "key", "data");
            Record { position: Position::new(number(sequence), sub), ..Record::from(raw) }
        };
        let mut records = vec![record(5, 0), record(5, 1), record(5, 2), record(6, 0)];
        resume.keep_new(&mut records);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].position, Position::new(number(5), 2));
    }

    #[test]
    fn a_lease_without_a_known_time_is_refused_and_a_finished_one_too() {
        assert!(Resume::new(&Checkpoint::Latest, &Facts::default(), None).is_err());
        assert!(Resume::new(&Checkpoint::ShardEnd, &Facts::default(), None).is_err());
    }
}
