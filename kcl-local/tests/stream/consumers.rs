//! Consumers of the embedded stream, through the AWS SDK: how many there may be, and what becomes
//! of them.

use std::time::Duration;

use super::support::{create, id, register, soon, stream_arn, until};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::register_stream_consumer::RegisterStreamConsumerError;
use aws_sdk_kinesis::types::{
    Consumer, ConsumerDescription, ConsumerStatus, ShardIteratorType, StartingPosition,
};
use kcl_local::stream::{LocalStream, LocalStreamBuilder};

/// A time that a test does not see the end of.
const LONG: Duration = Duration::from_secs(60);

/// A server with a stream, and the stream's ARN. Streams take as long as consumers, so a stream is
/// made before consumers take long.
async fn started(settings: LocalStreamBuilder) -> (LocalStream, Client, String) {
    let stream = settings.start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let arn = stream_arn(&client, "s").await;
    (stream, client, arn)
}

async fn try_register(
    client: &Client,
    stream_arn: &str,
    name: &str,
) -> Result<Consumer, RegisterStreamConsumerError> {
    let reply = client
        .register_stream_consumer()
        .stream_arn(stream_arn)
        .consumer_name(name)
        .send()
        .await;
    reply
        .map(|reply| reply.consumer.expect("a consumer"))
        .map_err(SdkError::into_service_error)
}

async fn describe(client: &Client, arn: &str) -> Option<ConsumerDescription> {
    match client
        .describe_stream_consumer()
        .consumer_arn(arn)
        .send()
        .await
    {
        Ok(reply) => reply.consumer_description,
        Err(error) => {
            assert!(error.into_service_error().is_resource_not_found_exception());
            None
        }
    }
}

async fn registered(client: &Client, stream_arn: &str, name: &str) -> Consumer {
    let consumer = try_register(client, stream_arn, name)
        .await
        .expect("registers");
    until(|| async {
        (describe(client, &consumer.consumer_arn)
            .await?
            .consumer_status
            == ConsumerStatus::Active)
            .then_some(())
    })
    .await;
    consumer
}

#[tokio::test]
async fn a_consumer_is_creating_then_active_then_deleting_then_gone() {
    let (_stream, client, arn) =
        started(LocalStream::builder().settle_time(Duration::from_millis(200))).await;
    let made = try_register(&client, &arn, "c").await.expect("registers");
    assert_eq!(made.consumer_status, ConsumerStatus::Creating);
    let described = describe(&client, &made.consumer_arn)
        .await
        .expect("it is there");
    assert_eq!(
        (described.consumer_status, described.stream_arn.as_str()),
        (ConsumerStatus::Creating, arn.as_str())
    );
    assert_eq!(
        described.consumer_creation_timestamp,
        made.consumer_creation_timestamp
    );
    let position = StartingPosition::builder()
        .r#type(ShardIteratorType::Latest)
        .build()
        .expect("complete");
    let early = client
        .subscribe_to_shard()
        .consumer_arn(&made.consumer_arn)
        .shard_id(id(0))
        .starting_position(position);
    let error = early.send().await.expect_err("it is not active");
    assert!(error.into_service_error().is_resource_in_use_exception());
    until(|| async {
        (describe(&client, &made.consumer_arn).await?.consumer_status == ConsumerStatus::Active)
            .then_some(())
    })
    .await;

    let removal = client
        .deregister_stream_consumer()
        .stream_arn(&arn)
        .consumer_name("c");
    removal.clone().send().await.expect("deregisters");
    assert_eq!(
        describe(&client, &made.consumer_arn)
            .await
            .expect("for a moment")
            .consumer_status,
        ConsumerStatus::Deleting
    );
    removal
        .clone()
        .send()
        .await
        .expect("it is on its way already");
    assert!(
        try_register(&client, &arn, "c")
            .await
            .expect_err("the name is in use")
            .is_resource_in_use_exception()
    );
    until(|| async {
        describe(&client, &made.consumer_arn)
            .await
            .is_none()
            .then_some(())
    })
    .await;
    let error = removal.send().await.expect_err("there is none");
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_consumer_of_a_former_name_has_an_arn_of_its_own() {
    let (_stream, client, arn) = started(LocalStream::builder().settle_time(Duration::ZERO)).await;
    let first = try_register(&client, &arn, "c").await.expect("registers");
    client
        .deregister_stream_consumer()
        .consumer_arn(&first.consumer_arn)
        .send()
        .await
        .expect("deregisters");
    let second = try_register(&client, &arn, "c")
        .await
        .expect("the name is free");
    assert_ne!(first.consumer_arn, second.consumer_arn);
}

#[tokio::test]
async fn a_name_is_given_once_whoever_comes_first() {
    let (_stream, client, arn) = started(LocalStream::builder()).await;
    let all =
        futures_util::future::join_all((0..20).map(|_| try_register(&client, &arn, "c"))).await;
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
    assert!(
        all.into_iter()
            .filter_map(Result::err)
            .all(|error| error.is_resource_in_use_exception())
    );
}

#[tokio::test]
async fn a_stream_has_at_most_20_consumers() {
    let (_stream, client, arn) = started(LocalStream::builder().settle_time(Duration::ZERO)).await;
    for n in 0..20 {
        registered(&client, &arn, &format!("c-{n:02}")).await;
    }
    assert!(
        try_register(&client, &arn, "more")
            .await
            .expect_err("there are 20")
            .is_limit_exceeded_exception()
    );
    client
        .deregister_stream_consumer()
        .stream_arn(&arn)
        .consumer_name("c-07")
        .send()
        .await
        .expect("deregisters");
    registered(&client, &arn, "more").await;

    let mut names = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .list_stream_consumers()
            .stream_arn(&arn)
            .max_results(8)
            .set_next_token(token)
            .send()
            .await
            .expect("lists");
        names.extend(
            page.consumers()
                .iter()
                .map(|consumer| consumer.consumer_name.clone()),
        );
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..20)
        .filter(|n| *n != 7)
        .map(|n| format!("c-{n:02}"))
        .chain(["more".to_owned()])
        .collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn at_most_5_consumers_are_being_made_at_a_time() {
    let (_stream, client, arn) =
        started(LocalStream::builder().settle_time(Duration::from_millis(300))).await;
    for n in 0..5 {
        try_register(&client, &arn, &format!("c-{n}"))
            .await
            .expect("registers");
    }
    assert!(
        try_register(&client, &arn, "more")
            .await
            .expect_err("5 are CREATING")
            .is_limit_exceeded_exception()
    );
    until(|| async { try_register(&client, &arn, "more").await.ok() }).await;
}

#[tokio::test]
async fn a_deregistered_consumer_gets_nothing_more() {
    let (_stream, client, _) = started(LocalStream::builder()).await;
    let consumer = register(&client, "s").await;
    let position = StartingPosition::builder()
        .r#type(ShardIteratorType::Latest)
        .build()
        .expect("complete");
    let request = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(id(0))
        .starting_position(position);
    let mut session = request.send().await.expect("subscribes");
    session.event_stream.recv().await.expect("an event");
    client
        .deregister_stream_consumer()
        .consumer_arn(&consumer)
        .send()
        .await
        .expect("deregisters");
    let error = soon(async {
        loop {
            if let Err(error) = session.event_stream.recv().await {
                break error.into_service_error();
            }
        }
    });
    assert!(error.await.is_resource_not_found_exception());
}

#[tokio::test]
async fn a_stream_with_consumers_is_deleted_only_with_them() {
    let (_stream, client, arn) = started(LocalStream::builder()).await;
    let consumer = register(&client, "s").await;
    let error = client
        .delete_stream()
        .stream_name("s")
        .send()
        .await
        .expect_err("it has a consumer");
    assert!(error.into_service_error().is_resource_in_use_exception());
    client
        .delete_stream()
        .stream_arn(&arn)
        .enforce_consumer_deletion(true)
        .send()
        .await
        .expect("deletes");
    assert!(describe(&client, &consumer).await.is_none());
}

#[tokio::test]
async fn a_stream_that_is_being_made_takes_no_consumer() {
    let stream = LocalStream::builder()
        .settle_time(LONG)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .expect("creates");
    let arn = stream_arn(&client, "s").await;
    assert!(
        try_register(&client, &arn, "c")
            .await
            .expect_err("it is not active")
            .is_resource_in_use_exception()
    );
}

#[tokio::test]
async fn a_stream_that_is_being_made_shows_no_shards() {
    let stream = LocalStream::builder()
        .settle_time(LONG)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .expect("creates");
    let listed = client
        .list_shards()
        .stream_name("s")
        .send()
        .await
        .expect_err("it is not active");
    assert!(listed.into_service_error().is_resource_in_use_exception());
    let start = ShardIteratorType::TrimHorizon;
    let opened = client
        .get_shard_iterator()
        .stream_name("s")
        .shard_id("shardId-000000000000")
        .shard_iterator_type(start);
    assert!(
        opened
            .send()
            .await
            .expect_err("it is not there")
            .into_service_error()
            .is_resource_not_found_exception()
    );
}

#[tokio::test]
async fn a_consumer_is_named_in_full_and_without_contradiction() {
    let (_stream, client, arn) = started(LocalStream::builder()).await;
    let (one, other) = (
        registered(&client, &arn, "one").await,
        registered(&client, &arn, "other").await,
    );
    let refused = |error: aws_sdk_kinesis::operation::describe_stream_consumer::DescribeStreamConsumerError| {
        assert!(error.is_invalid_argument_exception(), "{error:?}");
    };
    let ask = || client.describe_stream_consumer();
    refused(
        ask()
            .send()
            .await
            .expect_err("nothing given")
            .into_service_error(),
    );
    refused(
        ask()
            .consumer_name("one")
            .send()
            .await
            .expect_err("no stream")
            .into_service_error(),
    );
    let both = ask().stream_arn(&arn).consumer_name("one");
    refused(
        both.clone()
            .consumer_arn(&other.consumer_arn)
            .send()
            .await
            .expect_err("two consumers")
            .into_service_error(),
    );
    let found = both
        .consumer_arn(&one.consumer_arn)
        .send()
        .await
        .expect("they agree");
    assert_eq!(
        found
            .consumer_description
            .expect("a consumer")
            .consumer_name,
        "one"
    );
}

#[tokio::test]
async fn consumers_of_a_folder_are_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stream, client, arn) = started(LocalStream::builder().folder(folder.path())).await;
    let kept = registered(&client, &arn, "kept").await;
    stream.stop().await;
    let stream = LocalStream::builder()
        .folder(folder.path())
        .start()
        .await
        .expect("starts again");
    let again = stream.client();
    assert_eq!(
        describe(&again, &kept.consumer_arn)
            .await
            .expect("it is there")
            .consumer_status,
        ConsumerStatus::Active
    );
}
