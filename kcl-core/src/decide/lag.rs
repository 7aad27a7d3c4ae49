//! How far the reading of a shard is behind its tip.
//!
//! The lag that a page states (`MillisBehindLatest`) is true when the page arrives, but no page
//! arrives while a handler fails, the network is down or the credentials have expired. So the lag
//! is the greatest of three values, at least one of which grows while a shard stands still:
//!
//! - the lag that the last answer stated;
//! - the age of the oldest record that was fetched but is not done;
//! - the lag of the last answer plus the time since then, once that time is longer than usual
//!   ([`ReadProgress::usual`]).

use std::time::Duration;

use crate::model::{Moment, Timestamp};

/// The age of a record that arrived at this time. 0 if the time is unknown, or is in the future
/// because clocks differ.
#[must_use]
pub fn age(arrived: Option<Timestamp>, now: Timestamp) -> Duration {
    let millis = arrived.map_or(0, |arrived| {
        now.as_millis().saturating_sub(arrived.as_millis())
    });
    Duration::from_millis(millis.try_into().unwrap_or(0))
}

/// How far behind the tip an answer is, in milliseconds: what it says, except that a full answer,
/// with as many records as were requested, is never at the tip. Some servers say 0 although more
/// records follow; the age of the last record is used then, and at least 1 ms. `None` if the answer
/// does not say.
#[must_use]
pub fn believed(said: Option<u64>, is_full: bool, age_of_last: Duration) -> Option<u64> {
    match said {
        Some(0) if is_full => Some(
            u64::try_from(age_of_last.as_millis())
                .unwrap_or(u64::MAX)
                .max(1),
        ),
        said => said,
    }
}

/// What is known about the reading of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadProgress {
    /// Since when it has been due to be read.
    pub since: Moment,
    /// When the stream last answered, and how far behind its tip that answer was, if it said so.
    pub answered: Option<(Moment, Option<Duration>)>,
    /// How long the stream may be silent while all is well: a few polls, or the longest usual
    /// silence of a subscription.
    pub usual: Duration,
    /// The age of the oldest record that is not done, and the moment at which it had that age.
    pub undone: Option<(Duration, Moment)>,
}

impl ReadProgress {
    /// The age of the oldest record that is not done, or `None` if all are done.
    #[must_use]
    pub fn oldest_undone_age(&self, now: Moment) -> Option<Duration> {
        self.undone
            .map(|(age, then)| age.saturating_add(now.since(then)))
    }

    /// The lag, or `None` while it is unknown: the stream has not answered yet, but has not been
    /// silent for long either.
    #[must_use]
    pub fn lag(&self, now: Moment) -> Option<Duration> {
        let (last, told) = self
            .answered
            .map_or((self.since, None), |(at, told)| (at, told));
        let silent = now.since(last);
        let silence =
            (silent > self.usual).then(|| told.unwrap_or_default().saturating_add(silent));
        [told, self.oldest_undone_age(now), silence]
            .into_iter()
            .flatten()
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(second: u64) -> Moment {
        Moment::from_origin(seconds(second))
    }

    /// Answered at 100 s with this, while 5 s of silence are usual.
    fn answered(told: Option<u64>) -> ReadProgress {
        ReadProgress {
            since: at(90),
            answered: Some((at(100), told.map(seconds))),
            usual: seconds(5),
            undone: None,
        }
    }

    #[test]
    fn a_full_answer_is_not_at_the_tip_whatever_it_says() {
        assert_eq!(believed(Some(0), true, seconds(60)), Some(60_000));
        assert_eq!(
            believed(Some(0), true, seconds(0)),
            Some(1),
            "clocks differ"
        );
        assert_eq!(believed(Some(5_000), true, seconds(60)), Some(5_000));
        assert_eq!(
            believed(Some(0), false, seconds(60)),
            Some(0),
            "an old record may be the last"
        );
        assert_eq!(believed(None, true, seconds(60)), None);
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        let seen = ReadProgress {
            answered: None,
            ..answered(None)
        };
        assert_eq!((seen.lag(at(90)), seen.lag(at(95))), (None, None));
        assert_eq!(seen.oldest_undone_age(at(95)), None);
    }

    #[test]
    fn a_stream_that_never_answers_lags_since_reading_was_due() {
        let seen = ReadProgress {
            answered: None,
            ..answered(None)
        };
        assert_eq!(
            (seen.lag(at(96)), seen.lag(at(390))),
            (Some(seconds(6)), Some(seconds(300)))
        );
    }

    #[test]
    fn a_shard_without_records_that_answers_is_not_behind() {
        let seen = answered(Some(0));
        assert_eq!(
            (seen.lag(at(100)), seen.lag(at(105))),
            (Some(seconds(0)), Some(seconds(0)))
        );
    }

    #[test]
    fn what_the_answer_said_holds_until_the_next() {
        assert_eq!(answered(Some(60)).lag(at(104)), Some(seconds(60)));
        assert_eq!(answered(None).lag(at(104)), None, "it did not say");
    }

    #[test]
    fn a_silent_stream_is_further_behind_with_each_second() {
        assert_eq!(answered(Some(0)).lag(at(106)), Some(seconds(6)));
        assert_eq!(answered(Some(60)).lag(at(700)), Some(seconds(660)));
        assert_eq!(answered(None).lag(at(106)), Some(seconds(6)));
    }

    #[test]
    fn a_record_that_is_not_done_ages_whatever_the_stream_answers() {
        let poison = ReadProgress {
            undone: Some((seconds(30), at(100))),
            ..answered(Some(0))
        };
        assert_eq!(
            (poison.lag(at(100)), poison.lag(at(101))),
            (Some(seconds(30)), Some(seconds(31)))
        );
        assert_eq!(poison.oldest_undone_age(at(3700)), Some(seconds(3630)));
        assert_eq!(poison.lag(at(3700)), Some(seconds(3630)));
    }

    #[test]
    fn the_greatest_of_them_is_the_lag() {
        let undone = |age| ReadProgress {
            undone: Some((seconds(age), at(100))),
            ..answered(Some(60))
        };
        assert_eq!(undone(10).lag(at(101)), Some(seconds(60)));
        assert_eq!(undone(90).lag(at(101)), Some(seconds(91)));
        assert_eq!(undone(10).lag(at(200)), Some(seconds(160)), "silence");
    }
}
