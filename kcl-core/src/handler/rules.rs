use std::error::Error;
use std::future::Future;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::BoxError;
use crate::decide::backoff::Backoff;
use crate::decide::lag::age;
use crate::decide::retries::{RetryLimits, before_attempt, pause_after};
use crate::lease::with_causes;
use crate::model::{Record, Timestamp};
use crate::processor::{OnFailure, WorkRules};
use crate::runtime::{Clock, contained, drop_contained, jitter, panic_text, within};

use super::retries::LastResort;
use super::{Discarded, Permanent, Retries};

/// What follows when the work on a record fails, or on several that were given to a handler together.
pub(super) struct FailureRules {
    /// How many attempts a record has, and until which age.
    pub(super) limits: RetryLimits,
    /// The pauses between attempts.
    pub(super) backoff: Backoff,
    /// What becomes of a record without attempts left.
    pub(super) last_resort: LastResort,
    /// How long an attempt may take; the handler's future is dropped then.
    pub(super) attempt_limit: Option<Duration>,
    /// Whether what failed is taken apart until the record that fails is alone.
    pub(super) bisects: bool,
}

impl FailureRules {
    /// By the word of the application, or else by the worker's. The two are not mixed: an
    /// application that gives `Retries` decides all of it, and may leave only the pauses to the
    /// worker.
    pub(super) fn new(retries: Option<&Retries>, worker: WorkRules) -> Self {
        if let Some(retries) = retries {
            return Self {
                limits: retries.limits,
                backoff: retries.backoff.unwrap_or(worker.retry),
                last_resort: retries.last_resort.clone(),
                attempt_limit: retries.attempt_limit,
                bisects: true,
            };
        }
        let (attempts, last_resort) = match worker.on_failure {
            OnFailure::Retry => (None, LastResort::Stop),
            OnFailure::Stop => (Some(1), LastResort::Stop),
            OnFailure::Skip => (Some(1), LastResort::Skip),
        };
        Self {
            limits: RetryLimits {
                attempts,
                max_age: None,
                gives_up_permanent: false,
            },
            backoff: worker.retry,
            last_resort,
            attempt_limit: None,
            // The first failure stops the worker, whatever has failed.
            bisects: worker.on_failure != OnFailure::Stop,
        }
    }

    /// The pause after so many failures in a row.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        pause_after(self.backoff, failures, jitter())
    }
}

/// Whether a record is too old to be tried.
pub(super) fn too_old(
    limits: RetryLimits,
    record: &Record,
    clock: &dyn Clock,
) -> Option<Discarded> {
    limits.max_age?;
    too_old_at(limits, record, clock.wall())
}

/// Which of these records is the first that is too old to be tried.
pub(super) fn first_too_old(
    limits: RetryLimits,
    records: &[Record],
    span: &Range<usize>,
    clock: &dyn Clock,
) -> Option<usize> {
    limits.max_age?;
    // Once for all of them, so that the judgement is of one moment.
    let wall = clock.wall();
    span.clone()
        .find(|index| too_old_at(limits, &records[*index], wall).is_some())
}

/// By the wall clock, as arrival times are the service's. A record without one is never too old.
fn too_old_at(limits: RetryLimits, record: &Record, wall: Timestamp) -> Option<Discarded> {
    let age = record.arrived_at.map(|arrived| age(Some(arrived), wall));
    before_attempt(limits, age)
}

/// What is known of an error of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorSaid {
    /// What it says, with its causes.
    pub(super) text: Arc<str>,
    /// Whether no retry can cure it, as it or one of its causes is [`Permanent`].
    pub(super) is_permanent: bool,
}

impl ErrorSaid {
    /// The error itself ends here: what an application has made may panic when it is asked, and when
    /// it is dropped.
    pub(super) fn of(error: BoxError) -> Self {
        let is_permanent = contained(|| is_permanent(&*error)).unwrap_or(false);
        let text = text_of(error);
        Self { text, is_permanent }
    }
}

impl From<Arc<str>> for ErrorSaid {
    /// Of something else than an error of the application: a retry may cure it.
    fn from(text: Arc<str>) -> Self {
        let is_permanent = false;
        Self { text, is_permanent }
    }
}

/// Whether the error, or one beneath it, was marked by the application as one that no retry cures.
/// Beneath, because handlers wrap what their decoders return.
fn is_permanent(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    // No more of them: a chain without an end would be followed for ever.
    for _ in 0..100 {
        match cause {
            Some(error) if error.is::<Permanent>() => return true,
            Some(error) => cause = error.source(),
            None => return false,
        }
    }
    false
}

/// What an error says, with its causes. It ends here, as in [`ErrorSaid::of`].
pub(super) fn text_of(error: BoxError) -> Arc<str> {
    let said = contained(|| with_causes(&*error));
    drop_contained(error);
    match said {
        Ok(text) => text.into(),
        Err(panic) => format!("an error whose text cannot be made, as it panics: {panic}").into(),
    }
}

/// What a call of the application has returned, or what is said of one that panicked, or that took
/// longer than an attempt may: it is then dropped.
pub(super) async fn call_within<T>(
    limit: Option<Duration>,
    clock: &dyn Clock,
    call: impl Future<Output = T>,
) -> Result<T, Arc<str>> {
    // What the handler has left half changed by a panic is its own, and it knows: it is called
    // again, as after an error.
    let call = AssertUnwindSafe(call).catch_unwind();
    let returned = match limit {
        None => call.await,
        Some(limit) => match within(clock, limit, call).await {
            Some(returned) => returned,
            None => {
                return Err(format!(
                    "it took longer than the {limit:?} that an attempt may take, and was ended"
                )
                .into());
            }
        },
    };
    returned.map_err(|panic| format!("panicked: {}", panic_text(panic)).into())
}
