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
}

/// Why a record is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Discarded {
    /// It failed on its last allowed attempt.
    AttemptsExhausted,
    /// It was too old, before its first attempt or before a retry.
    TooOld,
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
/// `attempt` counts from 1, and `jitter` is drawn uniformly from 0 to 1.
#[must_use]
pub fn after_failure(
    limits: RetryLimits,
    backoff: Backoff,
    attempt: u32,
    jitter: f64,
) -> AfterAttempt {
    if limits.attempts.is_some_and(|most| attempt >= most) {
        return AfterAttempt::Discard(Discarded::AttemptsExhausted);
    }
    AfterAttempt::Again(pause_after(backoff, attempt, jitter))
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
            };
            let backoff = Backoff::new(span(next()).unwrap(), span(next()).unwrap());
            let step = |line: &&str| match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["attempt", attempt, "fails"] => {
                    match after_failure(limits, backoff, attempt.parse().unwrap(), 1.0) {
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
        let pauses =
            [0.0, 1.0].map(|jitter| after_failure(RetryLimits::default(), backoff, 1, jitter));
        assert_eq!(
            pauses,
            [
                AfterAttempt::Again(Duration::from_millis(50)),
                AfterAttempt::Again(Duration::from_millis(100))
            ]
        );
        let none = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(
            after_failure(RetryLimits::default(), none, 1, 0.0),
            AfterAttempt::Again(Duration::from_millis(1))
        );
    }
}
