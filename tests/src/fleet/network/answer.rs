//! Answers that no service gave.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Response, StatusCode};

/// The body of an answer, which may break off.
pub(super) type Body = BoxBody<Bytes, io::Error>;

/// A body that comes whole.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// The answer of which half comes before the connection breaks.
pub(super) fn cut(answer: Response<Bytes>) -> Response<Body> {
    let (mut parts, bytes) = answer.into_parts();
    parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let broken = io::Error::from(io::ErrorKind::ConnectionReset);
    let stream = futures_util::stream::iter([Ok(Frame::data(half)), Err(broken)]);
    Response::from_parts(parts, StreamBody::new(stream).boxed())
}

fn json(status: StatusCode, like: &str, body: String) -> Response<Body> {
    let mut answer = Response::new(whole(body));
    *answer.status_mut() = status;
    if let Ok(like) = like.parse() {
        answer.headers_mut().insert(CONTENT_TYPE, like);
    }
    answer
}

/// A refusal as both services write it. `like` is the content type of the request.
pub(super) fn refusal(status: StatusCode, like: &str, code: &str, message: &str) -> Response<Body> {
    json(
        status,
        like,
        format!(r#"{{"__type":"{code}","message":"{message}"}}"#),
    )
}

/// An answer that says nothing.
pub(super) fn empty(like: &str) -> Response<Body> {
    json(StatusCode::OK, like, "{}".to_owned())
}

/// What a proxy says that does not reach the service.
pub(super) fn unavailable() -> Response<Body> {
    json(
        StatusCode::SERVICE_UNAVAILABLE,
        "text/html",
        "<html><body><h1>503 Service Unavailable</h1></body></html>".to_owned(),
    )
}
