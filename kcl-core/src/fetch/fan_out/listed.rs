//! Which shards are known to be closed although their subscriptions do not end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{Moment, ShardId};

/// Which shards of a stream the last listing showed closed: some servers never end a subscription
/// to them.
///
/// Listings are made anyway, by the audits of the fleet. A worker that makes none asks for one when
/// a subscription of its has been quiet for long.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListedClosed(Arc<Mutex<ListedState>>);

#[derive(Debug, Default)]
struct ListedState {
    closed: BTreeSet<ShardId>,
    /// When the listing was asked for; nothing before the first.
    listed: Option<Moment>,
    /// The longest that a subscription was seen to be quiet since then.
    quiet: Duration,
}

impl ListedClosed {
    /// The state, which is complete whenever the lock is free.
    fn inner(&self) -> MutexGuard<'_, ListedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listing of all shards, asked for at `asked`, shows these closed.
    pub(crate) fn see(&self, closed: impl IntoIterator<Item = ShardId>, asked: Moment) {
        *self.inner() = ListedState {
            closed: closed.into_iter().collect(),
            listed: Some(asked),
            quiet: Duration::ZERO,
        };
    }

    /// A listing failed at `now`: it is asked again when it would be after one.
    pub(crate) fn failed(&self, now: Moment) {
        self.inner().listed = Some(now);
    }

    /// Whether the shard, whose subscription has been quiet for so long, was listed closed.
    pub(super) fn is_closed(&self, shard: &ShardId, quiet: Duration) -> bool {
        let mut inner = self.inner();
        inner.quiet = inner.quiet.max(quiet);
        inner.closed.contains(shard)
    }

    /// Whether a subscription has been quiet for as long as `every` since a listing that is older
    /// than that.
    pub(crate) fn is_wanted(&self, now: Moment, every: Duration) -> bool {
        let inner = self.inner();
        inner.quiet >= every && inner.listed.is_none_or(|listed| now.since(listed) >= every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_listing_is_wanted_when_a_quiet_shard_was_not_listed() {
        let (listed, shard, other) = (
            ListedClosed::default(),
            ShardId::from("0"),
            ShardId::from("1"),
        );
        assert!(!listed.is_closed(&shard, EVERY - Duration::from_millis(1)));
        assert!(
            !listed.is_wanted(at(0), EVERY),
            "nobody has been quiet for long"
        );
        assert!(!listed.is_closed(&shard, EVERY));
        assert!(listed.is_wanted(at(0), EVERY));
        listed.see([shard.clone()], at(0));
        assert!(
            !listed.is_wanted(at(10), EVERY),
            "nobody has been quiet since"
        );
        assert!(listed.is_closed(&shard, Duration::ZERO) && !listed.is_closed(&other, EVERY));
        assert!(!listed.is_wanted(at(9), EVERY) && listed.is_wanted(at(10), EVERY));
        listed.failed(at(10));
        assert!(!listed.is_wanted(at(19), EVERY) && listed.is_wanted(at(20), EVERY));
        assert!(
            listed.is_closed(&shard, Duration::ZERO),
            "what was listed before the failure still holds"
        );
    }
}
