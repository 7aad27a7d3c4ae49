//! The pace of subscription calls, across tenancies: Kinesis allows five per second for a consumer
//! and shard, and refuses a second subscription of a consumer to a shard within five seconds. The
//! reader makes at most one call per second.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::decide::subscription::BETWEEN_CALLS;
use crate::model::{Moment, ShardId};

/// When each shard was last subscribed to by this worker: a shard that is given up and opened anew
/// keeps the pace all the same.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<BTreeMap<ShardId, Moment>>);

impl Calls {
    /// A call is sent, or answered, at this moment. Calls that hold nobody back any more are
    /// forgotten.
    pub(super) fn called(&self, shard: &ShardId, at: Moment) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|_, called| *called + BETWEEN_CALLS > at);
        calls.insert(shard.clone(), at);
    }

    /// The last call that may still hold the next one back.
    ///
    /// A reader that begins takes it over, so that a lease that is lost and taken again does not
    /// subscribe twice within a second.
    pub(super) fn last(&self, shard: &ShardId) -> Option<Moment> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(shard)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_calls_that_hold_somebody_back_are_kept() {
        let calls = Calls::default();
        let (one, other) = (ShardId::from("shard-1"), ShardId::from("shard-2"));
        let at = |millis| Moment::from_origin(Duration::from_millis(millis));
        calls.called(&one, at(0));
        calls.called(&other, at(500));
        assert_eq!(
            (calls.last(&one), calls.last(&other)),
            (Some(at(0)), Some(at(500)))
        );
        calls.called(&other, at(1020));
        assert_eq!(
            (calls.last(&one), calls.last(&other)),
            (None, Some(at(1020)))
        );
    }
}
