//! Accepts `StreamARN` instead of `StreamName`.
//!
//! A program that knows only ARNs, as one that reads streams of several accounts, works without
//! names.

use ferrokinesis::store::Store;
use serde_json::Value;

use super::request::{invalid, unfit};
use crate::stream::wire::Refusal;

/// The operations whose stream can be given by name or ARN. (Some others take only an ARN; their
/// requests are passed on unchanged.)
///
/// The list is that of the service's model. An operation that is missing here would refuse an ARN.
const BY_NAME_OR_ARN: [&str; 21] = [
    "AddTagsToStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteStream",
    "DescribeStream",
    "DescribeStreamSummary",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetRecords",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "RemoveTagsFromStream",
    "SplitShard",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "UpdateShardCount",
    "UpdateStreamWarmThroughput",
];

/// Replaces a request's `StreamARN` by `StreamName`.
///
/// A request may have both if they name the same stream: the KCL for Java sends such requests.
///
/// # Errors
///
/// If the ARN is not that of a stream, or of a stream in another account or region, or the two
/// disagree.
pub(in crate::stream) fn name_stream(
    store: &Store,
    operation: &str,
    data: &mut Value,
) -> Result<(), Refusal> {
    if !BY_NAME_OR_ARN.contains(&operation) {
        return Ok(());
    }
    let Some(members) = data.as_object_mut() else {
        return Ok(());
    };
    let arn = match members.remove("StreamARN") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(arn)) => arn,
        Some(_) => return Err(Refusal::serialization_error("StreamARN is not a string")),
    };
    let name = stream_name(store, &arn)?;
    match members.get("StreamName").and_then(Value::as_str) {
        Some(given) if given != name => Err(unfit(&format!(
            "StreamName {given} and StreamARN {arn} are of different streams"
        ))),
        _ => {
            members.insert("StreamName".to_owned(), Value::String(name));
            Ok(())
        }
    }
}

/// The name of the stream with this ARN.
///
/// # Errors
///
/// If the ARN is not that of a stream, or of a stream in another account or region.
///
/// A stream of another region is refused and not looked up by its name: a program that talks to the
/// wrong endpoint should see it.
pub(super) fn stream_name(store: &Store, arn: &str) -> Result<String, Refusal> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let name = match parts[..] {
        ["arn", _, "kinesis", _, _, resource] => resource.strip_prefix("stream/"),
        _ => None,
    };
    let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('/')) else {
        return Err(invalid(
            "StreamARN is not the ARN of a stream: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME",
        ));
    };
    if parts[3] != store.aws_region || parts[4] != store.aws_account_id {
        let message = format!(
            "Stream {arn} not found; the streams here are in {} of {}",
            store.aws_region, store.aws_account_id
        );
        return Err(Refusal::client_error(
            "ResourceNotFoundException",
            Some(&message),
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use ferrokinesis::store::StoreOptions;
    use serde_json::json;

    use super::*;

    fn named(operation: &str, mut data: Value) -> Result<Value, String> {
        let store = Store::new(StoreOptions::default());
        name_stream(&store, operation, &mut data)
            .map(|()| data)
            .map_err(|refusal| refusal.body.error_type)
    }

    #[test]
    fn an_arn_becomes_a_name() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s-1";
        assert_eq!(
            named("ListShards", json!({ "StreamARN": arn })),
            Ok(json!({ "StreamName": "s-1" }))
        );
        let both = json!({ "StreamARN": arn, "StreamName": "s-1" });
        assert_eq!(
            named("ListShards", both.clone()),
            Ok(json!({ "StreamName": "s-1" }))
        );
        assert_eq!(named("RegisterStreamConsumer", both.clone()), Ok(both));
    }

    #[test]
    fn an_arn_that_is_not_of_this_stream_is_refused() {
        let refused = |arn: &str| {
            named("ListShards", json!({ "StreamARN": arn, "StreamName": "s" })).unwrap_err()
        };
        assert_eq!(
            refused("arn:aws:kinesis:us-east-1:000000000000:stream/t"),
            "InvalidArgumentException"
        );
        assert_eq!(
            refused("arn:aws:kinesis:eu-west-1:000000000000:stream/s"),
            "ResourceNotFoundException"
        );
        assert_eq!(
            refused("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"),
            "ValidationException"
        );
        assert_eq!(refused("s"), "ValidationException");
    }
}
