//! What a test does with a stream by the server's own methods.

use kcl_local::stream::{CallError, LocalStream};

#[tokio::test]
async fn streams_are_made_filled_split_and_merged_without_an_sdk() {
    let kinesis = LocalStream::start().await.unwrap();
    kinesis.create("orders", 2).await.unwrap();
    let [low, high] = kinesis
        .open_shards("orders")
        .await
        .unwrap()
        .try_into()
        .unwrap();
    let puts = kinesis
        .put_all("orders", (0..1200).map(|n| (n.to_string(), n.to_string())))
        .await
        .unwrap();
    assert_eq!(puts.len(), 1200);
    let of_low: Vec<_> = puts
        .iter()
        .filter(|put| put.shard == low)
        .map(|put| &put.sequence)
        .collect();
    assert!(of_low.is_sorted() && !of_low.is_empty() && of_low.len() < 1200);

    let [left, right] = kinesis.split("orders", &low).await.unwrap();
    assert_eq!(
        kinesis.open_shards("orders").await.unwrap(),
        [left.clone(), right.clone(), high.clone()]
    );
    let merged = kinesis.merge("orders", &right, &high).await.unwrap();
    assert_eq!(
        kinesis.open_shards("orders").await.unwrap(),
        [left, merged.clone()]
    );
    let last = kinesis.put("orders", "2", b"\x00\xff").await.unwrap();
    assert!(
        kinesis
            .open_shards("orders")
            .await
            .unwrap()
            .contains(&last.shard)
    );
    kinesis.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_said_as_the_service_says_it() {
    let kinesis = LocalStream::start().await.unwrap();
    let kind = |error: CallError| (error.operation, error.kind);
    assert_eq!(
        kind(kinesis.put("none", "k", "x").await.unwrap_err()),
        ("PutRecord", "ResourceNotFoundException".to_owned())
    );
    kinesis.create("orders", 1).await.unwrap();
    assert_eq!(
        kind(kinesis.create("orders", 1).await.unwrap_err()),
        ("CreateStream", "ResourceInUseException".to_owned())
    );
    let gone = "shardId-000000000007".into();
    let error = kinesis.split("orders", &gone).await.unwrap_err();
    assert!(
        error.to_string().contains("SplitShard")
            && error.to_string().contains("shardId-000000000007"),
        "{error}"
    );
    kinesis.stop().await;
}
