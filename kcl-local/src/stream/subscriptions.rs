//! Which subscription of a consumer to a shard is the current one.
//!
//! ```text
//!   subscribed ──── less than 5 s later ───▶ refused: ResourceInUseException
//!        └───────── 5 s later or more ─────▶ the new one takes over; the old one ends with ResourceInUseException
//! ```
//!
//! The service does the same, and the time counts from the last successful call, whether or not
//! that subscription is still open. With read limits switched on, a call less than a second after
//! another one is rejected with `LimitExceededException`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Why a subscription ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubscriptionEnd {
    /// The same consumer has subscribed to the shard again.
    TakenOver,
    /// The consumer was deregistered.
    Deregistered,
}

/// Why a subscription is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The previous subscription was opened too recently.
    InUse,
    /// The previous call was made too recently.
    TooOften,
}

/// The subscriptions by consumer ARN and shard id.
#[derive(Debug)]
pub(super) struct Subscriptions {
    /// How long a subscription keeps the next one away.
    apart: Duration,
    /// How long a call keeps the next one away; zero without read limits.
    calls_apart: Duration,
    /// The last subscription of each consumer to each shard. Old ones are dropped when the next one
    /// begins.
    open: Mutex<HashMap<(String, String), Open>>,
}

/// A subscription, open or not.
#[derive(Debug)]
struct Open {
    /// When it was opened.
    since_ms: u64,
    /// When a subscription was last asked for, granted or not.
    asked_ms: u64,
    /// Tells its session to end.
    ended: watch::Sender<Option<SubscriptionEnd>>,
}

impl Subscriptions {
    /// Creates it without subscriptions. `apart` is the minimum time between two subscriptions of a
    /// consumer to a shard, and `calls_apart` that between two calls.
    pub(super) fn new(apart: Duration, calls_apart: Duration) -> Self {
        Self {
            apart,
            calls_apart,
            open: Mutex::default(),
        }
    }

    /// Begins a subscription, and ends the previous one. The returned receiver tells when this one
    /// is ended.
    ///
    /// # Errors
    ///
    /// If the previous subscription or call is too recent.
    pub(super) fn begin(
        &self,
        consumer: &str,
        shard: &str,
        now_ms: u64,
    ) -> Result<watch::Receiver<Option<SubscriptionEnd>>, Refused> {
        let is_within = |then_ms: u64, span: Duration| {
            u128::from(now_ms.saturating_sub(then_ms)) < span.as_millis()
        };
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, open| !open.ended.is_closed() || is_within(open.since_ms, self.apart));
        let key = (consumer.to_owned(), shard.to_owned());
        if let Some(open) = all.get_mut(&key) {
            if is_within(open.asked_ms, self.calls_apart) {
                return Err(Refused::TooOften);
            }
            open.asked_ms = now_ms;
            if is_within(open.since_ms, self.apart) {
                return Err(Refused::InUse);
            }
            open.ended.send_replace(Some(SubscriptionEnd::TakenOver));
        }
        let (ended, seen) = watch::channel(None);
        all.insert(
            key,
            Open {
                since_ms: now_ms,
                asked_ms: now_ms,
                ended,
            },
        );
        Ok(seen)
    }

    /// Ends all subscriptions of a consumer that is deregistered.
    pub(super) fn end(&self, consumer: &str) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(of, _), open| {
                let stays = of != consumer;
                if !stays {
                    open.ended.send_replace(Some(SubscriptionEnd::Deregistered));
                }
                stays
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Duration = Duration::from_secs(5);

    /// The second subscription is refused until five seconds have passed.
    #[test]
    fn a_second_subscription_is_refused_for_five_seconds() {
        let all = Subscriptions::new(APART, Duration::ZERO);
        let first = all.begin("c", "0", 10_000).expect("the first");
        assert_eq!(all.begin("c", "0", 14_999).err(), Some(Refused::InUse));
        assert_eq!(*first.borrow(), None);
        let second = all.begin("c", "0", 15_000).expect("takes over");
        assert_eq!(
            (*first.borrow(), *second.borrow()),
            (Some(SubscriptionEnd::TakenOver), None)
        );
        assert!(
            all.begin("c", "0", 15_001).is_err(),
            "counted from the last success"
        );
    }

    #[test]
    fn a_subscription_that_was_given_up_counts_too() {
        let all = Subscriptions::new(APART, Duration::ZERO);
        drop(all.begin("c", "0", 10_000).expect("the first"));
        assert!(all.begin("c", "0", 14_999).is_err());
        assert!(all.begin("c", "0", 15_000).is_ok());
    }

    #[test]
    fn other_shards_and_consumers_have_their_own() {
        let all = Subscriptions::new(APART, Duration::ZERO);
        let kept: Vec<_> = [("c", "0"), ("c", "1"), ("d", "0")]
            .map(|(c, shard)| all.begin(c, shard, 1).expect("free"))
            .into();
        all.end("c");
        let ended = kept.iter().map(|seen| *seen.borrow()).collect::<Vec<_>>();
        assert_eq!(
            ended,
            [
                Some(SubscriptionEnd::Deregistered),
                Some(SubscriptionEnd::Deregistered),
                None
            ]
        );
        assert!(
            all.begin("c", "0", 2).is_ok(),
            "a consumer of that ARN is a new one"
        );
    }

    /// A call within a second of another one is rejected, whatever the result of the other was.
    #[test]
    fn a_call_within_a_second_of_another_is_too_many() {
        let all = Subscriptions::new(APART, Duration::from_secs(1));
        let _first = all.begin("c", "0", 10_000).expect("the first");
        let refused = [10_999, 11_000, 11_999, 12_000]
            .map(|at| all.begin("c", "0", at).expect_err("it is too early"));
        assert_eq!(
            refused,
            [
                Refused::TooOften,
                Refused::InUse,
                Refused::TooOften,
                Refused::InUse
            ]
        );
        assert!(
            all.begin("c", "1", 12_000).is_ok(),
            "each shard has its own"
        );
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let all = Subscriptions::new(APART, Duration::ZERO);
        for shard in 0..100 {
            drop(all.begin("c", &shard.to_string(), 10_000));
        }
        let _kept = all.begin("c", "x", 20_000);
        assert_eq!(all.open.lock().expect("sound").len(), 1);
    }
}
