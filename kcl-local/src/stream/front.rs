//! The front of the server: every request arrives here first.
//!
//! ```text
//!   request ─┬─ GetRecords, GetShardIterator, ListShards, ListStreams, PutRecord, PutRecords,
//!            │  SubscribeToShard, UpdateShardCount, and those of consumers ─────────────────▶ ops
//!            └─ any other ──▶ stream given by name, body in JSON ──▶ emulator ──▶ body in the format of the request
//! ```
//!
//! What the emulator does well enough is left to it; what a consumer depends on is answered here
//! (the table in the docs of [`stream`](super) says how the two differ). The emulator speaks only
//! JSON completely, so requests that are passed on are translated first and their answers
//! afterwards.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, request};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;

use super::ops;
use super::service::Service;
use super::wire::{Format, Refusal, refuse, reply, reply_value, server_failure};

/// The prefix of the operation in `X-Amz-Target`.
pub(super) const TARGET: &str = "Kinesis_20131202.";
/// The operations that are answered here from a parsed value. Puts are parsed from the bytes of the
/// request.
///
/// The list and the `match` in [`answer`] belong together.
const OURS: [&str; 10] = [
    "DeregisterStreamConsumer",
    "DescribeStreamConsumer",
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "RegisterStreamConsumer",
    "SubscribeToShard",
    "UpdateShardCount",
];
/// The size limit of a request's body: 10 MiB of records in Base64, and room for the other members
/// of 500 records.
pub(super) const BODY_BYTES: usize = 16 * 1024 * 1024;

/// Answers a request or passes it on.
///
/// A request that is not one of Kinesis (another content type, no target) goes to the emulator as
/// it is: that is where the wording of those errors is.
pub(super) async fn front(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let format = header(request.headers(), CONTENT_TYPE.as_str()).and_then(Format::of);
    let operation =
        header(request.headers(), "x-amz-target").and_then(|target| target.strip_prefix(TARGET));
    let (Some(format), Some(operation)) = (format, operation.map(str::to_owned)) else {
        return next.run(request).await;
    };
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Some(body) = whole(&parts.headers, body).await else {
        let mut refusal = Refusal::serialization_error(&format!(
            "The request body has more than {BODY_BYTES} bytes"
        ));
        refusal.status_code = 413;
        return refuse(format, &refusal);
    };
    match answer(&service, format, &operation, parts, body, next).await {
        Ok(response) => response,
        Err(refusal) => refuse(format, &refusal),
    }
}

/// The body of a request; `None` if it is too large.
///
/// The rest of a body that is too large is read and dropped, up to four times the limit: only then
/// does the client see the error and not a broken connection.
async fn whole(headers: &HeaderMap, body: Body) -> Option<Bytes> {
    let said =
        header(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<usize>().ok());
    if said.is_none_or(|length| length <= BODY_BYTES) {
        return to_bytes(body, BODY_BYTES).await.ok();
    }
    // A connection that is closed with unread data is reset, and the client may not see the reply.
    let mut left = BODY_BYTES * 4;
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let Some(less) = left.checked_sub(chunk.len()) else {
            break;
        };
        left = less;
    }
    None
}

/// Answers what is answered here, and passes everything else on.
///
/// # Errors
/// A refusal in the form of the service, with its error type and status.
async fn answer(
    service: &Arc<Service>,
    format: Format,
    operation: &str,
    parts: request::Parts,
    body: Bytes,
    next: Next,
) -> Result<Response, Refusal> {
    let value = match operation {
        "PutRecord" => {
            check_signed(&parts.headers, &parts.uri)?;
            return ops::put_record(service, format, &body)
                .await
                .map(|value| reply_value(format, &value));
        }
        "PutRecords" => {
            check_signed(&parts.headers, &parts.uri)?;
            return ops::put_records(service, format, &body)
                .await
                .map(|value| reply_value(format, &value));
        }
        _ => format.decode(&body),
    };
    let Some(mut data) = value.filter(Value::is_object) else {
        // The emulator words this error.
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    ops::name_stream(&service.store, operation, &mut data)?;
    if !OURS.contains(&operation) {
        return pass(service, format, operation, parts, &data, next).await;
    }
    check_signed(&parts.headers, &parts.uri)?;
    let value = match operation {
        "GetRecords" => return ops::get_records(service, format, data).await,
        "SubscribeToShard" => return ops::subscribe_to_shard(service, format, data).await,
        "DeregisterStreamConsumer" => {
            ops::deregister_stream_consumer(service, data).await?;
            return Ok(reply(format.content_type(), Body::empty()));
        }
        "DescribeStreamConsumer" => ops::describe_stream_consumer(service, data).await?,
        "GetShardIterator" => ops::get_shard_iterator(service, data).await?,
        "ListShards" => ops::list_shards(service, data).await?,
        "ListStreamConsumers" => ops::list_stream_consumers(service, data).await?,
        "ListStreams" => ops::list_streams(service, data).await?,
        "RegisterStreamConsumer" => ops::register_stream_consumer(service, data).await?,
        _ => ops::update_shard_count(service, data).await?,
    };
    Ok(reply_value(format, &value))
}

/// Lets the emulator answer in JSON, and converts its answer into the format of the request.
///
/// A call that may change streams holds the lock for changes until the emulator has answered, so
/// that no copy of a stream is kept that is about to change.
async fn pass(
    service: &Service,
    format: Format,
    operation: &str,
    mut parts: request::Parts,
    data: &Value,
    next: Next,
) -> Result<Response, Refusal> {
    let reads = ["Describe", "List", "Get"]
        .iter()
        .any(|verb| operation.starts_with(verb));
    let _change = if reads {
        None
    } else {
        Some(service.streams.change().await)
    };
    if operation == "DeleteStream" {
        ops::check_deletable(service, data).await?;
    }
    let body = Format::Json.encode(data);
    parts.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(Format::Json.content_type()),
    );
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if operation == "DeleteStream" && response.status().is_success() {
        forget(service, data).await?;
    }
    if format == Format::Json {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, BODY_BYTES)
        .await
        .map_err(|error| server_failure(&error))?;
    let body = Format::Json
        .decode(&body)
        .map_or_else(|| body.to_vec(), |value| format.encode(&value));
    parts.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Deletes the records and the consumers of a stream that is being deleted. No record can be put
/// into it any more.
async fn forget(service: &Service, data: &Value) -> Result<(), Refusal> {
    let Some(name) = data["StreamName"].as_str() else {
        return Ok(());
    };
    service.reads.forget(name);
    service.writes.forget(name);
    ops::forget_consumers(service, name).await?;
    service
        .logs
        .delete(name)
        .map_err(|error| server_failure(&error))
}

/// Rejects a request without a signature, as the emulator does. The signature itself is not
/// checked.
///
/// A client without credentials would work here and fail at the service.
fn check_signed(headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
    if headers.contains_key(AUTHORIZATION)
        || uri
            .query()
            .is_some_and(|query| query.contains("X-Amz-Algorithm"))
    {
        return Ok(());
    }
    Err(Refusal::client_error(
        "MissingAuthenticationTokenException",
        Some("Missing Authentication Token"),
    ))
}

/// The value of a header, if there is one and it is text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
