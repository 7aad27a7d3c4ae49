//! `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer`,
//! `ListStreamConsumers`.
//!
//! An ARN of a consumer ends with the second of its creation. A name that is registered again gets
//! another ARN, and a program that uses an old one is told that it does not exist.

use ferrokinesis::types::{Consumer, ConsumerStatus, EpochSeconds, StreamStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::arn::stream_name;
use super::request::{check_name, check_range, parse, unfit};
use crate::runtime::now_ms;
use crate::stream::service::Service;
use crate::stream::wire::Refusal;

/// How many consumers a stream can have (Kinesis quota).
const CONSUMERS: usize = 20;
/// How many consumers of a stream can be CREATING at the same time (`RegisterStreamConsumer`).
const CREATING: usize = 5;
/// Consumers on one page (`ListStreamConsumers`: 100, although `MaxResults` may be up to 10,000).
///
/// A stream has at most 20 consumers, so a listing has one page unless a client asks for shorter
/// ones.
const PAGE_CONSUMERS: usize = 100;

/// The request of `RegisterStreamConsumer`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Register {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    consumer_name: String,
}

/// How a request names a consumer: by ARN, or by stream and name.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Which {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
}

/// The request of `ListStreamConsumers`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    max_results: Option<u64>,
    next_token: Option<String>,
}

/// Registers a consumer, which is CREATING for a moment.
///
/// # Errors
///
/// If the stream does not exist, is being created or deleted, has a consumer of this name, or has
/// as many consumers as it may.
///
/// A consumer that is DELETING still has its name, and does not count towards the limit of 20.
pub(in crate::stream) async fn register_stream_consumer(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let request: Register = parse(data)?;
    check_name("ConsumerName", &request.consumer_name)?;
    let stream = stream_name(&service.store, &request.stream_arn)?;
    let _change = service.streams.change().await;
    let status = service.store.get_stream(&stream).await?.stream_status;
    if !matches!(status, StreamStatus::Active | StreamStatus::Updating) {
        return Err(in_use(&format!("Stream {stream} is not ACTIVE.")));
    }
    let now_ms = now_ms();
    service.consumers.settle(&service.store, now_ms).await?;
    let others = service
        .store
        .list_consumers_for_stream(&request.stream_arn)
        .await;
    if others
        .iter()
        .any(|other| other.consumer_name == request.consumer_name)
    {
        return Err(in_use(&format!(
            "Consumer {} under stream {stream} already exists.",
            request.consumer_name
        )));
    }
    let count = |counts: fn(ConsumerStatus) -> bool| {
        others
            .iter()
            .filter(|other| counts(other.consumer_status))
            .count()
    };
    if count(|status| status != ConsumerStatus::Deleting) >= CONSUMERS {
        return Err(too_many(&format!(
            "Stream {stream} has {CONSUMERS} consumers, as many as it may."
        )));
    }
    if count(|status| status == ConsumerStatus::Creating) >= CREATING {
        return Err(too_many(&format!(
            "Stream {stream} has {CREATING} consumers that are CREATING, as many as it may."
        )));
    }
    let arn = |second: u64| {
        format!(
            "{}/consumer/{}:{second}",
            request.stream_arn, request.consumer_name
        )
    };
    let (second, consumer_arn) = service.consumers.unused(now_ms / 1_000, arn).await;
    let consumer = Consumer {
        consumer_name: request.consumer_name.clone(),
        consumer_arn,
        consumer_status: ConsumerStatus::Creating,
        consumer_creation_timestamp: EpochSeconds(second as f64),
    };
    service
        .consumers
        .write(&service.store, consumer.clone(), now_ms)
        .await?;
    Ok(json!({ "Consumer": consumer }))
}

/// Deregisters a consumer, which is DELETING for a moment, and ends its subscriptions. A consumer
/// that is DELETING already is left as it is.
///
/// # Errors
///
/// There is no such consumer.
///
/// Its subscriptions end at once, although the consumer is DELETING for a while.
pub(in crate::stream) async fn deregister_stream_consumer(
    service: &Service,
    data: Value,
) -> Result<(), Refusal> {
    let _change = service.streams.change().await;
    let mut consumer = find(service, data).await?;
    if consumer.consumer_status != ConsumerStatus::Deleting {
        consumer.consumer_status = ConsumerStatus::Deleting;
        let arn = consumer.consumer_arn.clone();
        service
            .consumers
            .write(&service.store, consumer, now_ms())
            .await?;
        service.subscriptions.end(&arn);
    }
    Ok(())
}

/// Describes a consumer.
///
/// # Errors
///
/// There is no such consumer.
pub(in crate::stream) async fn describe_stream_consumer(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let consumer = find(service, data).await?;
    let mut description = json!(consumer);
    description["StreamARN"] = json!(
        consumer
            .consumer_arn
            .split_once("/consumer/")
            .map(|(stream, _)| stream)
    );
    Ok(json!({ "ConsumerDescription": description }))
}

/// Lists a page of a stream's consumers, ordered by name. The token is the name of the last one.
///
/// # Errors
///
/// If the stream does not exist, or a member has an invalid value.
pub(in crate::stream) async fn list_stream_consumers(
    service: &Service,
    data: Value,
) -> Result<Value, Refusal> {
    let request: List = parse(data)?;
    let limit = check_range(
        "MaxResults",
        request.max_results.unwrap_or(PAGE_CONSUMERS as u64),
        1..=10_000,
    )?;
    let limit = limit.min(PAGE_CONSUMERS);
    if let Some(token) = &request.next_token {
        check_name("NextToken", token)?;
    }
    let stream = stream_name(&service.store, &request.stream_arn)?;
    service.stream(&stream).await?;
    service.consumers.settle(&service.store, now_ms()).await?;
    let mut consumers = service
        .store
        .list_consumers_for_stream(&request.stream_arn)
        .await;
    consumers.sort_by(|a, b| a.consumer_name.cmp(&b.consumer_name));
    consumers.retain(|consumer| {
        request
            .next_token
            .as_ref()
            .is_none_or(|behind| consumer.consumer_name > *behind)
    });
    let more = consumers.len() > limit;
    consumers.truncate(limit);
    let mut reply = json!({ "Consumers": consumers });
    if let Some(last) = consumers.last().filter(|_| more) {
        reply["NextToken"] = json!(last.consumer_name);
    }
    Ok(reply)
}

/// Checks that a consumer can subscribe.
///
/// # Errors
///
/// If there is no such consumer, or it is not ACTIVE.
///
/// It is asked twice by a subscription, before and after it is registered.
pub(super) async fn active_consumer(service: &Service, arn: &str) -> Result<(), Refusal> {
    service.consumers.settle(&service.store, now_ms()).await?;
    let consumer = service
        .store
        .get_consumer(arn)
        .await
        .ok_or_else(|| no_consumer(arn))?;
    if consumer.consumer_status == ConsumerStatus::Active {
        return Ok(());
    }
    Err(in_use(&format!(
        "Consumer {arn} is {}, not ACTIVE.",
        consumer.consumer_status
    )))
}

/// Refuses to delete a stream with consumers, unless `EnforceConsumerDeletion` is set.
///
/// # Errors
///
/// If it has consumers.
///
/// A consumer that is being deleted already does not count.
pub(in crate::stream) async fn check_deletable(
    service: &Service,
    data: &Value,
) -> Result<(), Refusal> {
    let (Some(name), false) = (
        data["StreamName"].as_str(),
        data["EnforceConsumerDeletion"] == json!(true),
    ) else {
        return Ok(());
    };
    service.consumers.settle(&service.store, now_ms()).await?;
    let consumers = of_stream(service, name).await;
    if consumers
        .iter()
        .all(|consumer| consumer.consumer_status == ConsumerStatus::Deleting)
    {
        return Ok(());
    }
    Err(in_use(&format!(
        "Stream {name} has registered consumers; EnforceConsumerDeletion is not set."
    )))
}

/// Deletes the consumers of a stream that is being deleted.
///
/// # Errors
///
/// If the store cannot write.
///
/// Without this, a stream that is created again under the same name would have the old consumers.
pub(in crate::stream) async fn forget_consumers(
    service: &Service,
    name: &str,
) -> Result<(), Refusal> {
    for consumer in of_stream(service, name).await {
        service
            .consumers
            .delete(&service.store, &consumer.consumer_arn)
            .await?;
        service.subscriptions.end(&consumer.consumer_arn);
    }
    Ok(())
}

/// All consumers of a stream, whatever their status.
async fn of_stream(service: &Service, name: &str) -> Vec<Consumer> {
    let store = &service.store;
    let arn = format!(
        "arn:aws:kinesis:{}:{}:stream/{name}",
        store.aws_region, store.aws_account_id
    );
    store.list_consumers_for_stream(&arn).await
}

/// The consumer that a request names: by its ARN, by its stream's ARN and its name, or by both if
/// they agree.
///
/// # Errors
/// There is no such consumer, or the request names none or two.
async fn find(service: &Service, data: Value) -> Result<Consumer, Refusal> {
    let which: Which = parse(data)?;
    service.consumers.settle(&service.store, now_ms()).await?;
    let by_arn = match &which.consumer_arn {
        Some(arn) => Some(
            service
                .store
                .get_consumer(arn)
                .await
                .ok_or_else(|| no_consumer(arn))?,
        ),
        None => None,
    };
    let by_name = match (&which.stream_arn, &which.consumer_name) {
        (Some(stream), Some(name)) => {
            let found = service.store.find_consumer(stream, name).await;
            Some(found.ok_or_else(|| no_consumer(&format!("{name} under stream {stream}")))?)
        }
        (None, None) => None,
        _ => {
            return Err(unfit(
                "StreamARN and ConsumerName must be provided together.",
            ));
        }
    };
    match (by_arn, by_name) {
        (Some(one), Some(other)) if one.consumer_arn != other.consumer_arn => Err(unfit(
            "ConsumerARN and StreamARN with ConsumerName name different consumers.",
        )),
        (Some(consumer), _) | (None, Some(consumer)) => Ok(consumer),
        (None, None) => Err(unfit(
            "Either ConsumerARN, or StreamARN and ConsumerName must be provided.",
        )),
    }
}

/// The service's error for a consumer that does not exist.
fn no_consumer(which: &str) -> Refusal {
    Refusal::client_error(
        "ResourceNotFoundException",
        Some(&format!("Consumer {which} not found.")),
    )
}

/// The service's error for something that exists already or is changing at this moment.
pub(super) fn in_use(message: &str) -> Refusal {
    Refusal::client_error("ResourceInUseException", Some(message))
}

/// The service's error for a limit that would be exceeded.
fn too_many(message: &str) -> Refusal {
    Refusal::client_error("LimitExceededException", Some(message))
}
