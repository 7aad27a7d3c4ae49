//! `ListStreams`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{check_name, check_range, parse, unfit};
use crate::stream::service::Service;
use crate::stream::wire::Refusal;

/// Streams on one page (`ListStreams`: 100, although `Limit` may be up to 10,000).
const PAGE_STREAMS: usize = 100;

/// The request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStreamsRequest {
    limit: Option<u64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

/// Lists a page of stream names. The token is the last of them.
///
/// # Errors
///
/// If a member has an invalid value, or two members say where to continue.
///
/// A stream that is created while somebody lists is found if its name follows the token.
pub(in crate::stream) async fn list_streams(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let request: ListStreamsRequest = parse(data)?;
    let limit = request
        .limit
        .map_or(Ok(PAGE_STREAMS), |limit| {
            check_range("Limit", limit, 1..=10_000)
        })?
        .min(PAGE_STREAMS);
    let behind = match (request.exclusive_start_stream_name, request.next_token) {
        (Some(_), Some(_)) => {
            return Err(unfit(
                "NextToken and ExclusiveStartStreamName cannot be provided together.",
            ));
        }
        (name, token) => name
            .map(|name| ("ExclusiveStartStreamName", name))
            .or_else(|| token.map(|token| ("NextToken", token))),
    };
    if let Some((member, name)) = &behind {
        check_name(member, name)?;
    }
    let mut names = service.store.list_stream_names().await;
    names.sort_unstable();
    names.retain(|name| behind.as_ref().is_none_or(|(_, behind)| name > behind));
    let more = names.len() > limit;
    names.truncate(limit);
    let mut reply = json!({ "StreamNames": names, "HasMoreStreams": more });
    if let Some(last) = names.last().filter(|_| more) {
        reply["NextToken"] = json!(last);
    }
    Ok(reply)
}
