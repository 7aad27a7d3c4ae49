//! CBOR as Kinesis speaks it with the AWS SDK for Java: times are tag 1 and whole milliseconds, and
//! maps and lists do not say how many members they have.
//!
//! A writer and a reader of its own are needed for two reasons: pages of records are written
//! without an intermediate value, and times are tagged in a way that no library writes.

use base64_simd::STANDARD;
use ciborium::Value as Cbor;
use serde_json::{Map, Value};

use super::fields;

/// Major types of CBOR (RFC 8949, section 3.1), shifted to their bits in the first byte.
const UNSIGNED: u8 = 0 << 5;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const TAG: u8 = 6 << 5;
/// The beginnings of a list and of a map of unknown length, and the end of either.
const ARRAY: u8 = 4 << 5 | 31;
const MAP: u8 = 5 << 5 | 31;
const BREAK: u8 = 0xFF;
/// The tag of a time.
///
/// The SDK for Java puts milliseconds behind it, where RFC 8949 has seconds.
const EPOCH: u64 = 1;

/// Parses a body; `None` if it is not CBOR.
pub(in crate::stream) fn read(body: &[u8]) -> Option<Cbor> {
    ciborium::from_reader(body).ok()
}

/// The same value in the form of JSON: byte strings in Base64, times in seconds.
///
/// A value that JSON cannot express becomes null. No member of a request needs one.
pub(super) fn to_json(value: Cbor) -> Value {
    match value {
        Cbor::Bool(value) => Value::Bool(value),
        Cbor::Integer(value) => {
            let value = i128::from(value);
            i64::try_from(value).map_or_else(
                |_| u64::try_from(value).map_or(Value::Null, Value::from),
                Value::from,
            )
        }
        Cbor::Float(value) => Value::from(value),
        Cbor::Text(text) => Value::String(text),
        Cbor::Bytes(bytes) => Value::String(STANDARD.encode_to_string(bytes)),
        Cbor::Array(items) => items.into_iter().map(to_json).collect(),
        Cbor::Map(entries) => Value::Object(
            entries
                .into_iter()
                .filter_map(|(name, value)| Some((name.into_text().ok()?, to_json(value))))
                .collect::<Map<String, Value>>(),
        ),
        Cbor::Tag(EPOCH, inner) => match *inner {
            // From the SDK for Java: whole milliseconds.
            Cbor::Integer(millis) => Value::from(i128::from(millis) as f64 / 1_000.0),
            // Seconds, as in RFC 8949.
            other => to_json(other),
        },
        Cbor::Tag(_, inner) => to_json(*inner),
        _ => Value::Null,
    }
}

/// Writes a JSON value, with payloads as byte strings and times tagged.
///
/// Maps and arrays have definite lengths, which every reader understands.
pub(super) fn write(body: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => body.push(0xF6),
        Value::Bool(value) => body.push(if *value { 0xF5 } else { 0xF4 }),
        Value::Number(number) => {
            if let Some(value) = number.as_u64() {
                head(body, UNSIGNED, value);
            } else if let Some(value) = number.as_i64() {
                // -1 - n, which for a negative number is the complement of its bits.
                head(body, NEGATIVE, !value.cast_unsigned());
            } else {
                body.push(0xFB);
                body.extend_from_slice(&number.as_f64().unwrap_or_default().to_be_bytes());
            }
        }
        Value::String(value) => text(body, value),
        Value::Array(items) => {
            array(body);
            for item in items {
                write(body, item);
            }
            end(body);
        }
        Value::Object(entries) => {
            map(body);
            for (name, value) in entries {
                text(body, name);
                member(body, name, value);
            }
            end(body);
        }
    }
}

/// Writes a member of a map, by its name as a time, a payload or a plain value.
fn member(body: &mut Vec<u8>, name: &str, value: &Value) {
    if let (true, Some(seconds)) = (fields::is_timestamp(name), value.as_f64()) {
        time(body, (seconds * 1_000.0).round() as u64);
        return;
    }
    let payload = value
        .as_str()
        .filter(|_| fields::is_blob(name))
        .and_then(|data| STANDARD.decode_to_vec(data).ok());
    match payload {
        Some(data) => bytes(body, &data),
        None => write(body, value),
    }
}

/// Writes the beginning of a map: names and values follow, and [`end`].
pub(super) fn map(body: &mut Vec<u8>) {
    body.push(MAP);
}

/// Writes the beginning of a list: its items follow, and [`end`].
pub(super) fn array(body: &mut Vec<u8>) {
    body.push(ARRAY);
}

/// Writes the end of a map or a list.
pub(super) fn end(body: &mut Vec<u8>) {
    body.push(BREAK);
}

/// Writes a text.
pub(super) fn text(body: &mut Vec<u8>, value: &str) {
    head(body, TEXT, value.len() as u64);
    body.extend_from_slice(value.as_bytes());
}

/// Writes a byte string.
pub(super) fn bytes(body: &mut Vec<u8>, value: &[u8]) {
    head(body, BYTES, value.len() as u64);
    body.extend_from_slice(value);
}

/// Writes a time: tag 1 and whole milliseconds.
pub(super) fn time(body: &mut Vec<u8>, millis: u64) {
    head(body, TAG, EPOCH);
    head(body, UNSIGNED, millis);
}

/// Writes the first byte of an item, with its argument in as few bytes as possible (RFC 8949,
/// section 3).
fn head(body: &mut Vec<u8>, major: u8, argument: u64) {
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => body.push(major | bytes[7]),
        24..=0xFF => body.extend_from_slice(&[major | 24, bytes[7]]),
        0x100..=0xFFFF => {
            body.push(major | 25);
            body.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xFFFF_FFFF => {
            body.push(major | 26);
            body.extend_from_slice(&bytes[4..]);
        }
        _ => {
            body.push(major | 27);
            body.extend_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> Vec<u8> {
        let mut body = Vec::new();
        write(&mut body, value);
        body
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let value = json!({
            "null": null, "yes": true, "no": false, "text": "ü", "list": [1, "two", [3.5]],
            "numbers": [0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295_u64, 4_294_967_296_u64, u64::MAX, -1, -24, -25, -70_000, i64::MIN],
            "Data": "AP8H", "StreamCreationTimestamp": 1_700_000_000.123,
        });
        let body = written(&value);
        assert_eq!(to_json(read(&body).expect("valid CBOR")), value);
    }

    #[test]
    fn a_payload_is_a_byte_string_and_a_time_is_tagged_milliseconds() {
        assert_eq!(
            written(&json!({ "Data": "AP8H" })),
            b"\xBF\x64Data\x43\x00\xFF\x07\xFF"
        );
        let mut expected = b"\xBF\x69Timestamp\xC1\x1B".to_vec();
        expected.extend_from_slice(&1_700_000_000_123_u64.to_be_bytes());
        expected.push(0xFF);
        assert_eq!(
            written(&json!({ "Timestamp": 1_700_000_000.123 })),
            expected
        );
    }

    #[test]
    fn lists_and_maps_do_not_say_how_long_they_are() {
        assert_eq!(
            written(&json!({ "a": [1, {}] })),
            b"\xBF\x61a\x9F\x01\xBF\xFF\xFF\xFF"
        );
    }

    /// A time can be read as the SDK for Java writes it, or as seconds.
    #[test]
    fn a_time_is_read_as_the_java_sdk_writes_it_or_as_seconds() {
        let tagged = |inner| to_json(Cbor::Tag(EPOCH, Box::new(inner)));
        assert_eq!(tagged(Cbor::Integer(1_500.into())), json!(1.5));
        assert_eq!(tagged(Cbor::Float(1.5)), json!(1.5));
    }

    #[test]
    fn what_is_not_cbor_is_refused() {
        assert!(read(&[0xA1, 0x64]).is_none());
        assert!(read(&[]).is_none());
    }
}
