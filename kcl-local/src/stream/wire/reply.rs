//! Replies over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::Format;

/// An error in the service's form: status, type, message.
pub(in crate::stream) type Refusal = ferrokinesis::error::KinesisErrorResponse;

/// The header with the id of a request, which SDKs show in their errors.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The header with the type of an error, which the body has too.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A reply with an encoded body.
pub(in crate::stream) fn reply(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    stamp(response.headers_mut());
    response
}

/// A reply with a value.
pub(in crate::stream) fn reply_value(format: Format, value: &Value) -> Response {
    reply(format.content_type(), format.encode(value))
}

/// A reply with an error.
///
/// The body has the type and the message, in the format of the request.
pub(in crate::stream) fn refuse(format: Format, refusal: &Refusal) -> Response {
    let mut response = reply_value(format, &json!(refusal.body));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(kind) = HeaderValue::from_str(&refusal.body.error_type) {
        response.headers_mut().insert(ERROR_TYPE, kind);
    }
    response
}

/// The error of a server that could not carry out a request.
pub(in crate::stream) fn server_failure(cause: &dyn std::error::Error) -> Refusal {
    Refusal::server_error(None, Some(&cause.to_string()))
}

/// Adds the request id: numbered, so that a log and a client's error can be put together.
fn stamp(headers: &mut HeaderMap) {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    if let Ok(id) = HeaderValue::from_str(&format!("00000000-0000-4000-8000-{number:012x}")) {
        headers.insert(REQUEST_ID, id);
    }
}
