//! Batches whose records are still being processed after the call in which they were delivered, and
//! what waits for them.
//!
//! A processor of single records returns from `process_records` as soon as it has accepted the
//! records, and works on them in tasks of its own. Then two positions of a shard differ:
//!
//! ```text
//!   checkpoint          finished prefix                  accepted
//!   ----|--------------------|--------------------------------|-------->  records of the shard
//!       | stored             | may be stored                  | `done`: delivered, not to be
//!       |                    | (Background::finished)         | delivered again by this feed
//! ```
//!
//! So the end of the shard, the end of a bounded run and [`Event::CaughtUp`] wait until no work is
//! left.

use std::sync::Arc;

use crate::decide::consumer::Step;
use crate::decide::lag::age;
use crate::meters::ShardMeters;
use crate::model::Position;
use crate::processor::{
    AcceptedBatch, Background, Failure, ShardRef, TakenOver, WorkEvent, WorkRules, WorkStopped,
};
use crate::stop::WorkerStop;
use crate::tenancy::held::Held;
use crate::worker::error::RunError;
use crate::worker::event::{Event, HandlerCall};
use crate::worker::status::ShardError;
use crate::worker::worker::WorkerInner;

use super::{GiveUp, ShardConsumer};

/// What follows when all the work is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum AfterWork {
    /// The shard has ended.
    ///
    /// `shard_ended` must not be called before: it tells the application that it has processed
    /// everything.
    End,
    /// It was read up to the bound.
    ///
    /// The report of a bounded run says what is stored, so the last positions have to be stored
    /// first.
    Bound,
}

/// The background work of a shard, with what is reported about it: events, the status, metrics.
///
/// Work reports from tasks of the application, at any time and also after the consumer has ended.
/// The registry ignores reports about a shard that it does not know any more, so none can bring an
/// entry back.
pub(super) fn of_shard(
    inner: &Arc<WorkerInner>,
    shard: &ShardRef,
    held: &Arc<Held>,
    meters: &ShardMeters,
    stop: &WorkerStop,
) -> Background {
    let settings = &inner.parts.settings;
    let rules = WorkRules {
        on_failure: settings.on_failure,
        retry: settings.retry(),
        drain_limit: settings.drain_limit,
    };
    let clock = Arc::clone(&inner.parts.clock);
    // Weak, because a processor may keep its input for longer than the worker exists.
    let (worker, shard, meters) = (Arc::downgrade(inner), shard.clone(), meters.clone());
    let listener = move |told: WorkEvent<'_>| {
        let Some(heard) = worker.upgrade() else {
            return;
        };
        match told {
            WorkEvent::Failed {
                at,
                attempt,
                error,
                failures,
            } => {
                meters.failed.increment(1);
                let call = HandlerCall::Handler;
                let last = ShardError {
                    what: call.to_string().into(),
                    record: Some(at.clone()),
                    error: Arc::clone(error),
                    at: heard.parts.clock.wall(),
                };
                heard.board.change(&shard.lease, |status| {
                    (status.last_error, status.failures) = (Some(last), failures);
                });
                let (at, error) = (Some(at.clone()), Arc::clone(error));
                heard.outlet.say(Event::HandlerFailed {
                    shard: shard.clone(),
                    call,
                    attempt,
                    at,
                    error,
                });
            }
            WorkEvent::FailsNoMore { failures } => heard
                .board
                .change(&shard.lease, |status| status.failures = failures),
            WorkEvent::Recovered { at, failures } => {
                heard.outlet.say(Event::HandlerRecovered {
                    shard: shard.clone(),
                    call: HandlerCall::Handler,
                    at: Some(at.clone()),
                    failures,
                });
            }
            WorkEvent::Retried => {
                meters.handler_retries.increment(1);
                heard
                    .board
                    .change(&shard.lease, |status| status.retries += 1);
            }
            WorkEvent::Flushes { cause } => meters.flushes(cause),
            WorkEvent::LetterRefused { at, error } => {
                meters.letters_refused.increment(1);
                heard.outlet.say(Event::DeadLetterRefused {
                    shard: shard.clone(),
                    at: at.clone(),
                    error: Arc::clone(error),
                });
            }
            WorkEvent::Skipped { at, why } => {
                meters.skipped(why.as_str());
                heard
                    .board
                    .change(&shard.lease, |status| status.skipped += 1);
                heard.outlet.say(Event::RecordSkipped {
                    shard: shard.clone(),
                    at: at.clone(),
                });
            }
            WorkEvent::DeadLettered { at, attempts, why } => {
                meters.dead_lettered(why.as_str());
                heard
                    .board
                    .change(&shard.lease, |status| status.dead_letters += 1);
                heard.outlet.say(Event::DeadLettered {
                    shard: shard.clone(),
                    at: at.clone(),
                    attempts,
                });
            }
            WorkEvent::Done { batch, oldest } => {
                let now = heard.parts.clock.now();
                match oldest {
                    Some(oldest) => meters.lag.has_undone(
                        now,
                        age(oldest.arrived_at, oldest.fetched_at),
                        oldest.fetched,
                    ),
                    None => meters.lag.is_done(now),
                }
                meters.done(batch.records, batch.bytes);
                heard.board.change(&shard.lease, |status| {
                    status.in_flight = status.in_flight.saturating_sub(batch.records);
                    status.records += batch.records as u64;
                    status.position = Some(batch.last.clone());
                });
            }
        }
    };
    Background::new(
        Arc::clone(held),
        clock,
        rules,
        stop.clone(),
        Box::new(listener),
    )
}

impl ShardConsumer {
    /// Notes how much of the batch in flight was accepted, and is processed from now on.
    ///
    /// `done` moves with it: if the feed is opened again, it must not deliver a second time what is
    /// being processed. A checkpoint does not follow `done` here, but the finished prefix.
    pub(super) fn accepted(&mut self, taken: &TakenOver) {
        if let (Some(batch), Some(up_to)) = (&mut self.in_flight, &taken.up_to) {
            batch.rest = batch.rest.after(up_to);
            self.done = Some(up_to.clone());
        }
    }

    /// Notes how much of the batch in flight was accepted. The rest is delivered next. A part only
    /// is the usual result of a stop: the adapter accepts nothing more once it is asked to leave.
    /// The attempt is not counted, because the rest was not refused.
    pub(super) fn batch_taken_over(&mut self, taken: &TakenOver) -> Step {
        self.accepted(taken);
        if taken.whole {
            return self.batch_done();
        }
        if let Some(batch) = &mut self.in_flight {
            // The shard has to be given up, or there is another reason to stop waiting: the next
            // iteration of the loop sees which.
            batch.attempt = batch.attempt.saturating_sub(1);
        }
        Step::WokenForNothing
    }

    /// Keeps the batch in flight, which has been delivered completely. It is done when everything
    /// accepted so far is done. The batch takes its permit with it, so the byte budget counts
    /// records in progress as well.
    pub(super) fn keep_batch(&mut self) -> Step {
        if let Some(in_flight) = self.in_flight.take() {
            let batch = in_flight.batch;
            if let Some(last) = batch.records.last().map(|record| record.position.clone()) {
                self.done = Some(last.clone());
                self.background.keep(AcceptedBatch {
                    last,
                    records: batch.records.len(),
                    bytes: batch.bytes(),
                    arrived_at: batch.records.first().and_then(|record| record.arrived_at),
                    fetched: batch.fetched,
                    fetched_at: batch.fetched_at,
                    memory: batch,
                });
            }
        }
        Step::BatchDone
    }

    /// Notes that the call itself has processed the batch in flight up to this position, which
    /// counts when everything accepted before is done. It is kept with no records and no memory:
    /// both belong to the batch in flight, which is kept when its rest is done, and would be
    /// counted twice.
    pub(super) fn keep_part(&mut self, last: Position) {
        let Some(in_flight) = &self.in_flight else {
            return;
        };
        let (fetched, fetched_at) = (in_flight.batch.fetched, in_flight.batch.fetched_at);
        self.done = Some(last.clone());
        let (records, bytes, arrived_at, memory) = (0, 0, None, Box::new(()));
        self.background.keep(AcceptedBatch {
            last,
            records,
            bytes,
            arrived_at,
            fetched,
            fetched_at,
            memory,
        });
    }

    /// Delays the step that follows the end of the shard while its records are still being
    /// processed.
    pub(super) fn end_after_work(&mut self, step: Option<Step>) -> Option<Step> {
        if step == Some(Step::EndReached) && !self.background.is_idle() {
            self.after_work = Some(AfterWork::End);
            return None;
        }
        step
    }

    /// Waits for the work after which another step follows. Returns `None` if there is no such
    /// step, or it follows now. The adapter is told that no more records come
    /// ([`Background::end_work`]), so a buffer flushes at once instead of waiting until it is full.
    pub(super) async fn await_work(&mut self) -> Option<Step> {
        let after = self.after_work?;
        if !self.background.is_idle() {
            self.background.end_work();
            let (background, turns) = (self.background.clone(), self.turns());
            tokio::select! {
                biased;
                () = self.signalled() => return Some(self.signal_or_wait()),
                () = background.stopped() => return Some(self.work_stopped()),
                () = turns.while_waiting(background.idle()) => {}
            }
        }
        self.after_work = None;
        Some(match after {
            AfterWork::End => Step::EndReached,
            AfterWork::Bound => self.stop_with(GiveUp::Read),
        })
    }

    /// The step if the work on the records cannot continue. Without a cause, or with an expired
    /// lease, the lease is treated as lost: nothing more may be delivered, and the next owner
    /// starts from the stored checkpoint.
    pub(super) fn work_stopped(&mut self) -> Step {
        match self.background.take_stopped() {
            Some(WorkStopped::Failed(Failure { at, source, .. })) => {
                let shard = self.shard.clone();
                self.stop_worker(RunError::Handler { shard, at, source })
            }
            Some(WorkStopped::Expired) | None => self.lose(),
        }
    }

    /// Notes that every record that the shard had was delivered: it has caught up when all of those
    /// are done, whatever has arrived since. Records that arrive later do not move the mark.
    /// Otherwise a busy shard would never be reported as caught up.
    pub(super) fn tip_read(&mut self) {
        if self.background.is_idle() {
            self.tip = None;
            self.caught_up();
        } else if self.tip.is_none() {
            self.tip.clone_from(&self.done);
        }
    }
}
