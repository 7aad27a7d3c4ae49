//! The limits of a real shard, switched on.

#![expect(clippy::disallowed_methods, reason = "a rate is measured by the clock")]

use std::time::{Duration, Instant};

use super::support::{create, fill, id, iterator, put, read, register, until};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StartingPosition};
use kcl_local::stream::LocalStream;

/// The sixth read within a second is refused and a later one not.
#[tokio::test]
async fn the_sixth_read_within_a_second_is_refused() {
    let stream = LocalStream::builder()
        .read_limits(true)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 2).await;
    put(&client, "s", "k", b"x").await;
    let first = iterator(&client, "s", &id(0), TrimHorizon).await;
    let error = until(|| async {
        client
            .get_records()
            .shard_iterator(&first)
            .send()
            .await
            .err()
    })
    .await;
    assert!(
        error
            .into_service_error()
            .is_provisioned_throughput_exceeded_exception()
    );
    read(&client, &iterator(&client, "s", &id(1), TrimHorizon).await).await;
    until(|| async {
        client
            .get_records()
            .shard_iterator(&first)
            .send()
            .await
            .ok()
    })
    .await;
}

#[tokio::test]
async fn after_more_than_two_mebibytes_a_shard_pauses() {
    let stream = LocalStream::builder()
        .read_limits(true)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    fill(&client, "s", 4, 1024 * 1024 - 16).await;
    let page = read(&client, &iterator(&client, "s", &id(0), TrimHorizon).await).await;
    assert_eq!(page.records.len(), 4);
    let next = page.next_shard_iterator.expect("open");
    let error = client
        .get_records()
        .shard_iterator(&next)
        .send()
        .await
        .expect_err("2 seconds of a shard");
    assert!(
        error
            .into_service_error()
            .is_provisioned_throughput_exceeded_exception()
    );
    until(|| async { client.get_records().shard_iterator(&next).send().await.ok() }).await;
}

#[tokio::test]
async fn a_consumer_calls_for_a_shard_once_a_second() {
    let settings = LocalStream::builder()
        .read_limits(true)
        .resubscribe_after(Duration::ZERO);
    let stream = settings.start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    let start = StartingPosition::builder()
        .r#type(TrimHorizon)
        .build()
        .expect("complete");
    let call = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(id(0))
        .starting_position(start);
    let _first = call.clone().send().await.expect("subscribes");
    let error = until(|| async { call.clone().send().await.err() }).await;
    assert!(error.into_service_error().is_limit_exceeded_exception());
    until(|| async { call.clone().send().await.ok() }).await;
}

#[tokio::test]
async fn a_subscription_pushes_two_mebibytes_a_second() {
    let stream = LocalStream::builder()
        .read_limits(true)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let consumer = register(&client, "s").await;
    fill(&client, "s", 4, 1024 * 1024 - 64).await;
    let start = StartingPosition::builder()
        .r#type(TrimHorizon)
        .build()
        .expect("complete");
    let call = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(id(0))
        .starting_position(start);
    let mut session = call.send().await.expect("subscribes");
    let mut arrivals = Vec::new();
    for _ in 0..2 {
        let event = session
            .event_stream
            .recv()
            .await
            .expect("an event")
            .expect("the session goes on");
        let event = event.as_subscribe_to_shard_event().expect("an event");
        arrivals.push((event.records.len(), Instant::now()));
    }
    let [(2, first), (2, second)] = arrivals[..] else {
        panic!("not 2 records in each: {arrivals:?}")
    };
    // The first may have been on its way for a while; it took its second from then on.
    assert!(
        second - first > Duration::from_millis(500),
        "{:?}",
        second - first
    );
}

#[tokio::test]
async fn without_limits_reads_are_not_refused() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let first = iterator(&client, "s", &id(0), TrimHorizon).await;
    for _ in 0..20 {
        read(&client, &first).await;
    }
}

#[tokio::test]
async fn records_beyond_the_write_limits_fail_one_by_one() {
    let stream = LocalStream::builder()
        .write_limits(true)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let entry = |_| {
        PutRecordsRequestEntry::builder()
            .partition_key("k")
            .data(Blob::new(vec![0; 400_000]))
            .build()
    };
    let entries = (0..4)
        .map(entry)
        .collect::<Result<Vec<_>, _>>()
        .expect("complete");
    let reply = client
        .put_records()
        .stream_name("s")
        .set_records(Some(entries))
        .send()
        .await
        .expect("puts");
    assert_eq!(reply.failed_record_count, Some(2));
    let codes: Vec<_> = reply
        .records
        .iter()
        .map(|record| record.error_code())
        .collect();
    let refused = Some("ProvisionedThroughputExceededException");
    assert_eq!(codes, [None, None, refused, refused]);
    assert_eq!(
        read(&client, &iterator(&client, "s", &id(0), TrimHorizon).await)
            .await
            .records
            .len(),
        2
    );
}
