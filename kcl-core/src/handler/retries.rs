use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::backoff::Backoff;
use crate::decide::retries::RetryLimits;

use super::dead_letter::{DeadLetter, ErasedDeadLetter};

/// What follows when a record fails: how often it is tried, and what becomes of it then. For [`ByRecord::retries`](super::ByRecord::retries).
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
    pub(super) limits: RetryLimits,
    pub(super) backoff: Option<Backoff>,
    pub(super) last_resort: LastResort,
}

/// What becomes of a record that is tried no more.
#[derive(Clone)]
pub(super) enum LastResort {
    Stop,
    Skip,
    DeadLetter(Arc<dyn ErasedDeadLetter>),
}

impl Retries {
    /// A record has so many attempts, the first one included; at least one. What follows is [`stop`](Self::stop) unless something else is
    /// said.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        let limits = RetryLimits { attempts: Some(attempts.max(1)), max_age: None };
        Self { limits, backoff: None, last_resort: LastResort::Stop }
    }

    /// A record has any number of attempts. It makes sense with a [`max_age`](Self::max_age).
    #[must_use]
    pub fn unlimited() -> Self {
        Self { limits: RetryLimits::default(), backoff: None, last_resort: LastResort::Stop }
    }

    /// A record that came into the stream longer ago than this is tried no more, and not at all if it was that old when it came here. By the
    /// wall clock of this machine against the service's. Default: any age.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.limits.max_age = Some(age);
        self
    }

    /// The pause after the first failure of a record, at the most; it doubles up to `to`. Half of it at least, the rest is chance. Default:
    /// the worker's [`retry_pause`](crate::worker::Builder::retry_pause).
    #[must_use]
    pub const fn pause(mut self, from: Duration, to: Duration) -> Self {
        self.backoff = Some(Backoff::new(from, to));
        self
    }

    /// What is tried no more stops the worker: [`run`](crate::Worker::run) returns it as its cause.
    #[must_use]
    pub fn stop(mut self) -> Self {
        self.last_resort = LastResort::Stop;
        self
    }

    /// What is tried no more is passed, and told by [`Event::RecordSkipped`](crate::worker::Event::RecordSkipped).
    #[must_use]
    pub fn skip(mut self) -> Self {
        self.last_resort = LastResort::Skip;
        self
    }

    /// What is tried no more is delivered here, and passed when it was taken: told by
    /// [`Event::DeadLettered`](crate::worker::Event::DeadLettered).
    #[must_use]
    pub fn dead_letter(mut self, to: impl DeadLetter) -> Self {
        self.last_resort = LastResort::DeadLetter(Arc::new(to));
        self
    }
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries").field("limits", &self.limits).field("last_resort", &self.last_resort).finish_non_exhaustive()
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
