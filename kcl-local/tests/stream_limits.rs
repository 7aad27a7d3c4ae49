//! The limits of a real shard, switched on.

#![cfg(feature = "stream")]

mod stream_support;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon;
use kcl_local::stream::LocalStream;
use stream_support::{client, create, fill, id, iterator, put, read, until};

#[tokio::test]
async fn the_sixth_read_within_a_second_is_refused_and_a_later_one_not() {
    let stream = LocalStream::builder().read_limits(true).start().await.expect("starts");
    let client = client(&stream);
    create(&client, "s", 2).await;
    put(&client, "s", "k", b"x").await;
    let first = iterator(&client, "s", &id(0), TrimHorizon).await;
    let error = until(|| async { client.get_records().shard_iterator(&first).send().await.err() }).await;
    assert!(error.into_service_error().is_provisioned_throughput_exceeded_exception());
    read(&client, &iterator(&client, "s", &id(1), TrimHorizon).await).await;
    until(|| async { client.get_records().shard_iterator(&first).send().await.ok() }).await;
}

#[tokio::test]
async fn after_more_than_two_mebibytes_a_shard_pauses() {
    let stream = LocalStream::builder().read_limits(true).start().await.expect("starts");
    let client = client(&stream);
    create(&client, "s", 1).await;
    fill(&client, "s", 4, 1024 * 1024 - 16).await;
    let page = read(&client, &iterator(&client, "s", &id(0), TrimHorizon).await).await;
    assert_eq!(page.records.len(), 4);
    let next = page.next_shard_iterator.expect("open");
    let error = client.get_records().shard_iterator(&next).send().await.expect_err("2 seconds of a shard");
    assert!(error.into_service_error().is_provisioned_throughput_exceeded_exception());
    until(|| async { client.get_records().shard_iterator(&next).send().await.ok() }).await;
}

#[tokio::test]
async fn without_limits_reads_are_not_refused() {
    let stream = LocalStream::start().await.expect("starts");
    let client = client(&stream);
    create(&client, "s", 1).await;
    let first = iterator(&client, "s", &id(0), TrimHorizon).await;
    for _ in 0..20 {
        read(&client, &first).await;
    }
}

#[tokio::test]
async fn records_beyond_the_write_limits_fail_one_by_one() {
    let stream = LocalStream::builder().write_limits(true).start().await.expect("starts");
    let client = client(&stream);
    create(&client, "s", 1).await;
    let entry = |_| PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new(vec![0; 400_000])).build();
    let entries = (0..4).map(entry).collect::<Result<Vec<_>, _>>().expect("complete");
    let reply = client.put_records().stream_name("s").set_records(Some(entries)).send().await.expect("puts");
    assert_eq!(reply.failed_record_count, Some(2));
    let codes: Vec<_> = reply.records.iter().map(|record| record.error_code()).collect();
    let refused = Some("ProvisionedThroughputExceededException");
    assert_eq!(codes, [None, None, refused, refused]);
    assert_eq!(read(&client, &iterator(&client, "s", &id(0), TrimHorizon).await).await.records.len(), 2);
}
