//! A length of time as people read it.

use std::time::Duration;

/// A length of time in at most two units: `320 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
///
/// A third unit would suggest a precision that a lag or an observation does not have. Below a
/// second it is in milliseconds, below a minute in tenths of a second.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..=59 => format!("{:.1} s", tenths(span)),
        60..=3599 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..=86_399 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// Seconds, cut off after one decimal place: rounding would turn 59.97 s into 60.0 s, which is a
/// minute in the unit of seconds.
fn tenths(span: Duration) -> f64 {
    (span.as_secs_f64() * 10.0).floor() / 10.0
}

/// Two units, or one if the smaller is zero: `1 min`, not `1 min 0 s`.
fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The borders between the units, where a rounding error would show.
    #[test]
    fn a_span_has_at_most_two_units() {
        let said = |millis| span(Duration::from_millis(millis));
        assert_eq!(said(0), "0 ms");
        assert_eq!(said(320), "320 ms");
        assert_eq!(said(4_290), "4.2 s");
        assert_eq!(said(59_999), "59.9 s");
        assert_eq!(said(60_000), "1 min");
        assert_eq!(said(200_000), "3 min 20 s");
        assert_eq!(said(7_500_000), "2 h 5 min");
        assert_eq!(said(4 * 86_400_000 + 3_600_000), "4 d 1 h");
    }
}
