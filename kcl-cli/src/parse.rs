//! Parsers for values of the command line. The example `consume` accepts the same forms.
//!
//! Each returns what is expected as its error. Clap puts the option and the value that it got in
//! front: `invalid value 'x' for '--from <POSITION>': expected trim-horizon, latest or at:TIME`.

use std::time::Duration;

use kcl_core::InitialPosition;
use kcl_core::model::Timestamp;

/// Numbers below this are seconds since 1970, up to the year 5138; numbers from here on are
/// milliseconds, from 1973. Nobody means a record of 1973 or of 5138, so `at:` needs no unit.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// The URL of an endpoint. Only its beginning is checked, so that `127.0.0.1:4567` without a scheme
/// fails here and not in the middle of the first call; the rest is the SDK's to judge.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("expected a URL such as http://127.0.0.1:4567".to_owned()),
    }
}

/// A start position: `trim-horizon`, `latest` or `at:TIME`. The words are those of the AWS CLI in
/// lower case.
///
/// `latest` and `trim-horizon` are refused in any other spelling, so that a typing error is not
/// read as something else.
pub(crate) fn position(text: &str) -> Result<InitialPosition, String> {
    match text {
        "trim-horizon" => Ok(InitialPosition::TrimHorizon),
        "latest" => Ok(InitialPosition::Latest),
        _ => match text.strip_prefix("at:") {
            Some(time) => Ok(InitialPosition::AtTimestamp(timestamp(time)?)),
            None => Err("expected trim-horizon, latest or at:TIME".to_owned()),
        },
    }
}

/// A time: RFC 3339, or a number since 1970 in seconds or milliseconds (see [`FIRST_MILLIS`]).
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    let allowed = || {
        "expected TIME as RFC 3339, such as 2026-01-31T08:00:00Z, or seconds or milliseconds \
         since 1970"
            .to_owned()
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| allowed())?;
        return Ok(Timestamp::from_millis(if number < FIRST_MILLIS {
            number * 1000
        } else {
            number
        }));
    }
    text.parse().map_err(|_| allowed())
}

/// A length of time with its unit. A bare number is refused: `--max 5` could mean seconds or
/// minutes.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "expected a length of time such as 500ms, 10s or 1h 30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong value never becomes a time by accident: upper case, no time, and a number that
    /// overflows are refused.
    #[test]
    fn a_position_is_a_word_or_a_time() {
        let at = |millis| Ok(InitialPosition::AtTimestamp(Timestamp::from_millis(millis)));
        assert_eq!(position("latest"), Ok(InitialPosition::Latest));
        assert_eq!(position("trim-horizon"), Ok(InitialPosition::TrimHorizon));
        assert_eq!(
            position("at:2020-01-02T03:04:05.678Z"),
            at(1_577_934_245_678)
        );
        assert_eq!(position("at:1577934245"), at(1_577_934_245_000));
        for wrong in [
            "",
            "at:",
            "at:yesterday",
            "at:99999999999999999999",
            "LATEST",
        ] {
            assert!(
                position(wrong).unwrap_err().starts_with("expected"),
                "{wrong}"
            );
        }
        assert!(span("10").is_err() && endpoint("127.0.0.1").is_err());
    }
}
