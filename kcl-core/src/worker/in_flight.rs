use crate::fetch::Batch;
use crate::model::{Checkpoint, Position};
use crate::processor::{OnFailure, Records};

/// The batch that the handler processes: its records that are not done, and how many times it was
/// delivered.
#[derive(Debug)]
pub(crate) struct InFlightBatch {
    /// The batch as it was fetched, with its share of the byte budget. It is held until all of it
    /// is done, even if only one record is left.
    pub(crate) batch: Box<Batch>,
    /// What is delivered next: a suffix of the batch's records, which shares their memory. It only
    /// shrinks.
    pub(crate) rest: Records,
    /// The number of deliveries, which the processor sees. It is 0 before the first one.
    pub(crate) attempt: u32,
}

/// What follows from a failed call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// The rest is delivered again. After a pause, unless the failure says otherwise.
    Again,
    /// Nothing is left: the handler itself has stored the end of the batch, or the last record was
    /// skipped.
    Done,
    /// The worker stops. What is left is not done: the next run begins with it.
    Stop,
}

impl InFlightBatch {
    pub(crate) fn new(batch: Box<Batch>) -> Self {
        let rest = batch.records.clone();
        Self {
            batch,
            rest,
            attempt: 0,
        }
    }

    /// The position of the last record that is left, or `None` if none is.
    pub(crate) fn end(&self) -> Option<&Position> {
        self.rest.last().map(|record| &record.position)
    }

    /// Handles a failure at `at`, with `stored` as the stored checkpoint. Returns what follows, and
    /// the newest position that is done because of it.
    ///
    /// The records before `at` are done, and so are those up to a checkpoint that the handler has
    /// stored itself. Skipping skips only `at`. Without a position, or with one from another batch,
    /// it is not known which record failed. Then the whole rest counts as failed, and nothing is
    /// skipped: to skip a record that nobody has named could lose any of them.
    pub(crate) fn fail(
        &mut self,
        at: Option<&Position>,
        stored: &Checkpoint,
        policy: OnFailure,
    ) -> (AfterFailure, Option<Position>) {
        let before = self.rest.clone();
        if let Checkpoint::At(stored) = stored {
            self.rest = self.rest.after(stored);
        }
        // A position outside the batch says nothing about it.
        let inside = at.filter(|at| before.iter().any(|record| record.position == **at));
        if let Some(at) = inside {
            self.rest = self.rest.from(at);
            if policy == OnFailure::Skip {
                self.rest = self.rest.after(at);
            }
        }
        let done = before.len() - self.rest.len();
        let done = done
            .checked_sub(1)
            .map(|last| before[last].position.clone());
        let next = match policy {
            OnFailure::Stop => AfterFailure::Stop,
            _ if self.rest.is_empty() => AfterFailure::Done,
            _ => AfterFailure::Again,
        };
        (next, done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Moment, RawRecord, Record, SequenceNumber, Timestamp};

    fn at(sequence: u128) -> Position {
        SequenceNumber::from_u128(sequence).into()
    }

    fn five_records() -> InFlightBatch {
        let record = |sequence| {
            Record::from(RawRecord::new(
                SequenceNumber::from_u128(sequence),
                "key",
                "data",
            ))
        };
        InFlightBatch::new(Box::new(Batch {
            records: Records::new((1..=5).map(record).collect()),
            millis_behind_latest: None,
            fetched: Moment::default(),
            fetched_at: Timestamp::from_millis(0),
            is_last: false,
            children: Vec::new(),
            permit: None,
        }))
    }

    fn rest(batch: &InFlightBatch) -> Vec<Position> {
        batch
            .rest
            .iter()
            .map(|record| record.position.clone())
            .collect()
    }

    #[test]
    fn a_failure_without_a_place_brings_the_whole_batch_again() {
        let mut batch = five_records();
        assert_eq!(
            batch.fail(None, &Checkpoint::TrimHorizon, OnFailure::Retry),
            (AfterFailure::Again, None)
        );
        assert_eq!(rest(&batch).len(), 5);
    }

    #[test]
    fn what_precedes_the_failure_is_done() {
        let mut batch = five_records();
        let after = batch.fail(Some(&at(3)), &Checkpoint::TrimHorizon, OnFailure::Retry);
        assert_eq!(after, (AfterFailure::Again, Some(at(2))));
        assert_eq!(rest(&batch), [at(3), at(4), at(5)]);
    }

    #[test]
    fn the_later_of_the_stored_checkpoint_and_the_failure_counts() {
        let mut batch = five_records();
        let after = batch.fail(Some(&at(2)), &Checkpoint::At(at(3)), OnFailure::Retry);
        assert_eq!(after, (AfterFailure::Again, Some(at(3))));
        assert_eq!(rest(&batch), [at(4), at(5)]);
    }

    #[test]
    fn a_failed_batch_that_was_checkpointed_whole_is_done() {
        let mut batch = five_records();
        assert_eq!(
            batch.fail(None, &Checkpoint::At(at(5)), OnFailure::Retry),
            (AfterFailure::Done, Some(at(5)))
        );
    }

    #[test]
    fn skipping_passes_the_record_that_failed_and_no_other() {
        let mut batch = five_records();
        let after = batch.fail(Some(&at(2)), &Checkpoint::TrimHorizon, OnFailure::Skip);
        assert_eq!(after, (AfterFailure::Again, Some(at(2))));
        assert_eq!(rest(&batch), [at(3), at(4), at(5)]);
        assert_eq!(
            batch.fail(None, &Checkpoint::TrimHorizon, OnFailure::Skip),
            (AfterFailure::Again, None),
            "nobody knows which"
        );
        assert_eq!(
            batch.fail(Some(&at(5)), &Checkpoint::TrimHorizon, OnFailure::Skip),
            (AfterFailure::Done, Some(at(5)))
        );
    }

    #[test]
    fn a_place_outside_of_the_batch_passes_nothing() {
        let mut batch = five_records();
        for outside in [0, 9] {
            let after = batch.fail(
                Some(&at(outside)),
                &Checkpoint::TrimHorizon,
                OnFailure::Skip,
            );
            assert_eq!(after, (AfterFailure::Again, None));
            assert_eq!(rest(&batch).len(), 5);
        }
    }

    #[test]
    fn a_stop_passes_nothing_that_is_not_done() {
        let mut batch = five_records();
        let after = batch.fail(Some(&at(4)), &Checkpoint::TrimHorizon, OnFailure::Stop);
        assert_eq!(after, (AfterFailure::Stop, Some(at(3))));
    }
}
