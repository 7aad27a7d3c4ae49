//! Parsing and checking the members of a request.
//!
//! There are two kinds of refusal for a member, as in the service: [`invalid`] for a value that can
//! never be right, and [`unfit`] for one that does not fit the stream or the rest of the request.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::stream::wire::Refusal;

/// The maximum length of a stream name, shard id and the like, in characters (Kinesis API).
const NAME: usize = 128;

/// Parses a request.
///
/// # Errors
///
/// If a member is missing or has another type.
pub(super) fn parse<T: DeserializeOwned>(data: Value) -> Result<T, Refusal> {
    serde_json::from_value(data).map_err(|error| member_refusal(&error))
}

/// The error for a request that could not be parsed.
pub(super) fn member_refusal(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    if text.starts_with("missing field") {
        invalid(&text)
    } else {
        Refusal::serialization_error(&text)
    }
}

/// The error for a member with a value that is always invalid.
pub(super) fn invalid(message: &str) -> Refusal {
    Refusal::validation_error(message)
}

/// The error for a member whose value does not fit the stream or the other members.
pub(super) fn unfit(message: &str) -> Refusal {
    Refusal::client_error("InvalidArgumentException", Some(message))
}

/// Checks a name or an id.
pub(super) fn check_name(member: &str, name: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(invalid(&format!(
        "{member} must have 1 to {NAME} characters of a-z, A-Z, 0-9, _, . and -"
    )))
}

/// Checks that a number is in a range.
pub(super) fn check_range(
    member: &str,
    value: u64,
    allowed: std::ops::RangeInclusive<u64>,
) -> Result<usize, Refusal> {
    if allowed.contains(&value) {
        return Ok(usize::try_from(value).unwrap_or(usize::MAX));
    }
    Err(invalid(&format!(
        "{member} is {value}; expected {} to {}",
        allowed.start(),
        allowed.end()
    )))
}

/// Converts a time in seconds to milliseconds.
pub(super) fn millis(member: &str, seconds: f64) -> Result<u64, Refusal> {
    if seconds.is_finite() && seconds >= 0.0 {
        return Ok((seconds * 1_000.0).round() as u64);
    }
    Err(invalid(&format!("{member} is not a time after 1970")))
}
