//! How often a lasting failure is logged, and how many lines may be written at once.
//!
//! A log has to show when a failure begins and that it has not ended, without a line for each
//! attempt ([`Repeats`]). And what happens to a thousand leases in one second should not be a
//! thousand lines ([`Burst`]).

use std::time::Duration;

use crate::model::Moment;

/// The least time between the first and the second line about a failure: a minute. It doubles with
/// each line. An operator who has just begun to look finds a line that is at most as old as the
/// failure itself.
pub const FIRST_DISTANCE: Duration = Duration::from_secs(60);
/// The maximum of that time: 64 minutes. A failure that lasts for days is in the log about once an
/// hour.
pub const LONGEST_DISTANCE: Duration = Duration::from_secs(64 * 60);

/// One kind of failure of one thing, for example of the handler calls of one shard. Its state is a
/// few numbers: thousands of failing shards cost little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// `None` before the first failure.
    said: Option<LastLine>,
    /// How many failures there were since the last line.
    unsaid: u64,
}

/// The last line, and when the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastLine {
    /// When it was written.
    at: Moment,
    /// When it happened last, logged or not.
    last: Moment,
    /// The time until the next line. It doubles from line to line.
    distance: Duration,
}

impl Repeats {
    /// Notes a failure. `None` if it should not be logged; otherwise, how many failures there were
    /// since the last line, without this one.
    pub fn happened(&mut self, now: Moment) -> Option<u64> {
        let distance = match &mut self.said {
            Some(said) if !said.is_over(now) => {
                said.last = now;
                if now.since(said.at) < said.distance {
                    self.unsaid += 1;
                    return None;
                }
                (said.distance * 2).min(LONGEST_DISTANCE)
            }
            // The first failure, or one so long after the last that it counts as a new one.
            _ => {
                self.unsaid = 0;
                FIRST_DISTANCE
            }
        };
        self.said = Some(LastLine {
            at: now,
            last: now,
            distance,
        });
        Some(std::mem::take(&mut self.unsaid))
    }

    /// Notes that a failure still lasts, without a new one. `None` if it should not be logged
    /// again; otherwise, how many failures there were since the last line.
    pub fn holds(&mut self, now: Moment) -> Option<u64> {
        let unsaid = self.unsaid;
        let turn = self.happened(now);
        if turn.is_none() {
            self.unsaid = unsaid;
        }
        turn
    }

    /// Whether the last failure is so long ago that it can be forgotten.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.said.is_none_or(|said| said.is_over(now))
    }
}

impl LastLine {
    fn is_over(&self, now: Moment) -> bool {
        now.since(self.last) > self.distance * 2
    }
}

/// How many lines of one kind may be written per [`WINDOW`]. Further ones are only counted.
pub const LINES: u32 = 10;
/// See [`LINES`].
pub const WINDOW: Duration = Duration::from_secs(10);

/// The lines of one kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst {
    began: Option<Moment>,
    lines: u32,
    unsaid: u64,
}

impl Burst {
    /// Whether another line may be written; if not, it is counted.
    pub fn may_say(&mut self, now: Moment) -> bool {
        if self.began.is_none_or(|began| now.since(began) >= WINDOW) {
            (self.began, self.lines) = (Some(now), 0);
        }
        if self.lines < LINES {
            self.lines += 1;
            return true;
        }
        self.unsaid += 1;
        false
    }

    /// The number of lines that were only counted, if they should be summed up now: once after the
    /// window is over, or immediately if `is_last`.
    pub fn sum_up(&mut self, now: Moment, is_last: bool) -> Option<u64> {
        let is_over = is_last || self.began.is_none_or(|began| now.since(began) >= WINDOW);
        (is_over && self.unsaid > 0).then(|| std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    /// The seconds at which something is said that happens each `every` seconds for `long` seconds,
    /// with what was passed over.
    fn said(every: usize, long: u64) -> Vec<(u64, u64)> {
        let mut repeats = Repeats::default();
        (0..=long)
            .step_by(every)
            .filter_map(|second| Some((second, repeats.happened(at(second))?)))
            .collect()
    }

    #[test]
    fn a_failure_is_said_at_once_and_then_at_doubled_distances() {
        assert_eq!(
            said(1, 1000),
            [(0, 0), (60, 59), (180, 119), (420, 239), (900, 479)]
        );
    }

    #[test]
    fn what_still_holds_is_said_again_and_not_counted() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.happened(at(0)), Some(0));
        let said: Vec<_> = (5..=1000)
            .step_by(5)
            .filter_map(|second| Some((second, repeats.holds(at(second))?)))
            .collect();
        assert_eq!(said, [(60, 0), (180, 0), (420, 0), (900, 0)]);
        assert_eq!(repeats.happened(at(1000)), None);
        assert_eq!(
            repeats.holds(at(1860)),
            Some(1),
            "what has happened meanwhile is counted"
        );
    }

    #[test]
    fn a_failure_each_half_minute_is_one_failure() {
        assert_eq!(
            said(30, 1000),
            [(0, 0), (60, 1), (180, 3), (420, 7), (900, 15)]
        );
    }

    #[test]
    fn the_distance_grows_to_about_an_hour() {
        let lines = said(10, 1_000_000);
        let longest = lines.windows(2).map(|two| two[1].0 - two[0].0).max();
        assert_eq!(longest, Some(64 * 60));
    }

    #[test]
    fn what_has_not_happened_for_long_is_a_new_failure() {
        let mut repeats = Repeats::default();
        assert!(repeats.is_over(at(0)));
        assert_eq!(repeats.happened(at(0)), Some(0));
        assert_eq!(repeats.happened(at(1)), None);
        assert!(!repeats.is_over(at(121)));
        assert!(repeats.is_over(at(122)));
        assert_eq!(
            repeats.happened(at(122)),
            Some(0),
            "what was passed over belongs to the old one"
        );
        assert_eq!(
            repeats.happened(at(182)),
            Some(0),
            "and the distance is the first again"
        );
    }

    #[test]
    fn a_thousand_in_a_second_are_ten_lines_and_a_sum() {
        let mut burst = Burst::default();
        assert_eq!((0..1000).filter(|_| burst.may_say(at(5))).count(), 10);
        assert_eq!(burst.sum_up(at(6), false), None);
        assert_eq!(burst.sum_up(at(15), false), Some(990));
        assert_eq!(burst.sum_up(at(16), false), None);
        assert!(burst.may_say(at(17)));
    }

    #[test]
    fn at_the_end_nothing_is_left_unsaid() {
        let mut burst = Burst::default();
        for _ in 0..12 {
            burst.may_say(at(5));
        }
        assert_eq!(burst.sum_up(at(5), true), Some(2));
        assert_eq!(burst.sum_up(at(5), true), None);
    }
}
