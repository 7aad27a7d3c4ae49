//! What a shard consumer reports: the status, the lag, and events about failures.
//!
//! Nothing here decides anything. What is reported goes to three places, and none of them can block
//! or fail: the registry behind [`Worker::status`](crate::Worker::status), the gauges, and the
//! events, which are also logged.

use std::sync::Arc;

use crate::decide::consumer::Step;
use crate::decide::gap::DataGap;
use crate::decide::lag::age;
use crate::lease::with_causes;
use crate::model::{Position, StreamName};
use crate::worker::coordination::Unanswered;
use crate::worker::error::RunError;
use crate::worker::event::{Event, HandlerCall};
use crate::worker::settings::OnDataGap;
use crate::worker::status::{ShardError, ShardState};

use super::ShardConsumer;

impl ShardConsumer {
    /// Reports the current state of the work. It runs after every step, so the status is never
    /// older than the call that is running.
    pub(super) fn tell_state(&self) {
        let state = ShardState::new(self.machine.state(), self.handing_over);
        // A record that is processed in the background may fail while calls succeed.
        let failures = self.failures.max(self.background.failures());
        self.inner.board.change(&self.row.key, |status| {
            (status.state, status.failures) = (state, failures);
        });
    }

    /// Reports a failed call of the processor, counts it, and returns the step that leads to a
    /// pause. A batch counts its attempts itself, because `failures` also counts failed steps that
    /// have nothing to do with the handler.
    pub(super) fn call_failed(
        &mut self,
        call: HandlerCall,
        at: Option<Position>,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) -> Step {
        let attempt = match &self.in_flight {
            Some(batch) if call == HandlerCall::ProcessRecords => batch.attempt,
            _ => self.failures + 1,
        };
        let error: Arc<str> = Arc::from(with_causes(error));
        self.failed_at(&call.to_string(), at.clone(), &error);
        self.say_failed(call, attempt, at, error);
        self.failures = self.failures.saturating_add(1);
        self.failed_call = Some((call, attempt));
        Step::Failed
    }

    /// Reports a call that failed.
    pub(super) fn say_failed(
        &self,
        call: HandlerCall,
        attempt: u32,
        at: Option<Position>,
        error: Arc<str>,
    ) {
        self.inner.outlet.say(Event::HandlerFailed {
            shard: self.shard.clone(),
            call,
            attempt,
            at,
            error,
        });
    }

    /// Reports that a call that had failed has succeeded. With it an operator can tell a failure
    /// that is over from one that lasts. A record that was skipped has not recovered and is not
    /// reported here.
    pub(super) fn tell_recovered(&mut self) {
        if let Some((call, failures)) = self.failed_call.take() {
            self.inner.outlet.say(Event::HandlerRecovered {
                shard: self.shard.clone(),
                call,
                at: None,
                failures,
            });
        }
    }

    /// Reports a step that failed because a call to the lease table did. The step is repeated after
    /// a pause. The lease is not given up for it: if the table stays unreachable, the lease's own
    /// deadline decides.
    pub(super) fn step_failed(&mut self, what: &'static str, error: &str) -> Step {
        self.step_failed_with(what, None, error)
    }

    /// The same for a call that may be one to this stream.
    pub(super) fn step_failed_with(
        &mut self,
        what: &'static str,
        stream: Option<StreamName>,
        error: &str,
    ) -> Step {
        let error: Arc<str> = error.into();
        self.failed(what, &error);
        self.inner.outlet.say(Event::StepFailed {
            what,
            stream,
            error,
        });
        self.failures = self.failures.saturating_add(1);
        Step::Failed
    }

    /// Reports that the coordination could not answer, and will be asked again. If the stream
    /// failed, that counts as a failure to read this shard. The difference matters when the shard
    /// is judged: a stream that this worker does not reach is a reason to leave the shard to
    /// others, a slow lease table is none.
    pub(super) fn unanswered(&mut self, what: &'static str, unanswered: &Unanswered) -> Step {
        self.not_read(unanswered);
        let stream = unanswered.kind.map(|_| self.stream.name.clone());
        self.step_failed_with(what, stream, &unanswered.error)
    }

    /// The same, without reporting the failed step again.
    pub(super) fn not_read(&self, Unanswered { kind, error }: &Unanswered) {
        if let Some(kind) = kind {
            self.turns().failed_with(*kind, Arc::clone(error));
        }
    }

    /// Puts a failure of this shard into the status.
    pub(super) fn failed(&self, what: &str, error: &Arc<str>) {
        self.failed_at(what, None, error);
    }

    fn failed_at(&self, what: &str, record: Option<Position>, error: &Arc<str>) {
        let error = ShardError {
            what: what.into(),
            record,
            error: Arc::clone(error),
            at: self.clock.wall(),
        };
        self.inner
            .board
            .change(&self.row.key, |status| status.last_error = Some(error));
    }

    /// Sets the age of the oldest record that is not done: the first one left of the batch in
    /// flight. `oldest` is in the order of the shard, which is nearly that of arrival. While
    /// background work goes on, that work reports the age itself.
    pub(super) fn see_undone(&self) {
        let Some(batch) = &self.in_flight else { return };
        let Some(oldest) = batch.rest.first() else {
            return;
        };
        if !self.background.is_idle() {
            // An older record is still being processed.
            return;
        }
        let age = age(oldest.arrived_at, batch.batch.fetched_at);
        self.meters
            .lag
            .has_undone(self.clock.now(), age, batch.batch.fetched);
    }

    /// Reports records that expired before they were read. The settings say whether the worker goes
    /// on after them.
    pub(super) fn report_gap(&mut self, gap: DataGap) -> Option<Step> {
        self.meters.gaps.increment(1);
        self.inner.outlet.say(Event::DataGap {
            shard: self.shard.clone(),
            gap: gap.clone(),
        });
        match self.inner.parts.settings.on_data_gap {
            OnDataGap::Continue => None,
            OnDataGap::Fail => {
                let shard = self.shard.clone();
                Some(self.stop_worker(RunError::DataGap { shard, gap }))
            }
        }
    }

    /// Reports that everything fetched so far is done, and that there was no more. Once for each
    /// acquisition, so a program can wait for it. A shard that falls behind later shows in the lag.
    pub(super) fn caught_up(&mut self) {
        self.inner.board.can_read(&self.row.key);
        if !std::mem::replace(&mut self.told_caught_up, true) {
            self.inner.outlet.say(Event::CaughtUp {
                shard: self.shard.clone(),
            });
        }
    }
}
