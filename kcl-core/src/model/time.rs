use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::InvalidValue;
use super::utc::Utc;

/// A wall-clock time in milliseconds since 1970-01-01 UTC, the resolution of Kinesis. It is never
/// used to decide whether a worker is alive.
///
/// The text form is RFC 3339 in UTC. Any RFC 3339 time can be parsed, with any offset and any
/// fraction of a second; digits beyond milliseconds are dropped.
///
/// ```
/// use std::time::SystemTime;
///
/// use kcl_core::model::Timestamp;
///
/// let opened: Timestamp = "2026-01-31T09:00:00+01:00".parse()?;
/// assert_eq!(opened.to_string(), "2026-01-31T08:00:00.000Z");
/// assert_eq!(Timestamp::from(SystemTime::from(opened)), opened);
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time this many milliseconds after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
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
    /// The same time. A time that the system cannot represent (on Windows, one before 1601) becomes
    /// the Unix epoch.
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
    /// Writes RFC 3339 in UTC with milliseconds. A year that RFC 3339 cannot express (before 0 or
    /// after 9999) is written with its sign.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Utc::of(self.0).fmt(f)
    }
}

/// How much of an invalid text an error repeats, in characters.
const REPEATED: usize = 40;

impl FromStr for Timestamp {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let expected =
                "RFC 3339, such as 2026-01-31T08:00:00Z or 2026-01-31T09:00:00.250+01:00";
            InvalidValue::text("time", text, REPEATED, expected)
        };
        Utc::read(text).map(Self).ok_or_else(wrong)
    }
}

/// A point in time on a monotonic clock, counted from that clock's own origin. Two moments of the
/// same [`Clock`](crate::Clock) give the time between them; a single moment has no meaning outside
/// its clock.
///
/// It is measured on a clock that keeps running while the machine is suspended, so that a worker
/// which wakes up after an hour knows that its leases have expired.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use kcl_core::model::Moment;
///
/// let sent = Moment::from_origin(Duration::from_secs(5));
/// let deadline = sent + Duration::from_secs(7);
/// assert_eq!(deadline.since(sent), Duration::from_secs(7));
/// assert_eq!(sent.since(deadline), Duration::ZERO, "never negative");
/// ```
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

    /// The time since `earlier`, or zero if `earlier` is later than this moment.
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
