//! Which subscription of a consumer to a shard is the one that counts.
//!
//! ```text
//!   subscribed ──── less than 5 s later ───▶ refused: ResourceInUseException
//!        └───────── 5 s later or more ─────▶ the new one takes over; the old one ends with ResourceInUseException
//! ```
//!
//! So the service does it, and it counts from the last call that succeeded, whether or not that subscription still goes on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Why a subscription ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The same consumer subscribed to the shard anew.
    TakenOver,
    /// The consumer was deregistered.
    Deregistered,
}

/// The subscriptions by consumer ARN and shard id.
#[derive(Debug)]
pub(super) struct Subscriptions {
    apart: Duration,
    open: Mutex<HashMap<(String, String), Open>>,
}

#[derive(Debug)]
struct Open {
    since_ms: u64,
    ended: watch::Sender<Option<Ended>>,
}

impl Subscriptions {
    /// None as yet; two of the same consumer and shard have to be `apart`.
    pub(super) fn new(apart: Duration) -> Self {
        Self { apart, open: Mutex::default() }
    }

    /// Begins a subscription, and ends the one before it; what it returns tells when it is ended in turn. `None` if the one
    /// before it is too young for that.
    pub(super) fn begin(&self, consumer: &str, shard: &str, now_ms: u64) -> Option<watch::Receiver<Option<Ended>>> {
        let is_young = |open: &Open| u128::from(now_ms.saturating_sub(open.since_ms)) < self.apart.as_millis();
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, open| is_young(open) || !open.ended.is_closed());
        let key = (consumer.to_owned(), shard.to_owned());
        if let Some(open) = all.get(&key) {
            if is_young(open) {
                return None;
            }
            open.ended.send_replace(Some(Ended::TakenOver));
        }
        let (ended, seen) = watch::channel(None);
        all.insert(key, Open { since_ms: now_ms, ended });
        Some(seen)
    }

    /// Ends all subscriptions of a consumer that is deregistered.
    pub(super) fn end(&self, consumer: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), open| {
            let stays = of != consumer;
            if !stays {
                open.ended.send_replace(Some(Ended::Deregistered));
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Duration = Duration::from_secs(5);

    #[test]
    fn the_second_subscription_is_refused_until_five_seconds_have_passed() {
        let all = Subscriptions::new(APART);
        let first = all.begin("c", "0", 10_000).expect("the first");
        assert!(all.begin("c", "0", 14_999).is_none());
        assert_eq!(*first.borrow(), None);
        let second = all.begin("c", "0", 15_000).expect("takes over");
        assert_eq!((*first.borrow(), *second.borrow()), (Some(Ended::TakenOver), None));
        assert!(all.begin("c", "0", 15_001).is_none(), "counted from the last success");
    }

    #[test]
    fn a_subscription_that_was_given_up_counts_too() {
        let all = Subscriptions::new(APART);
        drop(all.begin("c", "0", 10_000).expect("the first"));
        assert!(all.begin("c", "0", 14_999).is_none());
        assert!(all.begin("c", "0", 15_000).is_some());
    }

    #[test]
    fn other_shards_and_consumers_have_their_own() {
        let all = Subscriptions::new(APART);
        let kept: Vec<_> = [("c", "0"), ("c", "1"), ("d", "0")].map(|(c, shard)| all.begin(c, shard, 1).expect("free")).into();
        all.end("c");
        let ended = kept.iter().map(|seen| *seen.borrow()).collect::<Vec<_>>();
        assert_eq!(ended, [Some(Ended::Deregistered), Some(Ended::Deregistered), None]);
        assert!(all.begin("c", "0", 2).is_some(), "a consumer of that ARN is a new one");
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let all = Subscriptions::new(APART);
        for shard in 0..100 {
            drop(all.begin("c", &shard.to_string(), 10_000));
        }
        let _kept = all.begin("c", "x", 20_000);
        assert_eq!(all.open.lock().expect("sound").len(), 1);
    }
}
