//! How a batch is delivered to the processor, and what follows its result.
//!
//! ```text
//!   call -> Ok           done: the batch is dropped, its end may be stored
//!        -> Ok, taken    accepted: the batch is kept until the background work on it is done
//!        -> Err, panic   the part before the failed record is done; the rest again, skipped, or stop
//! ```
//!
//! Only here does a position become *done*. What is stored follows from that, so a checkpoint can
//! never pass a record whose handler has failed or not returned.

use std::sync::Arc;

use crate::OnFailure;
use crate::checkpoint::Checkpointer;
use crate::decide::consumer::Step;
use crate::decide::retries::Discarded;
use crate::model::{Checkpoint, Position};
use crate::processor::{Failure, ProcessRecordsInput};
use crate::worker::error::RunError;
use crate::worker::event::{Event, HandlerCall};
use crate::worker::in_flight::AfterFailure;
use crate::worker::settings::Checkpoints;

use super::ShardConsumer;

impl ShardConsumer {
    /// Delivers what is left of the batch, once.
    ///
    /// The order of the steps matters: the position is noted as delivered before the call, because
    /// the handler may checkpoint within it; and the lease is checked last before the call, because
    /// nothing may be delivered without a valid one.
    pub(super) async fn process(&mut self) -> Step {
        let now = self.clock.now();
        if self.background.is_stopped() {
            return self.work_stopped();
        }
        let Some(batch) = &mut self.in_flight else {
            return Step::BatchDone;
        };
        let Some(end) = batch.end().cloned() else {
            return self.batch_done();
        };
        batch.attempt += 1;
        let input = ProcessRecordsInput {
            shard: self.shard.clone(),
            records: batch.rest.clone(),
            checkpointer: Checkpointer::new(Arc::clone(&self.tenancy), end.clone()),
            millis_behind_latest: batch.batch.millis_behind_latest,
            is_at_shard_end: batch.batch.is_last,
            child_shards: batch.batch.children.clone(),
            attempt: batch.attempt,
            fetched_at: batch.batch.fetched_at,
            fetched: batch.batch.fetched,
            handed_out: now,
            background: self.background.clone(),
        };
        self.delivered.reach(&end);
        // There is no await between this check and the delivery.
        if !self.held.is_valid(self.clock.now()) {
            return self.lose();
        }
        let result = self
            .call(|processor| processor.process_records(input))
            .await;
        self.meters.processed_in(self.clock.now().since(now));
        self.quiet_since = self.clock.now();
        // A handler of single records has accepted the records and works on them beside the calls:
        // then a returned call does not mean that they are done.
        let taken_over = self.background.was_taken_over();
        if let (Some(taken), Ok(Ok(()))) = (&taken_over, &result) {
            return self.batch_taken_over(taken);
        }
        if let Some(taken) = &taken_over {
            // Something else failed: the accepted records are not delivered again.
            self.accepted(taken);
        }
        match result {
            Ok(Ok(())) => self.batch_done(),
            Ok(Err(failure)) => self.batch_failed(failure),
            Err(panic) => self.batch_failed(Failure::new(panic)),
        }
    }

    /// Everything of the batch is done, unless work on it goes on beside the calls. Dropping the
    /// batch returns its share of the byte budget.
    pub(super) fn batch_done(&mut self) -> Step {
        if self.background.has_begun() {
            return self.keep_batch();
        }
        if let Some(batch) = self.in_flight.take() {
            self.meters.lag.is_done(self.clock.now());
            self.meters
                .done(batch.batch.records.len(), batch.batch.bytes());
            let last = batch
                .batch
                .records
                .last()
                .map(|record| record.position.clone());
            self.inner.board.change(&self.row.key, |status| {
                (status.in_flight, status.failures) = (0, 0);
                status.records += batch.batch.records.len() as u64;
                status.position.clone_from(&last);
            });
            if let Some(last) = last {
                self.finished(last);
            }
        }
        Step::BatchDone
    }

    /// Notes that everything up to this position is done.
    ///
    /// In automatic mode this does not store anything yet: the writer stores the newest such
    /// position with its next write, so a slow table delays no batch. In manual mode the position
    /// is remembered only for the next feed and the last checkpointer.
    pub(super) fn finished(&mut self, position: Position) {
        if self.background.has_begun() {
            return self.keep_part(position);
        }
        if self.inner.parts.settings.checkpoints == Checkpoints::Automatic {
            self.held.finish(position.clone());
        }
        self.done = Some(position);
    }

    /// Decides what follows a failed call. What precedes the record that failed is done, and is
    /// never delivered again; the rest is delivered again, skipped or left, by the failure's own
    /// verdict or else by the policy. What the handler has stored itself counts as done too: a
    /// handler that checkpoints in the middle of a batch and then fails gets only the records after
    /// that checkpoint.
    ///
    /// A failure's own verdict comes from the adapters of single records, which know more than the
    /// policy: how long to pause, and whether the record that is named is the one to blame.
    fn batch_failed(&mut self, failure: Failure) -> Step {
        self.meters.failed.increment(1);
        if self.asks_to_start_over(&*failure.source) {
            self.call_failed(HandlerCall::ProcessRecords, failure.at, &*failure.source);
            return self.start_over();
        }
        let verdict = failure.verdict;
        let policy = verdict.map_or(self.inner.parts.settings.on_failure, |verdict| {
            verdict.policy
        });
        let named = failure
            .at
            .clone()
            .filter(|_| verdict.is_none_or(|verdict| verdict.names_record));
        // A checkpoint from before a replay does not show what this handler has done.
        let stored = if self.tenancy.replays() {
            Checkpoint::TrimHorizon
        } else {
            self.held.stored()
        };
        let Some(batch) = &mut self.in_flight else {
            return Step::BatchDone;
        };
        let before = batch.rest.len();
        let (next, done) = batch.fail(failure.at.as_ref(), &stored, policy);
        let skipped = policy == OnFailure::Skip && before > batch.rest.len() && done == failure.at;
        self.call_failed(HandlerCall::ProcessRecords, named, &*failure.source);
        if skipped || next != AfterFailure::Again {
            // A skipped record has not recovered.
            self.failed_call = None;
        }
        if let Some(at) = failure.at.clone().filter(|_| skipped) {
            self.meters.skipped(Discarded::AttemptsExhausted.as_str());
            self.inner
                .board
                .change(&self.row.key, |status| status.skipped += 1);
            self.inner.outlet.say(Event::RecordSkipped {
                shard: self.shard.clone(),
                at,
            });
        }
        if let Some(done) = done {
            self.finished(done);
        }
        self.see_undone();
        match next {
            AfterFailure::Again => {
                self.pause_for = verdict.map(|verdict| verdict.pause);
                Step::Failed
            }
            AfterFailure::Done => self.batch_done(),
            AfterFailure::Stop => {
                let (shard, Failure { at, source, .. }) = (self.shard.clone(), failure);
                self.stop_worker(RunError::Handler { shard, at, source })
            }
        }
    }
}
