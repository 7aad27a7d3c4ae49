//! `GetShardIterator`.
//!
//! The place is found now and travels in the iterator, so two iterators of one moment and start are
//! equal in what they read.

use ferrokinesis::shard_iterator::create_shard_iterator;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{check_name, millis, parse};
use super::start::Start;
use crate::runtime::now_ms;
use crate::stream::service::Service;
use crate::stream::wire::Refusal;

/// The request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorRequest {
    stream_name: String,
    shard_id: String,
    shard_iterator_type: String,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

/// Creates an iterator for a position in a shard.
///
/// # Errors
///
/// If the stream or the shard does not exist, or the start is invalid; see [`Start::resolve`].
///
/// `LATEST` is resolved now and not at the first read: what is put in between is read.
pub(in crate::stream) async fn get_shard_iterator(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let request: IteratorRequest = parse(data)?;
    check_name("StreamName", &request.stream_name)?;
    check_name("ShardId", &request.shard_id)?;
    let stream = service.stream(&request.stream_name).await?;
    let (_, origin) = service.shard(&stream, &request.shard_id)?;
    let now_ms = now_ms();
    let start = Start {
        kind: &request.shard_iterator_type,
        sequence: request.starting_sequence_number.as_deref(),
        timestamp_ms: request
            .timestamp
            .map(|seconds| millis("Timestamp", seconds))
            .transpose()?,
    };
    let position = start.resolve(
        &stream,
        &service.logs.of(&request.stream_name),
        origin,
        now_ms,
    )?;
    let token = create_shard_iterator(
        &request.stream_name,
        &request.shard_id,
        &position.to_token(),
        now_ms,
    );
    Ok(json!({ "ShardIterator": token }))
}
