//! What follows when a record fails.

use std::sync::Arc;

use crate::decide::backoff::Backoff;
use crate::decide::retries::{AfterAttempt, FailedAttempt, after_failure, pause_after};
use crate::handler::give_up::{GivenUp, give_up};
use crate::handler::retries::LastResort;
use crate::handler::rules::{ErrorSaid, FailureRules, too_old};
use crate::handler::{Discarded, Letter, RecordHandler};
use crate::runtime::{contained, jitter};

use super::WorkShared;
use super::state::{RecordJob, WorkPhase};

impl<H: RecordHandler> WorkShared<H> {
    /// A call of the handler has failed: the record is tried again after a pause, or given up.
    pub(super) async fn failed(self: &Arc<Self>, job: &RecordJob, attempt: u32, said: ErrorSaid) {
        let (error, is_permanent) = (said.text, said.is_permanent);
        job.background
            .tell_failed(&job.record().position, attempt, &error);
        let failed = FailedAttempt {
            number: attempt,
            is_permanent,
        };
        let rules = self.rules(job);
        match after_failure(rules.limits, rules.backoff, failed, jitter()) {
            // The lane of the record waits meanwhile, and others go on: its place among those at
            // work is free.
            AfterAttempt::Again(span) => self.pause(job, span, Some(error)),
            AfterAttempt::Discard(why) => {
                self.discard(job, &rules, (why, attempt), Some(error)).await;
            }
        }
    }

    /// The record is given up, after so many attempts.
    pub(super) async fn discard(
        self: &Arc<Self>,
        job: &RecordJob,
        rules: &FailureRules,
        (why, attempts): (Discarded, u32),
        error: Option<Arc<str>>,
    ) {
        if matches!(rules.last_resort, LastResort::Stop) {
            // Before the worker hears of it: no further record begins.
            self.state().phase = WorkPhase::Leaving;
        }
        let letter = Letter {
            shard: &job.batch.shard,
            record: job.record(),
            why,
            attempts,
            error: error.as_deref(),
        };
        // The record stays at work meanwhile, so the checkpoint does not pass it: if this is
        // dropped, the record comes again.
        match give_up(&rules.last_resort, &job.background, letter).await {
            GivenUp::Passed => self.done(job),
            GivenUp::NotTaken(cause) => self.try_again(job, rules.backoff, &cause),
            GivenUp::Left => self.set_down(&mut self.state(), job),
        }
    }

    /// Something around the handler has panicked: the record is tried again.
    pub(super) fn broken(self: &Arc<Self>, job: &RecordJob, cause: &str) {
        self.try_again(
            job,
            job.background.rules().retry,
            &format!("the work on the record panicked: {cause}"),
        );
    }

    /// Tries the record again although no call of the handler has failed: what failed was around
    /// it, so no attempt is counted. The pauses grow with the rounds instead, so that a target of
    /// dead letters that is down is not called without a pause.
    fn try_again(self: &Arc<Self>, job: &RecordJob, backoff: Backoff, error: &str) {
        // Who hears of it may have been what panicked.
        let _ = contained(|| {
            job.background
                .tell_failed(&job.record().position, job.round, &error.into());
        });
        // Without an error: what the handler said last stays for the letter.
        self.pause(job, pause_after(backoff, job.round, jitter()), None);
    }

    /// What follows a failure, by the word of the application, or else by the worker's.
    pub(super) fn rules(&self, job: &RecordJob) -> FailureRules {
        FailureRules::new(self.plan.retries.as_ref(), job.background.rules())
    }

    /// Whether the record is too old to be tried.
    pub(super) fn too_old(&self, job: &RecordJob) -> Option<Discarded> {
        // Only `Retries` have an age: the worker's own policy gives no record up for it.
        let limits = self.plan.retries.as_ref()?.limits;
        too_old(limits, job.record(), &**job.background.clock())
    }
}
