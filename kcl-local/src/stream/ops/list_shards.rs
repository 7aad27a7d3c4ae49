//! `ListShards`.

use ferrokinesis::types::StreamStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use super::consumers::in_use;
use super::request::{check_name, check_range, millis, parse, unfit};
use crate::runtime::now_ms;
use crate::stream::service::{Service, horizon_ms};
use crate::stream::shards::{Filter, PageToken};
use crate::stream::wire::Refusal;

/// Shards on one page (`ListShards`: 1,000, although `MaxResults` may be up to 10,000).
const PAGE_SHARDS: usize = 1_000;

/// The request of a first page or, with a token, of a further one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShardsRequest {
    stream_name: Option<String>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<u64>,
    stream_creation_timestamp: Option<f64>,
    shard_filter: Option<ShardFilter>,
}

/// The filter as a client sends it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: String,
    shard_id: Option<String>,
    timestamp: Option<f64>,
}

/// Lists a page of a stream's shards.
///
/// # Errors
///
/// If the stream does not exist or is being created, the members contradict each other, or the
/// token is invalid or too old.
///
/// Shards whose records have all expired are hidden, as the service removes them.
pub(in crate::stream) async fn list_shards(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let request: ListShardsRequest = parse(data)?;
    let limit = check_range(
        "MaxResults",
        request.max_results.unwrap_or(PAGE_SHARDS as u64),
        1..=10_000,
    )?;
    let now_ms = now_ms();
    let (name, filter, after) = match request.next_token.as_deref() {
        Some(token) => continued(&request, token, now_ms)?,
        None => started(&request)?,
    };
    let stream = service.stream(&name).await?;
    if stream.stream_status == StreamStatus::Creating {
        return Err(in_use(&format!(
            "Stream {name} is CREATING: it has no shards yet."
        )));
    }
    let mut shards = filter.select(&stream.shards, horizon_ms(&stream, now_ms));
    if let Some(after) = &after {
        shards.retain(|shard| shard.shard_id > *after);
    }
    let more = shards.len() > limit.min(PAGE_SHARDS);
    shards.truncate(limit.min(PAGE_SHARDS));
    let mut reply = json!({ "Shards": shards });
    if let (true, Some(last)) = (more, shards.last()) {
        let token = PageToken {
            stream: name,
            filter,
            after: last.shard_id.clone(),
            given_ms: now_ms,
        };
        reply["NextToken"] = Value::String(token.encode());
    }
    Ok(reply)
}

/// What a first page lists: the stream, the filter, and the shard after which it starts.
///
/// # Errors
/// No stream, an invalid name, or a filter that contradicts itself.
fn started(request: &ListShardsRequest) -> Result<(String, Filter, Option<String>), Refusal> {
    let name = request
        .stream_name
        .clone()
        .ok_or_else(|| unfit("Either NextToken or StreamName should be provided."))?;
    check_name("StreamName", &name)?;
    let filter = match &request.shard_filter {
        Some(filter) => {
            let timestamp_ms = filter
                .timestamp
                .map(|at| millis("ShardFilter.Timestamp", at))
                .transpose()?;
            Filter::parse(&filter.r#type, filter.shard_id.clone(), timestamp_ms)
                .map_err(|error| unfit(&error.to_string()))?
        }
        None => Filter::All,
    };
    Ok((name, filter, request.exclusive_start_shard_id.clone()))
}

/// What a further page lists.
///
/// The token carries everything that the first request said, so the service demands that nothing of
/// it is said again.
///
/// # Errors
/// Another member beside the token, or a token that is invalid or older than five minutes.
fn continued(
    request: &ListShardsRequest,
    token: &str,
    now_ms: u64,
) -> Result<(String, Filter, Option<String>), Refusal> {
    let others = [
        ("StreamName", request.stream_name.is_some()),
        (
            "ExclusiveStartShardId",
            request.exclusive_start_shard_id.is_some(),
        ),
        (
            "StreamCreationTimestamp",
            request.stream_creation_timestamp.is_some(),
        ),
        ("ShardFilter", request.shard_filter.is_some()),
    ];
    if let Some((member, _)) = others.into_iter().find(|(_, given)| *given) {
        return Err(unfit(&format!(
            "NextToken and {member} cannot be provided together."
        )));
    }
    let token = PageToken::decode(token).ok_or_else(|| unfit("NextToken is invalid."))?;
    if token.has_expired(now_ms) {
        return Err(Refusal::client_error(
            "ExpiredNextTokenException",
            Some("NextToken is older than 300 seconds."),
        ));
    }
    Ok((token.stream, token.filter, Some(token.after)))
}
