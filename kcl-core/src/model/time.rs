use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::utc::Utc;

/// A time of day in milliseconds since 1970-01-01 UTC, as Kinesis gives it. Never used to judge who
/// is alive.
///
/// As text it is RFC 3339 in UTC. Any RFC 3339 time is read: with an offset, and with a fraction of
/// a second, of which what is below a millisecond is cut off.
///
/// ```
/// use std::time::SystemTime;
///
/// use kcl_core::model::Timestamp;
///
/// let opened: Timestamp = "2026-01-31T09:00:00+01:00".parse()?;
/// assert_eq!(opened.to_string(), "2026-01-31T08:00:00.000Z");
/// assert_eq!(Timestamp::from(SystemTime::from(opened)), opened);
/// # Ok::<(), kcl_core::model::InvalidTimestamp>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// That many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    /// The same time. One that the system cannot hold (on Windows those before 1601) is the epoch.
    fn from(time: Timestamp) -> Self {
        let span = Duration::from_millis(time.0.unsigned_abs());
        let time = if time.0 < 0 {
            UNIX_EPOCH.checked_sub(span)
        } else {
            UNIX_EPOCH.checked_add(span)
        };
        time.unwrap_or(UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the millisecond. A year that RFC 3339 cannot write (before 0 or after
    /// 9999) has its sign before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Utc::of(self.0).fmt(f)
    }
}

/// The text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid time `{text}`: expected RFC 3339, such as 2026-01-31T08:00:00Z or 2026-01-31T09:00:00.250+01:00"
)]
pub struct InvalidTimestamp {
    text: String,
}

/// The longest wrong text that an error repeats, in characters.
const REPEATED: usize = 40;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidTimestamp {
            text: text.chars().take(REPEATED).collect(),
        };
        Utc::read(text).map(Self).ok_or_else(wrong)
    }
}

/// A point on a clock that only goes forward, from an origin of the clock's own. Two moments of one
/// [`Clock`](crate::Clock) tell the time between them and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the clock's origin.
    #[must_use]
    pub const fn from_origin(since: Duration) -> Self {
        Self(since)
    }

    /// The time since the clock's origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The time since `earlier`; zero if that is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}
