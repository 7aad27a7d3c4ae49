//! When a shard may be read next: within the service's limit, and no more often than is useful.
//!
//! ```text
//!   a page with records, behind      read on at once                 (only the limit holds it back)
//!   a full page                      read on at once                 (there is more, even if it claims to be at the tip)
//!   a page with records, caught up   after the shortest idle time
//!   an empty page, behind            read on at once                 (the service skips empty ranges page by page)
//!   an empty page, caught up         after the idle time, which doubles up to its maximum
//! ```
//!
//! Idle time is measured from call to call, so a slow answer is part of it.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::model::Moment;

/// The settings of a [`Pace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceSettings {
    /// Calls per second and shard: 5, the limit of Kinesis for `GetRecords`. All applications that
    /// poll the shard share the limit.
    pub calls_per_second: NonZeroUsize,
    /// Added to the second in which those calls are counted: if the first of two calls takes longer
    /// on its way, they arrive closer together than they were sent. 20 ms covers the usual
    /// variation within a region; beyond that, the service throttles a call, and it is retried.
    pub margin: Duration,
    /// The wait from call to call on a shard that is caught up and has just returned records: 250
    /// ms.
    pub idle_from: Duration,
    /// The longest wait on a shard that returns none: 1 s.
    pub idle_to: Duration,
}

impl Default for PaceSettings {
    fn default() -> Self {
        Self {
            calls_per_second: NonZeroUsize::MIN.saturating_add(4),
            margin: Duration::from_millis(20),
            idle_from: Duration::from_millis(250),
            idle_to: Duration::from_secs(1),
        }
    }
}

/// When one shard may be read next.
#[derive(Clone, Debug)]
pub struct Pace {
    settings: PaceSettings,
    /// The times of the last calls, oldest first: at most as many as are allowed per second.
    calls: VecDeque<Moment>,
    /// The wait after the next empty page.
    idle: Duration,
    /// Before this moment another call would most likely return nothing.
    idle_until: Moment,
}

impl Pace {
    /// The pace of a shard that has not been read yet: the first call may be sent immediately.
    #[must_use]
    pub fn new(settings: PaceSettings) -> Self {
        Self {
            settings,
            calls: VecDeque::new(),
            idle: settings.idle_from,
            idle_until: Moment::default(),
        }
    }

    /// The earliest moment, `now` or later, at which the next call may be sent.
    #[must_use]
    pub fn earliest(&self, now: Moment) -> Moment {
        let full = self.calls.len() == self.settings.calls_per_second.get();
        let window = Duration::from_secs(1) + self.settings.margin;
        let allowed = self
            .calls
            .front()
            .filter(|_| full)
            .map_or(now, |oldest| *oldest + window);
        now.max(allowed).max(self.idle_until)
    }

    /// Notes that a call was sent at this moment. Failed calls count too, because the service
    /// counts them.
    pub fn called(&mut self, at: Moment) {
        if self.calls.len() == self.settings.calls_per_second.get() {
            self.calls.pop_front();
        }
        let at = self.calls.back().map_or(at, |last| at.max(*last));
        self.calls.push_back(at);
    }

    /// Notes that the last call returned a page with this many records, this many milliseconds
    /// behind the tip. If the service did not say how far (`None`), a shard that returns records
    /// counts as behind. So does one whose page is full, with as many records as were requested,
    /// because some servers say 0 although more follow. Returns the moment before which another
    /// call is of no use.
    ///
    /// "Behind" means by more than the shortest idle time: records that arrived within it are
    /// returned by the next call anyway.
    pub fn after_page(
        &mut self,
        records: usize,
        is_full: bool,
        millis_behind: Option<u64>,
    ) -> Moment {
        let told = millis_behind.map_or(records > 0, |millis| {
            Duration::from_millis(millis) > self.settings.idle_from
        });
        let behind = told || is_full;
        if behind || records > 0 {
            self.idle = self.settings.idle_from;
        }
        let wait = if behind {
            Duration::ZERO
        } else {
            self.idle.min(self.settings.idle_to)
        };
        if !behind && records == 0 {
            self.idle = self.idle.saturating_mul(2).min(self.settings.idle_to);
        }
        self.idle_until = self
            .calls
            .back()
            .map_or(self.idle_until, |last| *last + wait);
        self.idle_until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    /// The most records that a page holds here.
    const FULL: usize = 500;

    /// Calls as early as allowed, `pages` one after the other, and returns the milliseconds from
    /// each call to the next.
    fn spaces(pace: &mut Pace, pages: &[(usize, Option<u64>)]) -> Vec<u128> {
        let mut now = pace.earliest(moment(100_000));
        let mut spaces = Vec::new();
        for (records, behind) in pages {
            pace.called(now);
            pace.after_page(*records, *records == FULL, *behind);
            let next = pace.earliest(now);
            spaces.push(next.since(now).as_millis());
            now = next;
        }
        spaces
    }

    proptest! {
        #[test]
        fn no_second_holds_more_calls_than_allowed(
            limit in 1_usize..8,
            steps in prop::collection::vec((0_u64..400, 0_usize..3, prop::option::of(0_u64..2000)), 1..200),
        ) {
            let settings = PaceSettings { calls_per_second: NonZeroUsize::new(limit).unwrap(), ..PaceSettings::default() };
            let mut pace = Pace::new(settings);
            let (mut now, mut calls) = (moment(0), Vec::new());
            for (late, records, behind) in steps {
                now = pace.earliest(now) + Duration::from_millis(late);
                pace.called(now);
                calls.push(now);
                if records < 2 {
                    pace.after_page(records, records == 1, behind);
                }
            }
            for window in calls.windows(limit + 1) {
                prop_assert!(window[limit].since(window[0]) > Duration::from_secs(1));
            }
        }
    }

    #[test]
    fn far_behind_only_the_limit_holds_it_back() {
        let spaces = spaces(
            &mut Pace::new(PaceSettings::default()),
            &[(400, Some(60_000)); 7],
        );
        assert_eq!(spaces, [0, 0, 0, 0, 1020, 0, 0]);
    }

    #[test]
    fn empty_pages_on_the_way_to_the_tip_are_read_over_at_once() {
        let spaces = spaces(
            &mut Pace::new(PaceSettings::default()),
            &[(0, Some(60_000)); 3],
        );
        assert_eq!(spaces, [0, 0, 0]);
    }

    #[test]
    fn a_full_page_is_followed_at_once_whatever_it_says_of_the_tip() {
        let pages = [
            (FULL, Some(0)),
            (FULL, Some(0)),
            (FULL - 1, Some(0)),
            (0, Some(0)),
        ];
        assert_eq!(
            spaces(&mut Pace::new(PaceSettings::default()), &pages),
            [0, 0, 250, 250]
        );
    }

    #[test]
    fn idle_time_grows_at_the_tip_and_records_reset_it() {
        let idle = (0, Some(0));
        let pages = [idle, idle, idle, idle, (1, Some(0)), idle, idle];
        assert_eq!(
            spaces(&mut Pace::new(PaceSettings::default()), &pages),
            [250, 500, 1000, 1000, 250, 250, 500]
        );
    }

    #[test]
    fn falling_behind_resets_the_idle_time() {
        let pages = [(0, Some(0)), (0, Some(0)), (0, Some(5_000)), (0, Some(0))];
        assert_eq!(
            spaces(&mut Pace::new(PaceSettings::default()), &pages),
            [250, 500, 0, 250]
        );
    }

    #[test]
    fn without_millis_behind_latest_the_records_tell_the_tip() {
        let pages = [(5, None), (0, None), (0, None)];
        assert_eq!(
            spaces(&mut Pace::new(PaceSettings::default()), &pages),
            [0, 250, 500]
        );
    }

    #[test]
    fn as_far_behind_as_the_shortest_idle_time_is_caught_up() {
        let pages = [(0, Some(250)), (0, Some(251))];
        assert_eq!(
            spaces(&mut Pace::new(PaceSettings::default()), &pages),
            [250, 0]
        );
    }

    #[test]
    fn a_slow_answer_is_part_of_the_idle_time() {
        let mut pace = Pace::new(PaceSettings::default());
        pace.called(moment(1_000));
        pace.after_page(1, false, Some(0));
        assert_eq!(pace.earliest(moment(1_400)), moment(1_400));
        assert_eq!(pace.earliest(moment(1_100)), moment(1_250));
    }

    #[test]
    fn a_ceiling_below_the_first_idle_time_wins() {
        let settings = PaceSettings {
            idle_to: Duration::from_millis(100),
            ..PaceSettings::default()
        };
        assert_eq!(
            spaces(&mut Pace::new(settings), &[(0, Some(0)); 3]),
            [100, 100, 100]
        );
    }
}
