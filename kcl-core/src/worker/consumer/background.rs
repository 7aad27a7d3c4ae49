//! Batches whose records are at work after the call that they were handed out in, and what waits
//! for them.

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
    End,
    /// It was read up to the bound of the reading.
    Bound,
}

/// The background of a shard, with what is told of it: events, the status, the figures.
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
    // A processor may keep what it was given for longer than the worker lives.
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
                let call = HandlerCall::ProcessRecords;
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
                    call: HandlerCall::ProcessRecords,
                    at: Some(at.clone()),
                    failures,
                });
            }
            WorkEvent::Skipped { at } => heard.outlet.say(Event::RecordSkipped {
                shard: shard.clone(),
                at: at.clone(),
            }),
            WorkEvent::DeadLettered { at, attempts } => {
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
    /// This much of the batch in hand was accepted, and is worked on from now on.
    pub(super) fn accepted(&mut self, taken: &TakenOver) {
        if let (Some(batch), Some(up_to)) = (&mut self.in_hand, &taken.up_to) {
            batch.rest = batch.rest.after(up_to);
            self.done = Some(up_to.clone());
        }
    }

    /// This much of the batch in hand was accepted. What was not is handed out next.
    pub(super) fn batch_taken_over(&mut self, taken: &TakenOver) -> Step {
        self.accepted(taken);
        if taken.whole {
            return self.batch_done();
        }
        if let Some(batch) = &mut self.in_hand {
            // It is to be given up, or waits no longer for another reason: the next turn of the
            // loop sees which.
            batch.attempt = batch.attempt.saturating_sub(1);
        }
        Step::WokenForNothing
    }

    /// Nothing of the batch in hand is left to hand out. It is done when all is that was accepted
    /// so far.
    pub(super) fn keep_batch(&mut self) -> Step {
        if let Some(in_hand) = self.in_hand.take() {
            let batch = in_hand.batch;
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

    /// The call itself has done the batch in hand up to here: that counts when all is done that was
    /// accepted before.
    pub(super) fn keep_part(&mut self, last: Position) {
        let Some(in_hand) = &self.in_hand else { return };
        let (fetched, fetched_at) = (in_hand.batch.fetched, in_hand.batch.fetched_at);
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

    /// What follows the end of the shard, which has been found: while its records are at work,
    /// nothing yet.
    pub(super) fn end_after_work(&mut self, step: Option<Step>) -> Option<Step> {
        if step == Some(Step::EndReached) && !self.background.is_idle() {
            self.after_work = Some(AfterWork::End);
            return None;
        }
        step
    }

    /// Waits for the work that something else has to follow. Nothing when nothing has to, or it
    /// does now.
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

    /// The work on the records cannot go on.
    pub(super) fn work_stopped(&mut self) -> Step {
        match self.background.take_stopped() {
            Some(WorkStopped::Failed(Failure { at, source })) => {
                let shard = self.shard.clone();
                self.stop_worker(RunError::Handler { shard, at, source })
            }
            Some(WorkStopped::Expired) | None => self.lose(),
        }
    }

    /// Everything that the shard had was handed out: it has caught up when all of that is done,
    /// whatever has come since.
    pub(super) fn tip_read(&mut self) {
        if self.background.is_idle() {
            self.tip = None;
            self.caught_up();
        } else if self.tip.is_none() {
            self.tip.clone_from(&self.done);
        }
    }
}
