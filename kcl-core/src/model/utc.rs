//! Conversion between milliseconds since the Unix epoch and RFC 3339.
//!
//! The calendar is the Gregorian one, also for dates before its introduction, as RFC 3339 requires.
//! The algorithm is Howard Hinnant's ("chrono-Compatible Low-Level Date Algorithms"): years begin
//! in March, so that the leap day is the last day of its year, and every era of 400 years has the
//! same number of days.
//!
//! This is all that the crate needs of a calendar: it is not worth a date library, with its time
//! zones.

use std::fmt;

/// Milliseconds in a day. Unix time has no leap seconds.
const DAY_MS: i64 = 86_400_000;
/// Days in an era of 400 years. `400 * 365 + 97`: a leap year every four years, but not every
/// hundred, but every four hundred.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01. It makes the day number count from a year that begins in
/// March.
const EPOCH: i64 = 719_468;

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utc {
    /// The year of the calendar, which begins in January. It may be negative.
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
    /// Milliseconds since midnight.
    millis: i64,
}

impl Utc {
    /// The date and time this many milliseconds after 1970-01-01 UTC. Every number of milliseconds
    /// has a date, also before 1970: divisions round down, not towards zero.
    pub(super) const fn of(millis: i64) -> Self {
        let days = millis.div_euclid(DAY_MS) + EPOCH;
        let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Counted from March.
        let months = (5 * of_year + 2) / 153;
        let day = of_year - (153 * months + 2) / 5 + 1;
        let month = if months < 10 { months + 3 } else { months - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self {
            year,
            month,
            day,
            millis: millis.rem_euclid(DAY_MS),
        }
    }

    /// Milliseconds since 1970-01-01 UTC. The inverse of [`Utc::of`].
    const fn since_epoch(self) -> i64 {
        let year = if self.month <= 2 {
            self.year - 1
        } else {
            self.year
        };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let months = if self.month > 2 {
            self.month - 3
        } else {
            self.month + 9
        };
        let of_year = (153 * months + 2) / 5 + self.day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        (era * ERA + of_era - EPOCH) * DAY_MS + self.millis
    }

    /// Parses an RFC 3339 time into milliseconds since 1970-01-01 UTC. `None` if the text is not
    /// one.
    ///
    /// A leap second is read as the first second of the next minute, as system clocks do. Nothing
    /// may follow it. The date must exist: 30 February is not read as 1 or 2 March.
    pub(super) fn read(text: &str) -> Option<i64> {
        let mut rest = Rest(text.as_bytes());
        let year = rest.number(4)?;
        rest.one_of(b"-")?;
        let month = rest.number(2).filter(|month| (1..=12).contains(month))?;
        rest.one_of(b"-")?;
        let day = rest
            .number(2)
            .filter(|day| (1..=days_of(year, month)).contains(day))?;
        rest.one_of(b"Tt ")?;
        let hour = rest.number(2).filter(|hour| *hour < 24)?;
        rest.one_of(b":")?;
        let minute = rest.number(2).filter(|minute| *minute < 60)?;
        rest.one_of(b":")?;
        let second = rest.number(2).filter(|second| *second <= 60)?;
        let fraction = if rest.one_of(b".").is_some() {
            rest.fraction()?
        } else {
            0
        };
        let offset = match rest.one_of(b"Zz+-")? {
            sign @ (b'+' | b'-') => {
                let hours = rest.number(2).filter(|hours| *hours < 24)?;
                rest.one_of(b":")?;
                let minutes = rest.number(2).filter(|minutes| *minutes < 60)?;
                (if sign == b'-' { -1 } else { 1 }) * (hours * 60 + minutes) * 60_000
            }
            _ => 0,
        };
        let millis = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
        rest.0.is_empty().then(|| {
            Self {
                year,
                month,
                day,
                millis,
            }
            .since_epoch()
                - offset
        })
    }
}

/// The days of a month. February has 29 in every fourth year, except in three of four years that
/// end a century.
const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The part of the text that has not been parsed yet. Each method takes what it has read from the
/// front, or nothing if it does not match.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// The first byte, if it is one of these.
    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        allowed.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// The value of one decimal digit.
    fn digit(&mut self) -> Option<i64> {
        self.one_of(b"0123456789")
            .map(|digit| i64::from(digit - b'0'))
    }

    /// Exactly this many digits: `2026-1-31` is not RFC 3339.
    fn number(&mut self, digits: u32) -> Option<i64> {
        (0..digits).try_fold(0, |number, _| Some(number * 10 + self.digit()?))
    }

    /// The digits after the decimal point (at least one), truncated to milliseconds. Truncated and
    /// not rounded, so that a time is never read as a later one: a start at a time must not skip a
    /// record.
    fn fraction(&mut self) -> Option<i64> {
        let mut millis = self.digit()? * 100;
        let mut unit = 10;
        while let Some(digit) = self.digit() {
            millis += digit * unit;
            unit /= 10;
        }
        Some(millis)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            millis,
        } = *self;
        match year {
            0..=9999 => write!(f, "{year:04}")?,
            _ => write!(f, "{year:+05}")?,
        }
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(
            f,
            "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            millis % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use crate::model::Timestamp;

    /// From the first to the last moment that RFC 3339 can express.
    const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

    #[test]
    fn times_are_written_as_dates_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_769_846_400_250, "2026-01-31T08:00:00.250Z"),
            (*WRITABLE.start(), "0000-01-01T00:00:00.000Z"),
            (*WRITABLE.end(), "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_millis(millis)));
        }
        assert_eq!(
            Timestamp::from_millis(*WRITABLE.end() + 1).to_string(),
            "+10000-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn any_time_of_rfc_3339_is_read() {
        let expected = Ok(Timestamp::from_millis(1_769_846_400_250));
        for text in [
            "2026-01-31T08:00:00.25Z",
            "2026-01-31t08:00:00.250z",
            "2026-01-31 08:00:00.250999999Z",
            "2026-01-31T09:00:00.250+01:00",
            "2026-01-30T20:15:00.250-11:45",
        ] {
            assert_eq!(text.parse::<Timestamp>(), expected, "{text}");
        }
        assert_eq!(
            "2016-12-31T23:59:60Z".parse::<Timestamp>(),
            "2017-01-01T00:00:00Z".parse()
        );
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_allowed() {
        for wrong in [
            "",
            "now",
            "1769846400",
            "2026-01-31",
            "2026-01-31T08:00:00",
            "2026-01-31T08:00Z",
            "2026-1-31T08:00:00Z",
            "2026-13-01T08:00:00Z",
            "2026-00-01T08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2100-02-29T08:00:00Z",
            "2026-04-31T08:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T08:60:00Z",
            "2026-01-31T08:00:61Z",
            "2026-01-31T08:00:00.Z",
            "2026-01-31T08:00:00+01",
            "2026-01-31T08:00:00+0100",
            "2026-01-31T08:00:00+24:00",
            "2026-01-31T08:00:00Z ",
            " 2026-01-31T08:00:00Z",
            "2026-01-31T08:00:00\u{661}Z",
            "+2026-01-31T08:00:00Z",
        ] {
            let error = wrong.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains("RFC 3339"), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_back_from_its_text(millis in WRITABLE) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn no_time_is_too_far_away_to_be_written(millis: i64) {
            prop_assert!(Timestamp::from_millis(millis).to_string().ends_with('Z'));
        }

        #[test]
        fn every_time_is_the_same_as_a_time_of_the_system(millis in WRITABLE) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
    }
}
