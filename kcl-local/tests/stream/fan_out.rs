//! `SubscribeToShard` of the embedded stream, through the AWS SDK.

use std::time::Duration;

use super::support::{create, id, put, register, soon, split, until};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::ShardIteratorType::{
    self, AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon,
};
use aws_sdk_kinesis::types::{
    StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
};
use kcl_local::stream::LocalStream;

async fn subscribe(
    client: &Client,
    consumer: &str,
    position: StartingPosition,
) -> SubscribeToShardOutput {
    let request = client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(id(0));
    request
        .starting_position(position)
        .send()
        .await
        .expect("subscribes")
}

fn start(kind: ShardIteratorType) -> StartingPosition {
    StartingPosition::builder()
        .r#type(kind)
        .build()
        .expect("complete")
}

fn start_at(kind: ShardIteratorType, number: &str) -> StartingPosition {
    StartingPosition::builder()
        .r#type(kind)
        .sequence_number(number)
        .build()
        .expect("complete")
}

async fn event(session: &mut SubscribeToShardOutput) -> Option<SubscribeToShardEvent> {
    match session.event_stream.recv().await.expect("an event")? {
        SubscribeToShardEventStream::SubscribeToShardEvent(event) => Some(event),
        other => panic!("an unknown event: {other:?}"),
    }
}

/// The payloads of the next event that has some.
async fn texts(session: &mut SubscribeToShardOutput) -> Vec<String> {
    loop {
        let event = event(session).await.expect("the session goes on");
        if !event.records.is_empty() {
            return event
                .records
                .iter()
                .map(|record| String::from_utf8_lossy(record.data.as_ref()).into_owned())
                .collect();
        }
    }
}

#[tokio::test]
async fn records_arrive_as_they_are_put() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    put(&client, "s", "k", b"one").await;
    let mut session = subscribe(&client, &consumer, start(TrimHorizon)).await;
    let first = event(&mut session).await.expect("an event");
    assert_eq!(first.millis_behind_latest, 0);
    assert_eq!(
        first.continuation_sequence_number,
        first.records[0].sequence_number
    );
    for text in ["two", "three"] {
        put(&client, "s", "k", text.as_bytes()).await;
        assert_eq!(texts(&mut session).await, [text]);
    }
}

/// A reader that goes on after the continuation misses and repeats nothing.
#[tokio::test]
async fn a_reader_goes_on_after_the_continuation_without_a_gap() {
    let stream = LocalStream::builder()
        .resubscribe_after(Duration::ZERO)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let mut session = subscribe(&client, &consumer, start(Latest)).await;
    let empty = event(&mut session).await.expect("an event");
    assert!(empty.records.is_empty());
    drop(session);
    put(&client, "s", "k", b"one").await;
    let mut session = subscribe(
        &client,
        &consumer,
        start_at(AfterSequenceNumber, &empty.continuation_sequence_number),
    )
    .await;
    let one = event(&mut session).await.expect("an event");
    assert_eq!(one.records.len(), 1);
    drop(session);
    put(&client, "s", "k", b"two").await;
    let mut session = subscribe(
        &client,
        &consumer,
        start_at(AfterSequenceNumber, &one.continuation_sequence_number),
    )
    .await;
    assert_eq!(texts(&mut session).await, ["two"]);
    drop(session);
    let mut session = subscribe(
        &client,
        &consumer,
        start_at(AtSequenceNumber, &one.continuation_sequence_number),
    )
    .await;
    assert_eq!(texts(&mut session).await, ["one", "two"]);
}

#[tokio::test]
async fn a_start_at_a_time_behind_the_last_record_is_the_tip() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    put(&client, "s", "k", b"old").await;
    let all = super::support::iterator(&client, "s", &id(0), TrimHorizon).await;
    let page = super::support::read(&client, &all).await;
    let arrival = super::support::arrival_ms(&page.records[0]);
    let behind = DateTime::from_millis(arrival + 1);
    let position = StartingPosition::builder()
        .r#type(AtTimestamp)
        .timestamp(behind)
        .build()
        .expect("complete");
    let mut session = until(|| async {
        let request = client
            .subscribe_to_shard()
            .consumer_arn(&consumer)
            .shard_id(id(0));
        request
            .starting_position(position.clone())
            .send()
            .await
            .ok()
    })
    .await;
    put(&client, "s", "k", b"new").await;
    assert_eq!(texts(&mut session).await, ["new"]);
}

#[tokio::test]
async fn a_session_far_behind_says_so() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    super::support::fill(&client, "s", 6, 1024 * 1024 - 64).await;
    let mut session = subscribe(&client, &consumer, start(TrimHorizon)).await;
    let mut behind = Vec::new();
    while behind.last() != Some(&0) {
        behind.push(
            event(&mut session)
                .await
                .expect("an event")
                .millis_behind_latest,
        );
    }
    assert_eq!(behind.len(), 3, "6 MiB in events of 2 MiB: {behind:?}");
    assert!(behind[..2].iter().all(|millis| *millis > 0));
}

#[tokio::test]
async fn the_end_of_a_shard_has_no_continuation_and_the_children() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    put(&client, "s", "k", b"last").await;
    let mut session = subscribe(&client, &consumer, start(TrimHorizon)).await;
    assert_eq!(texts(&mut session).await, ["last"]);
    split(&client, "s", &id(0)).await;
    let end = loop {
        let event = event(&mut session).await.expect("the end comes");
        if event.continuation_sequence_number.is_empty() {
            break event;
        }
    };
    let children: Vec<_> = end
        .child_shards()
        .iter()
        .map(|child| child.shard_id.clone())
        .collect();
    assert_eq!(
        (children, end.millis_behind_latest),
        (vec![id(1), id(2)], 0)
    );
    assert!(event(&mut session).await.is_none(), "the session is over");
}

#[tokio::test]
async fn a_session_ends_after_its_time_and_when_the_server_stops() {
    let session = Duration::from_millis(300);
    let stream = LocalStream::builder()
        .fan_out_session(session)
        .start()
        .await
        .expect("starts");
    let short = stream.client();
    create(&short, "s", 1).await;
    let consumer = register(&short, "s").await;
    let mut session = subscribe(&short, &consumer, start(Latest)).await;
    while event(&mut session).await.is_some() {}

    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let mut session = subscribe(&client, &consumer, start(Latest)).await;
    assert!(event(&mut session).await.is_some());
    stream.stop().await;
    while event(&mut session).await.is_some() {}
}

#[tokio::test]
async fn an_unknown_consumer_is_refused() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let request = client
        .subscribe_to_shard()
        .consumer_arn(format!("{consumer}0"))
        .shard_id(id(0));
    let error = request
        .starting_position(start(Latest))
        .send()
        .await
        .expect_err("no such consumer");
    assert!(error.into_service_error().is_resource_not_found_exception());
}

/// A second subscription within five seconds is refused and the first goes on.
#[tokio::test]
async fn a_refused_second_subscription_leaves_the_first_alone() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 2).await;
    let consumer = register(&client, "s").await;
    let mut first = subscribe(&client, &consumer, start(Latest)).await;
    let again = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(id(0))
        .starting_position(start(Latest));
    let error = again.clone().send().await.expect_err("too early");
    assert!(error.into_service_error().is_resource_in_use_exception());
    again
        .clone()
        .shard_id(id(1))
        .send()
        .await
        .expect("another shard is another matter");
    client
        .put_record()
        .stream_name("s")
        .partition_key("k")
        .explicit_hash_key("0")
        .data(Blob::new(*b"one"))
        .send()
        .await
        .expect("puts");
    assert_eq!(soon(texts(&mut first)).await, ["one"]);
    drop(first);
    let error = again
        .send()
        .await
        .expect_err("it counts though the first one is gone");
    assert!(error.into_service_error().is_resource_in_use_exception());
}

#[tokio::test]
async fn a_later_subscription_takes_over() {
    let apart = Duration::from_millis(300);
    let stream = LocalStream::builder()
        .resubscribe_after(apart)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let mut first = subscribe(&client, &consumer, start(Latest)).await;
    let mut second = until(|| async {
        let request = client
            .subscribe_to_shard()
            .consumer_arn(&consumer)
            .shard_id(id(0));
        request.starting_position(start(Latest)).send().await.ok()
    })
    .await;
    let error = soon(async {
        loop {
            if let Err(error) = first.event_stream.recv().await {
                break error.into_service_error();
            }
        }
    });
    assert!(error.await.is_resource_in_use_exception());
    put(&client, "s", "k", b"one").await;
    assert_eq!(soon(texts(&mut second)).await, ["one"]);
}

#[tokio::test]
async fn a_refused_start_does_not_count_as_a_subscription() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let request = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(id(0));
    let error = request
        .starting_position(start_at(AtSequenceNumber, "1"))
        .send()
        .await
        .expect_err("not of this shard");
    assert!(error.into_service_error().is_invalid_argument_exception());
    subscribe(&client, &consumer, start(Latest)).await;
}

#[tokio::test]
async fn a_deleted_stream_ends_its_subscriptions() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let mut session = subscribe(&client, &consumer, start(Latest)).await;
    event(&mut session).await.expect("it has begun");
    client
        .delete_stream()
        .stream_name("s")
        .enforce_consumer_deletion(true)
        .send()
        .await
        .expect("deletes");
    let error = soon(async {
        loop {
            if let Err(error) = session.event_stream.recv().await {
                break error.into_service_error();
            }
        }
    });
    assert!(error.await.is_resource_not_found_exception());
}
