//! How long to wait before something is tried again.
//!
//! The numbers are where they are used; this file holds only the rule. Jitter is an argument, as
//! everywhere in `decide`, so a test can ask for the shortest and the longest wait.

use std::time::Duration;

/// Exponential backoff with full jitter: the wait before retry `n` is drawn uniformly from 0 to
/// `base` x 2^n, limited to `cap`.
///
/// Full jitter, because calls that fail together (a throttled shard, a busy table) must not be
/// repeated together: spreading them over the whole span needs the fewest calls in total until each
/// has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    base: Duration,
    /// What the doubling stops at.
    cap: Duration,
}

impl Backoff {
    /// Waits of at most `base` after the first failure, doubled with each further one, but never
    /// longer than `cap`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The `base` and the `cap`.
    #[must_use]
    pub const fn bounds(&self) -> (Duration, Duration) {
        (self.base, self.cap)
    }

    /// The wait after `failures` failures, drawn between half of the longest wait and all of it, so
    /// that a call that fails immediately does not spin. `jitter` is as for [`delay`](Self::delay).
    #[must_use]
    pub fn at_least_half(&self, failures: u32, jitter: f64) -> Duration {
        self.longest(failures)
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// The wait after a failure that `failures` others came before (0 for the first), with `jitter`
    /// drawn uniformly from 0 to 1. A jitter outside that range counts as the nearer bound, and NaN
    /// as 1.
    #[must_use]
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let jitter = if jitter.is_nan() {
            1.0
        } else {
            jitter.clamp(0.0, 1.0)
        };
        let longest = self.longest(failures);
        // The product is rounded: for very long spans it may exceed the factor.
        Duration::try_from_secs_f64(longest.as_secs_f64() * jitter)
            .map_or(longest, |delay| delay.min(longest))
    }

    /// The longest wait that [`delay`](Self::delay) returns for the same number of failures. It
    /// never shrinks as failures grow.
    #[must_use]
    pub fn longest(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(doubled).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wait_doubles_with_each_failure_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits = [0, 2, 60].map(|failures| backoff.delay(failures, 0.5).as_millis());
        assert_eq!(waits, [50, 200, 500]);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_a_bound_that_never_shrinks(
            base in 0_u64..10_000_000, cap in 0_u64..u64::MAX, failures in 0_u32..200, jitter in 0.0..=1.0_f64,
        ) {
            let backoff = Backoff::new(Duration::from_millis(base), Duration::from_millis(cap));
            let delay = backoff.delay(failures, jitter);
            prop_assert!(delay <= backoff.longest(failures));
            prop_assert!(backoff.longest(failures) <= Duration::from_millis(cap));
            prop_assert!(backoff.longest(failures) <= backoff.longest(failures + 1));
            prop_assert!(delay <= backoff.delay(failures, 1.0));
        }
    }

    #[test]
    fn the_bound_doubles_until_the_cap() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(700));
        let longest: Vec<u128> = (0..5)
            .map(|failures| backoff.longest(failures).as_millis())
            .collect();
        assert_eq!(longest, [100, 200, 400, 700, 700]);
        assert_eq!(backoff.longest(u32::MAX), Duration::from_millis(700));
    }

    #[test]
    fn a_jitter_that_is_none_is_bounded() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        assert_eq!(backoff.delay(0, -3.0), Duration::ZERO);
        for jitter in [1.0, 7.0, f64::INFINITY, f64::NAN] {
            assert_eq!(backoff.delay(0, jitter), Duration::from_secs(1), "{jitter}");
        }
        assert_eq!(
            Backoff::new(Duration::MAX, Duration::MAX).delay(9, 1.0),
            Duration::MAX
        );
    }
}
