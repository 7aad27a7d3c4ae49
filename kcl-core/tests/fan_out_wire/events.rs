//! What a subscription is made of: messages of an event stream, as the service sends them.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::base64;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};

pub(crate) fn message(headers: &[(&'static str, &str)], payload: &[u8]) -> Bytes {
    let mut message = Message::new(Bytes::copy_from_slice(payload));
    for (name, value) in headers {
        message = message.add_header(Header::new(
            *name,
            HeaderValue::String((*value).to_owned().into()),
        ));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes.into()
}

pub(crate) fn initial() -> Bytes {
    message(
        &[
            (":message-type", "event"),
            (":event-type", "initial-response"),
        ],
        b"{}",
    )
}

pub(crate) fn event(body: &Value) -> Bytes {
    message(
        &[
            (":message-type", "event"),
            (":event-type", "SubscribeToShardEvent"),
        ],
        body.to_string().as_bytes(),
    )
}

pub(crate) fn record(sequence: u32, data: &[u8]) -> Value {
    json!({
        "SequenceNumber": sequence.to_string(),
        "ApproximateArrivalTimestamp": 1_700_000_000.123,
        "Data": base64::encode(data),
        "PartitionKey": "customer-7",
    })
}

/// An event with one record.
pub(crate) fn one(sequence: u32, data: &[u8]) -> Bytes {
    event(&json!({
        "Records": [record(sequence, data)],
        "ContinuationSequenceNumber": sequence.to_string(),
        "MillisBehindLatest": 0,
    }))
}

pub(crate) fn exception(name: &str, message: &str) -> Bytes {
    let body = json!({ "message": message }).to_string();
    self::message(
        &[(":message-type", "exception"), (":exception-type", name)],
        body.as_bytes(),
    )
}
