//! `UpdateShardCount`.
//!
//! The service splits and merges over minutes; here everything is done at once, in the same way:
//! every new shard has one or two parents, and readers follow them as they would follow the
//! service's.

use ferrokinesis::types::StreamStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{check_name, check_range, invalid, parse, unfit};
use crate::runtime::now_ms;
use crate::stream::service::{Service, is_closed};
use crate::stream::shards::reshard;
use crate::stream::wire::Refusal;

/// The request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardCountRequest {
    stream_name: String,
    target_shard_count: u64,
    scaling_type: String,
}

/// Reshards a stream uniformly. The new shards exist when this returns.
///
/// # Errors
///
/// If the stream does not exist or is not active, has that many shards already, or the limit of
/// shards would be exceeded.
///
/// The limit counts the shards of all streams, and the shards that this stream has now do not count
/// against it.
pub(in crate::stream) async fn update_shard_count(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let request: ShardCountRequest = parse(data)?;
    check_name("StreamName", &request.stream_name)?;
    let target = check_range("TargetShardCount", request.target_shard_count, 1..=10_000)? as u32;
    if request.scaling_type != "UNIFORM_SCALING" {
        return Err(invalid("ScalingType must be UNIFORM_SCALING"));
    }
    let _change = service.streams.change().await;
    let elsewhere = service.store.sum_open_shards().await;
    let limit = service.store.options.shard_limit;
    let name = request.stream_name.as_str();
    let (before, arn) = service
        .store
        .update_stream(name, |stream| {
            if stream.stream_status != StreamStatus::Active {
                return Err(Refusal::stream_not_active(
                    name,
                    &service.store.aws_account_id,
                ));
            }
            let before = stream
                .shards
                .iter()
                .filter(|shard| !is_closed(shard))
                .count() as u32;
            if before == target {
                return Err(unfit(&format!(
                    "TargetShardCount {target} is the current shard count."
                )));
            }
            if elsewhere.saturating_sub(before).saturating_add(target) > limit {
                let message =
                    format!("The shards of all streams would be more than the limit of {limit}.");
                return Err(Refusal::client_error(
                    "LimitExceededException",
                    Some(&message),
                ));
            }
            reshard(&mut stream.shards, target, now_ms());
            Ok((before, stream.stream_arn.clone()))
        })
        .await?;
    Ok(json!({
        "StreamName": name,
        "StreamARN": arn,
        "CurrentShardCount": before,
        "TargetShardCount": target,
    }))
}
