//! What follows when a record fails.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::BoxError;
use crate::decide::backoff::Backoff;
use crate::decide::lag::age;
use crate::decide::retries::{AfterAttempt, RetryLimits, after_failure, before_attempt};
use crate::handler::retries::LastResort;
use crate::handler::{Discarded, Letter, RecordHandler};
use crate::lease::with_causes;
use crate::processor::{Failure, OnFailure};
use crate::runtime::{contained, drop_contained, jitter, panic_text};

use super::WorkShared;
use super::state::{RecordJob, WorkPhase};

/// What follows when a record fails.
pub(super) struct RecordRules {
    limits: RetryLimits,
    backoff: Backoff,
    last_resort: LastResort,
}

impl<H: RecordHandler> WorkShared<H> {
    pub(super) async fn failed(self: &Arc<Self>, job: &RecordJob, attempt: u32, error: Arc<str>) {
        job.background
            .tell_failed(&job.record().position, attempt, &error);
        let rules = self.rules(job);
        match after_failure(rules.limits, rules.backoff, attempt, jitter()) {
            AfterAttempt::Again(span) => self.pause(job, span, Some(error)),
            AfterAttempt::Discard(why) => self.discard(job, &rules, (why, attempt), error).await,
        }
    }

    /// The record is given up, after so many attempts.
    pub(super) async fn discard(
        self: &Arc<Self>,
        job: &RecordJob,
        rules: &RecordRules,
        (why, attempts): (Discarded, u32),
        error: Arc<str>,
    ) {
        let (record, background) = (job.record(), &job.background);
        match &rules.last_resort {
            LastResort::Stop => {
                let mut state = self.state();
                state.phase = WorkPhase::Leaving;
                self.set_down(&mut state, job);
                background.fail(Failure::at(record, &*error));
            }
            LastResort::Skip => {
                background.tell_skipped(&record.position);
                self.done(job);
            }
            LastResort::DeadLetter(to) => {
                // The work may have gone on beyond the time of the lease. With no await before the
                // delivery.
                if background.may_begin().is_none() {
                    return self.set_down(&mut self.state(), job);
                }
                let error = (attempts > 0).then_some(&*error);
                let letter = Letter {
                    shard: &job.batch.shard,
                    record,
                    why,
                    attempts,
                    error,
                };
                // Passed only when it was taken.
                match AssertUnwindSafe(to.deliver(letter)).catch_unwind().await {
                    Ok(Ok(())) => {
                        background.tell_dead_lettered(&record.position, attempts);
                        self.done(job);
                    }
                    Ok(Err(refused)) => self.refused(job, rules, &text_of(refused)),
                    Err(panic) => self.refused(job, rules, &panic_text(panic)),
                }
            }
        }
    }

    /// The dead letter was not taken: the record is tried again.
    fn refused(self: &Arc<Self>, job: &RecordJob, rules: &RecordRules, cause: &str) {
        self.try_again(
            job,
            rules.backoff,
            &format!("the dead letter was not taken: {cause}"),
        );
    }

    /// Something around the handler has panicked: the record is tried again.
    pub(super) fn broken(self: &Arc<Self>, job: &RecordJob, cause: &str) {
        self.try_again(
            job,
            job.background.rules().retry,
            &format!("the work on the record panicked: {cause}"),
        );
    }

    fn try_again(self: &Arc<Self>, job: &RecordJob, backoff: Backoff, error: &str) {
        // Who hears of it may have been what panicked.
        let _ = contained(|| {
            job.background
                .tell_failed(&job.record().position, job.round, &error.into());
        });
        if let AfterAttempt::Again(span) =
            after_failure(RetryLimits::default(), backoff, job.round, jitter())
        {
            self.pause(job, span, None);
        }
    }

    /// What follows a failure, by the word of the application, or else by the worker's.
    pub(super) fn rules(&self, job: &RecordJob) -> RecordRules {
        let worker = job.background.rules();
        if let Some(retries) = &self.plan.retries {
            let backoff = retries.backoff.unwrap_or(worker.retry);
            return RecordRules {
                limits: retries.limits,
                backoff,
                last_resort: retries.last_resort.clone(),
            };
        }
        let (attempts, last_resort) = match worker.on_failure {
            OnFailure::Retry => (None, LastResort::Stop),
            OnFailure::Stop => (Some(1), LastResort::Stop),
            OnFailure::Skip => (Some(1), LastResort::Skip),
        };
        RecordRules {
            limits: RetryLimits {
                attempts,
                max_age: None,
            },
            backoff: worker.retry,
            last_resort,
        }
    }

    /// Whether the record is too old to be tried.
    pub(super) fn too_old(&self, job: &RecordJob) -> Option<Discarded> {
        let limits = self.plan.retries.as_ref()?.limits;
        limits.max_age?;
        let wall = job.background.clock().wall();
        before_attempt(
            limits,
            job.record()
                .arrived_at
                .map(|arrived| age(Some(arrived), wall)),
        )
    }
}

/// What an error says, with its causes. The error itself ends here: what an application has made
/// may panic when it is asked, and when it is dropped.
pub(super) fn text_of(error: BoxError) -> Arc<str> {
    let said = contained(|| with_causes(&*error));
    drop_contained(error);
    match said {
        Ok(text) => text.into(),
        Err(panic) => format!("an error whose text cannot be made, as it panics: {panic}").into(),
    }
}
