//! What follows when the work on a record fails, and when a record is too old to be processed.

use std::time::Duration;

use super::backoff::Backoff;

/// How often a record is tried, and how old it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryLimits {
    /// How many attempts a record has, or `None` for any number. Of one tenancy: the next owner of
    /// the shard begins to count anew.
    pub attempts: Option<u32>,
    /// How old a record may be when an attempt begins, or `None` for any age. Counted from its
    /// arrival in the stream.
    pub max_age: Option<Duration>,
    /// Whether a record whose failure is permanent is given up at its first attempt. Not where a
    /// record is tried for ever because nothing says what else could become of it.
    pub gives_up_permanent: bool,
}

impl RetryLimits {
    /// How many attempts a record has after a failure of this kind.
    #[must_use]
    pub const fn attempts_after(self, is_permanent: bool) -> Option<u32> {
        if is_permanent && self.gives_up_permanent {
            return Some(1);
        }
        self.attempts
    }

    /// Why a record is given up that has no attempts left after a failure of this kind.
    #[must_use]
    pub const fn why(self, is_permanent: bool) -> Discarded {
        if is_permanent && self.gives_up_permanent {
            return Discarded::Permanent;
        }
        Discarded::AttemptsExhausted
    }
}

/// Why a record is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Discarded {
    /// It failed on its last allowed attempt.
    AttemptsExhausted,
    /// It was too old, before its first attempt or before a retry.
    TooOld,
    /// It failed in a way that no retry can cure: it could not be decoded, or its handler said so.
    Permanent,
}

impl Discarded {
    /// The same as a word, for metrics and dead letters: `attempts_exhausted`, `too_old` or
    /// `permanent`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::TooOld => "too_old",
            Self::Permanent => "permanent",
        }
    }
}

/// A failed attempt at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Counted from 1.
    pub number: u32,
    /// Whether no retry can cure it.
    pub is_permanent: bool,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAttempt {
    /// It is tried again after this pause.
    Again(Duration),
    /// It is given up.
    Discard(Discarded),
}

/// What follows when an attempt has failed: it is given up, or tried again after [`pause_after`].
/// `jitter` is drawn uniformly from 0 to 1.
#[must_use]
pub fn after_failure(
    limits: RetryLimits,
    backoff: Backoff,
    attempt: FailedAttempt,
    jitter: f64,
) -> AfterAttempt {
    let most = limits.attempts_after(attempt.is_permanent);
    if most.is_some_and(|most| attempt.number >= most) {
        return AfterAttempt::Discard(limits.why(attempt.is_permanent));
    }
    AfterAttempt::Again(pause_after(backoff, attempt.number, jitter))
}

/// The pause after so many failures in a row, where something is tried again whatever happens. At
/// least half of the longest one, and 1 ms, so that a handler that fails immediately does not spin.
#[must_use]
pub fn pause_after(backoff: Backoff, failures: u32, jitter: f64) -> Duration {
    backoff
        .at_least_half(failures.saturating_sub(1), jitter)
        .max(Duration::from_millis(1))
}

/// Why a record of this age must not be processed, or `None` if it may be. A record of unknown age
/// may be.
#[must_use]
pub fn before_attempt(limits: RetryLimits, age: Option<Duration>) -> Option<Discarded> {
    let is_too_old = limits
        .max_age
        .zip(age)
        .is_some_and(|(most, age)| age > most);
    is_too_old.then_some(Discarded::TooOld)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::cases::{run, setting};

    fn span(text: &str) -> Option<Duration> {
        let (number, unit) = text.split_at(text.find(|digit: char| !digit.is_ascii_digit())?);
        let number = number.parse().ok()?;
        Some(match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            _ => Duration::from_secs(number * 3600),
        })
    }

    #[test]
    fn text_cases_of_retries() {
        run("retries.txt", |given| {
            let mut words = given[0].split_whitespace().map(|word| setting(word).1);
            let mut next = || words.next().expect("attempts, max-age, from, to");
            let limits = RetryLimits {
                attempts: next().parse().ok(),
                max_age: span(next()),
                gives_up_permanent: !given[0].ends_with("keeps-permanent"),
            };
            let backoff = Backoff::new(span(next()).unwrap(), span(next()).unwrap());
            let step = |line: &&str| match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["attempt", attempt, "fails", ref how @ ..] => {
                    let attempt = FailedAttempt {
                        number: attempt.parse().unwrap(),
                        is_permanent: how == ["for-good"],
                    };
                    match after_failure(limits, backoff, attempt, 1.0) {
                        AfterAttempt::Again(pause) => format!("again, {pause:?} later at the most"),
                        AfterAttempt::Discard(why) => format!("no more: {why:?}"),
                    }
                }
                ["age", age] => before_attempt(limits, span(age))
                    .map_or_else(|| "tried".to_owned(), |why| format!("not tried: {why:?}")),
                _ => panic!("unknown step `{line}`"),
            };
            given[1..].iter().map(step).collect::<Vec<_>>().join("\n")
        });
    }

    #[test]
    fn a_pause_is_never_less_than_half_of_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let first = FailedAttempt {
            number: 1,
            is_permanent: false,
        };
        let pauses =
            [0.0, 1.0].map(|jitter| after_failure(RetryLimits::default(), backoff, first, jitter));
        assert_eq!(
            pauses,
            [
                AfterAttempt::Again(Duration::from_millis(50)),
                AfterAttempt::Again(Duration::from_millis(100))
            ]
        );
        let none = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(
            after_failure(RetryLimits::default(), none, first, 0.0),
            AfterAttempt::Again(Duration::from_millis(1))
        );
    }
}
