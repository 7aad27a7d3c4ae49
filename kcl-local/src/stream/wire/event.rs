//! Frames of `application/vnd.amazon.eventstream`.
//!
//! ```text
//!   total length (4) | length of headers (4) | CRC-32 of these 8 | headers | payload | CRC-32 of all before (4)
//!   header: length of name (1) | name | 7 (a string) | length of value (2) | value
//! ```

use super::Format;

/// The bytes of a frame besides headers and payload.
const FRAME: usize = 16;
/// The type code of a header value that is a string.
const STRING: u8 = 7;

/// The first frame: the reply itself, which has no members.
pub(in crate::stream) fn initial_response(format: Format) -> Vec<u8> {
    let payload = format.encode(&serde_json::json!({}));
    event("initial-response", format.event_content_type(), &payload)
}

/// A frame with records.
pub(in crate::stream) fn subscribe_event(format: Format, payload: &[u8]) -> Vec<u8> {
    event(
        "SubscribeToShardEvent",
        format.event_content_type(),
        payload,
    )
}

/// A frame that ends the stream with an error.
///
/// SDKs raise it as the error of the whole subscription.
pub(in crate::stream) fn exception(format: Format, kind: &str, message: &str) -> Vec<u8> {
    let payload = format.encode(&serde_json::json!({ "message": message }));
    let headers = [
        (":message-type", "exception"),
        (":exception-type", kind),
        (":content-type", format.event_content_type()),
    ];
    frame(&headers, &payload)
}

/// A frame of the type `event`.
fn event(kind: &str, content_type: &str, payload: &[u8]) -> Vec<u8> {
    frame(
        &[
            (":message-type", "event"),
            (":event-type", kind),
            (":content-type", content_type),
        ],
        payload,
    )
}

/// A frame with its lengths and checksums. A client that finds a wrong checksum drops the
/// connection.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    let total = FRAME + header_bytes + payload.len();
    let mut frame = Vec::with_capacity(total);
    // Names, values and payloads are far below 4 GiB: the server makes them, and records have at
    // most 10 MiB.
    frame.extend_from_slice(&(total as u32).to_be_bytes());
    frame.extend_from_slice(&(header_bytes as u32).to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    for (name, value) in headers {
        frame.push(name.len() as u8);
        frame.extend_from_slice(name.as_bytes());
        frame.push(STRING);
        frame.extend_from_slice(&(value.len() as u16).to_be_bytes());
        frame.extend_from_slice(value.as_bytes());
    }
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_the_emulator_below_makes_of_the_same_event() {
        let payload = br#"{"Records":[]}"#;
        assert_eq!(
            subscribe_event(Format::Json, payload),
            ferrokinesis::event_stream::encode_subscribe_event(payload, "application/json")
        );
        assert_eq!(
            exception(Format::Json, "ResourceNotFoundException", "gone").len(),
            ferrokinesis::event_stream::encode_exception("ResourceNotFoundException", "gone").len()
        );
    }
}
