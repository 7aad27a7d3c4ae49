//! When a shard may be subscribed to again after its subscription ended, failed or was rejected.
//!
//! ```text
//!   it ended without an error     immediately     (as it does after five minutes)
//!   it failed or was rejected     after 250 ms, doubled up to 1.8 s, each drawn with jitter
//!   busy                          a second after the last call, plus a little jitter
//!   throttled                     after 1 s, doubled up to 10 s: sooner calls would stay throttled
//!   gone                          immediately the first time, then as after a failure
//! ```
//!
//! In any case, there is at most one call per second. An event that is received resets the count of
//! failures.
//!
//! The pause after "busy" does not grow: the service is busy for a known time (five seconds after a
//! subscription of the same consumer to the same shard, or until the consumer is active), and
//! longer pauses would only lose time. The limit for other failures is below two seconds, so that a
//! shard is read again within two seconds after the service accepts subscriptions again; only
//! throttling may take longer.

use std::time::Duration;

use crate::model::Moment;
use crate::stream::ErrorKind;

use super::backoff::Backoff;

/// What happened to a subscription, or to the call that should have opened one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It delivered an event, perhaps an empty one. Even an empty one shows that the subscription
    /// works.
    Delivered,
    /// It ended without an error. The service does that after five minutes.
    Ended,
    /// It delivered nothing for too long and was dropped. A connection that has died without a word
    /// looks like this.
    Silent,
    /// It failed, or the call did.
    Failed(ErrorKind),
}

/// When one shard may be subscribed to.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionPace {
    /// When the last call was answered, or sent if it was not. Failed calls count, too, as the
    /// service counts them.
    called: Option<Moment>,
    /// The pause after the last failure.
    not_before: Moment,
    /// Failures since the last event.
    failures: u32,
}

/// The pause from the answer of one call to the next call: a second, which is the service's limit,
/// plus 20 ms because clocks differ. The service counts calls when they arrive, and a call that was
/// answered has arrived before its answer, however long it took.
pub const BETWEEN_CALLS: Duration = Duration::from_millis(1020);
/// The jitter of calls after "busy".
const BUSY_JITTER: Duration = Duration::from_millis(250);
/// Its limit keeps the promise of two seconds above.
const RETRY: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_millis(1800));
/// Throttling comes from too many calls, of this worker or of others, and passes only if there are
/// fewer.
const THROTTLED: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// How long the continuation sequence number of an event may be used, given how far the event was
/// behind the tip of its shard: until then no record after it can have expired. Half of the
/// `retention`, as clocks differ, less the longest a call may take.
#[must_use]
pub fn trusted_for(
    retention: Duration,
    millis_behind_latest: u64,
    call_limit: Duration,
) -> Duration {
    (retention / 2)
        .saturating_sub(Duration::from_millis(millis_behind_latest))
        .saturating_sub(call_limit)
}

/// When to poll a shard to find out whether it has ended, because its subscription does not say so.
///
/// Kinesis ends the subscription of a closed shard with a last event. Some emulators never do: they
/// name the children together with a continuation, or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asks {
    /// When it was last checked. `None` for a subscription that was never in doubt.
    asked: Option<Moment>,
}

/// How long a subscription to a shard that is listed as closed may deliver no record before its end
/// is checked: two of the empty events that the service sends about every five seconds.
pub const QUIET: Duration = Duration::from_secs(10);
/// The pause between two such checks.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Asks {
    /// Whether to check at `now`. A check is due if the subscription has named the children
    /// (`is_told`), or if the shard is listed as closed and the subscription has delivered no
    /// record for [`QUIET`].
    #[must_use]
    pub fn is_due(
        &self,
        now: Moment,
        is_told: bool,
        is_listed_closed: bool,
        quiet: Duration,
    ) -> bool {
        let is_doubtful = is_told || (is_listed_closed && quiet >= QUIET);
        is_doubtful && self.asked.is_none_or(|asked| now.since(asked) >= ASK_AGAIN)
    }

    /// Notes that a check was made at this moment.
    pub const fn asked(&mut self, at: Moment) {
        self.asked = Some(at);
    }
}

impl SubscriptionPace {
    /// The earliest moment, `now` or later, at which the next call may be sent.
    #[must_use]
    pub fn earliest(&self, now: Moment) -> Moment {
        let allowed = self.called.map_or(now, |called| called + BETWEEN_CALLS);
        now.max(allowed).max(self.not_before)
    }

    /// Notes that a call was sent or answered at this moment.
    pub const fn called(&mut self, at: Moment) {
        self.called = Some(at);
    }

    /// Notes what happened at `now`, with `jitter` drawn uniformly from 0 to 1.
    pub fn after(&mut self, happened: Happened, now: Moment, jitter: f64) {
        let failures = self.failures;
        let wait = match happened {
            Happened::Delivered => {
                self.failures = 0;
                return;
            }
            Happened::Ended => return,
            Happened::Failed(ErrorKind::Busy) => {
                let spread = BUSY_JITTER.mul_f64(if jitter.is_nan() {
                    1.0
                } else {
                    jitter.clamp(0.0, 1.0)
                });
                self.not_before = self
                    .called
                    .map_or(now, |called| called + BETWEEN_CALLS)
                    .max(now)
                    + spread;
                return;
            }
            Happened::Failed(ErrorKind::Gone) if failures == 0 => Duration::ZERO,
            // Never less than half of the longest pause: the rate has to fall.
            Happened::Failed(ErrorKind::Throttled) => {
                THROTTLED.longest(failures) / 2 + THROTTLED.delay(failures, jitter) / 2
            }
            Happened::Silent | Happened::Failed(_) => RETRY.delay(failures, jitter),
        };
        self.failures = failures.saturating_add(1);
        self.not_before = now + wait;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    fn happened() -> impl Strategy<Value = Happened> {
        prop_oneof![
            Just(Happened::Delivered),
            Just(Happened::Ended),
            Just(Happened::Silent),
            Just(Happened::Failed(ErrorKind::Busy)),
            Just(Happened::Failed(ErrorKind::Transient)),
            Just(Happened::Failed(ErrorKind::Gone)),
            Just(Happened::Failed(ErrorKind::Expired)),
        ]
    }

    proptest! {
        /// Only a refused rate costs two seconds.
        #[test]
        fn no_second_holds_two_calls_and_only_throttling_costs_two(
            steps in prop::collection::vec((happened(), 0.0..=1.0_f64, 0_u64..400_000), 1..300),
        ) {
            let (mut pace, mut now) = (SubscriptionPace::default(), moment(1_000));
            let mut last: Option<Moment> = None;
            for (happened, jitter, lasted) in steps {
                let call = pace.earliest(now);
                prop_assert!(last.is_none_or(|last| call.since(last) > Duration::from_secs(1)));
                // The service could have accepted from `now` on.
                prop_assert!(call.since(now) < Duration::from_secs(2), "{happened:?} {:?}", call.since(now));
                pace.called(call);
                last = Some(call);
                now = call + Duration::from_millis(lasted);
                pace.after(happened, now, jitter);
            }
        }
    }

    #[test]
    fn a_place_is_trusted_for_half_of_the_retention() {
        let (hour, call) = (Duration::from_hours(1), Duration::from_secs(30));
        assert_eq!(trusted_for(hour * 24, 3_600_000, call), hour * 11 - call);
        assert_eq!(trusted_for(hour * 24, 13 * 3_600_000, call), Duration::ZERO);
    }

    /// It is doubted when it names followers, or when it is quiet on a shard that is listed closed.
    #[test]
    fn a_subscription_that_may_have_missed_its_end_is_doubted() {
        let (mut asks, quiet) = (Asks::default(), QUIET);
        assert!(
            !asks.is_due(moment(0), false, false, Duration::MAX),
            "an open shard may be quiet for ever"
        );
        assert!(
            !asks.is_due(moment(0), false, true, quiet - Duration::from_millis(1)),
            "records still come"
        );
        assert!(asks.is_due(moment(0), false, true, quiet));
        assert!(asks.is_due(moment(0), true, false, Duration::ZERO));
        asks.asked(moment(5_000));
        assert!(!asks.is_due(moment(14_999), true, true, Duration::MAX));
        assert!(asks.is_due(moment(15_000), true, true, Duration::MAX));
    }

    /// The milliseconds from each call to the next, when each is answered within 10 ms.
    fn spaces(happened: Happened, jitter: f64, times: usize) -> Vec<u128> {
        let (mut pace, mut call) = (SubscriptionPace::default(), moment(1_000));
        let mut spaces = Vec::new();
        for _ in 0..times {
            pace.called(call);
            let answered = call + Duration::from_millis(10);
            pace.after(happened, answered, jitter);
            let next = pace.earliest(answered);
            spaces.push(next.since(call).as_millis());
            call = next;
        }
        spaces
    }

    #[test]
    fn a_busy_consumer_is_asked_again_each_second_without_end() {
        assert_eq!(spaces(Happened::Failed(ErrorKind::Busy), 0.0, 4), [1020; 4]);
        assert_eq!(spaces(Happened::Failed(ErrorKind::Busy), 1.0, 4), [1270; 4]);
    }

    #[test]
    fn failures_are_paused_longer_up_to_a_ceiling_below_two_seconds() {
        let transient = Happened::Failed(ErrorKind::Transient);
        assert_eq!(
            spaces(transient, 1.0, 6),
            [1020, 1020, 1020, 1810, 1810, 1810]
        );
        assert_eq!(spaces(Happened::Silent, 1.0, 6), spaces(transient, 1.0, 6));
        assert_eq!(
            spaces(transient, 0.0, 3),
            [1020; 3],
            "the pace holds whatever is drawn"
        );
    }

    #[test]
    fn a_refused_rate_is_paused_longest_and_at_least_half_of_that() {
        let throttled = Happened::Failed(ErrorKind::Throttled);
        assert_eq!(
            spaces(throttled, 1.0, 6),
            [1020, 2010, 4010, 8010, 10_010, 10_010]
        );
        assert_eq!(
            spaces(throttled, 0.0, 6),
            [1020, 1020, 2010, 4010, 5010, 5010]
        );
    }

    /// After a short one the next call comes a second later.
    #[test]
    fn a_long_subscription_is_replaced_at_once_a_short_one_paused() {
        let mut pace = SubscriptionPace::default();
        pace.called(moment(1_000));
        pace.after(Happened::Ended, moment(301_000), 1.0);
        assert_eq!(pace.earliest(moment(301_000)), moment(301_000));
        pace.called(moment(301_000));
        pace.after(Happened::Ended, moment(301_300), 1.0);
        assert_eq!(pace.earliest(moment(301_300)), moment(302_020));
    }

    #[test]
    fn an_event_forgets_the_failures() {
        let mut pace = SubscriptionPace::default();
        for _ in 0..9 {
            pace.after(Happened::Failed(ErrorKind::Throttled), moment(0), 1.0);
        }
        pace.after(Happened::Delivered, moment(60_000), 1.0);
        pace.after(Happened::Failed(ErrorKind::Transient), moment(60_000), 1.0);
        assert_eq!(pace.earliest(moment(60_000)), moment(60_250));
    }

    #[test]
    fn what_is_not_there_is_asked_for_at_once_and_then_with_pauses() {
        let mut pace = SubscriptionPace::default();
        pace.after(Happened::Failed(ErrorKind::Gone), moment(5_000), 1.0);
        assert_eq!(pace.earliest(moment(5_000)), moment(5_000));
        pace.after(Happened::Failed(ErrorKind::Gone), moment(5_000), 1.0);
        assert_eq!(pace.earliest(moment(5_000)), moment(5_500));
    }
}
