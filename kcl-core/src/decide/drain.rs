//! How long the work on a shard's records may continue after the worker was told to stop.

use std::time::Duration;

use crate::model::Moment;

/// Reserved for what follows the work: the last checkpoint and the release of the lease, which are
/// one write. It may need a second attempt.
const RELEASE: Duration = Duration::from_secs(1);

/// Until when records in progress may continue, in a stop that was requested at `asked` and ends
/// everything at `deadline`.
///
/// A second is reserved for the release, or a tenth of a stop longer than ten seconds: a lease that
/// is not released by the deadline has to expire, and records whose checkpoint is not stored are
/// delivered again. At most half of the time is reserved, so that a short stop drains too.
#[must_use]
pub fn drain_until(asked: Moment, deadline: Moment) -> Moment {
    let span = deadline.since(asked);
    deadline - RELEASE.max(span / 10).min(span / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_has_its_time_before_the_deadline() {
        let drained = |millis| {
            let asked = Moment::from_origin(Duration::from_secs(7));
            drain_until(asked, asked + Duration::from_millis(millis))
                .since(asked)
                .as_millis()
        };
        assert_eq!(
            [0, 500, 2_000, 5_000, 10_000, 60_000].map(drained),
            [0, 250, 1_000, 4_000, 9_000, 54_000]
        );
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_no_time() {
        let asked = Moment::from_origin(Duration::from_secs(7));
        assert!(drain_until(asked, Moment::default()) <= asked);
        assert!(drain_until(asked, Moment::from_origin(Duration::MAX)) > asked);
    }
}
