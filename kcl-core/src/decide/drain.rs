//! How long the work on the records of a shard may go on after the worker was told to stop.

use std::time::Duration;

use crate::model::Moment;

/// What follows the work takes at least this: the last checkpoint and the release of the lease, in
/// one write.
const RELEASE: Duration = Duration::from_secs(1);

/// Until when records may be at work in a stop that was asked for at `asked` and ends everything at
/// `deadline`.
///
/// What is left for the release is a second, or a tenth of a longer stop: a lease that is not free
/// at the deadline has to expire, and what was done and not stored yet comes again. Never more than
/// half, so that a short stop drains as well.
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
