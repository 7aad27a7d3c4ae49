use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::BoxError;
use crate::decide::backoff::Backoff;
use crate::decide::retries::RetryLimits;

use super::dead_letter::{DeadLetter, ErasedDeadLetter};

/// The bounds of a pause, as of the worker's own.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// What follows when a record fails: how often it is tried, and what becomes of it then. For
/// [`ByRecord::retries`](super::ByRecord::retries).
///
/// ```no_run
/// use std::time::Duration;
///
/// use kcl_core::handler::{JsonLines, Retries};
///
/// # fn main() -> std::io::Result<()> {
/// // Five attempts, with pauses that double from 100 ms to 10 s; then the record is kept in a file, and its key goes on.
/// let retries = Retries::attempts(5)
///     .pause(Duration::from_millis(100), Duration::from_secs(10))
///     .dead_letter(JsonLines::append("orders.dead.jsonl")?);
/// # drop(retries);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Retries {
    /// Attempts and age.
    pub(super) limits: RetryLimits,
    /// The pauses; the worker's own if there are none here.
    pub(super) backoff: Option<Backoff>,
    /// What becomes of a record that is given up.
    pub(super) last_resort: LastResort,
    /// How long an attempt may take.
    pub(super) attempt_limit: Option<Duration>,
}

/// What becomes of a record that is given up.
#[derive(Clone)]
pub(super) enum LastResort {
    /// The worker ends with the record as its cause.
    Stop,
    /// The checkpoint passes it.
    Skip,
    /// It is delivered, and the checkpoint passes it when it was taken.
    DeadLetter(Arc<dyn ErasedDeadLetter>),
}

impl Retries {
    /// A record has so many attempts, the first one included; at least one. One that fails
    /// [for good](super::Permanent), such as a record that cannot be decoded, has no further one.
    /// What follows is [`stop`](Self::stop) unless something else is said.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        let limits = RetryLimits {
            attempts: Some(attempts.max(1)),
            max_age: None,
            gives_up_permanent: true,
        };
        Self {
            limits,
            backoff: None,
            last_resort: LastResort::Stop,
            attempt_limit: None,
        }
    }

    /// A record has any number of attempts. It makes sense with a [`max_age`](Self::max_age).
    #[must_use]
    pub fn unlimited() -> Self {
        let limits = RetryLimits {
            gives_up_permanent: true,
            ..RetryLimits::default()
        };
        Self {
            limits,
            backoff: None,
            last_resort: LastResort::Stop,
            attempt_limit: None,
        }
    }

    /// A record older than this is not tried, or not tried again. The age counts from its arrival
    /// in the stream, by the wall clock of this machine against the service's. Default: any age.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.limits.max_age = Some(age);
        self
    }

    /// An attempt that takes longer than this has failed: its future is dropped. Give it more than
    /// the slowest attempt that may still succeed, and less than the worker's
    /// [`handler_budget`](crate::worker::Settings::handler_budget), after which the lease is given
    /// up instead. At least 1 ms. Default: no limit.
    #[must_use]
    pub const fn attempt_limit(mut self, limit: Duration) -> Self {
        self.attempt_limit = Some(limit);
        self
    }

    /// `from` is the longest pause after the first failure; it doubles up to `to`. Each pause is
    /// drawn between half of that and all of it. From 1 ms to 1 h, and `to` no less than `from`:
    /// [`build`](crate::worker::Builder::build) refuses others. Default: the worker's
    /// [`retry_pause`](crate::worker::Builder::retry_pause).
    #[must_use]
    pub const fn pause(mut self, from: Duration, to: Duration) -> Self {
        self.backoff = Some(Backoff::new(from, to));
        self
    }

    /// A record that is given up stops the worker: [`run`](crate::Worker::run) returns it as its
    /// cause.
    #[must_use]
    pub fn stop(mut self) -> Self {
        self.last_resort = LastResort::Stop;
        self
    }

    /// A record that is given up is passed, and told by
    /// [`Event::RecordSkipped`](crate::worker::Event::RecordSkipped).
    #[must_use]
    pub fn skip(mut self) -> Self {
        self.last_resort = LastResort::Skip;
        self
    }

    /// A record that is given up is delivered here, and passed when it was taken: told by
    /// [`Event::DeadLettered`](crate::worker::Event::DeadLettered).
    #[must_use]
    pub fn dead_letter(mut self, to: impl DeadLetter) -> Self {
        self.last_resort = LastResort::DeadLetter(Arc::new(to));
        self
    }
}

impl Retries {
    /// As the builder checks the times of the worker.
    pub(super) fn check(&self) -> Result<(), BoxError> {
        if let Some(limit) = self.attempt_limit.filter(|limit| *limit < SHORTEST) {
            return Err(format!(
                "`Retries::attempt_limit` of {limit:?} (at least {SHORTEST:?} is allowed)"
            )
            .into());
        }
        let Some((from, to)) = self.backoff.map(|backoff| backoff.bounds()) else {
            return Ok(());
        };
        if from >= SHORTEST && from <= to && to <= LONGEST {
            return Ok(());
        }
        Err(format!(
            "`Retries::pause` from {from:?} to {to:?} ({SHORTEST:?} to {LONGEST:?} are \
            allowed, the longer one last)"
        )
        .into())
    }
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries")
            .field("limits", &self.limits)
            .field("last_resort", &self.last_resort)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LastResort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "Stop",
            Self::Skip => "Skip",
            Self::DeadLetter(_) => "DeadLetter",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_that_the_builder_would_refuse_are_refused() {
        let check = |from, to| {
            Retries::unlimited()
                .pause(Duration::from_millis(from), Duration::from_millis(to))
                .check()
        };
        assert!(
            check(1, 1).is_ok()
                && check(100, 3_600_000).is_ok()
                && Retries::attempts(1).check().is_ok()
        );
        assert!(check(5, 4).is_err() && check(1, 3_600_001).is_err());
        let said = check(0, 0).unwrap_err().to_string();
        assert_eq!(
            said,
            "`Retries::pause` from 0ns to 0ns (1ms to 3600s are allowed, the longer one last)"
        );
    }
}
