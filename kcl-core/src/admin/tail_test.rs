use super::*;
use crate::aggregate::Aggregator;
use crate::stream::memory::Operation;
use crate::{MemoryStream, SystemClock};

async fn all(stream: &MemoryStream, settings: TailSettings) -> Vec<String> {
    let mut tail = Tail::new(Arc::new(stream.clone()), Arc::new(SystemClock), settings);
    let mut all = Vec::new();
    while let Some(page) = tail.next().await.unwrap() {
        let text = |record: &Record| String::from_utf8_lossy(&record.data).into_owned();
        all.extend(page.records.iter().map(text));
    }
    all
}

fn to_the_tip() -> TailSettings {
    TailSettings {
        until_caught_up: true,
        ..TailSettings::new(InitialPosition::TrimHorizon)
    }
}

#[tokio::test]
async fn parents_come_before_their_children_and_it_ends_at_the_tip() {
    let stream = MemoryStream::new("orders", 2);
    let open = stream.open_shards();
    stream.put_to(&open[0], "k", "1").unwrap();
    let child = stream.merge(&open[0], &open[1]).unwrap();
    stream.put_to(&child, "k", "2").unwrap();
    let [grandchild, _] = stream.split_evenly(&child).unwrap();
    stream.put_to(&grandchild, "k", "3").unwrap();
    assert_eq!(all(&stream, to_the_tip()).await, ["1", "2", "3"]);
    let one = TailSettings {
        shards: [child].into(),
        ..to_the_tip()
    };
    assert_eq!(all(&stream, one).await, ["2"]);
}

#[tokio::test]
async fn a_call_that_fails_for_a_moment_loses_and_repeats_nothing() {
    let stream = MemoryStream::new("orders", 1);
    stream.put("k", "1").unwrap();
    stream.fail_next(Operation::Read, ErrorKind::Expired, 1);
    assert_eq!(all(&stream, to_the_tip()).await, ["1"]);
}

/// A shard with a record, split, and a record in a child of it.
fn split() -> MemoryStream {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    stream.put("k", "1").unwrap();
    let [child, _] = stream.split_evenly(&shard).unwrap();
    stream.put_to(&child, "k", "2").unwrap();
    stream
}

/// The listing after the last page fails: after the one with which the reading begins.
fn fail_second_listing(stream: &MemoryStream, tail: &mut Tail, kind: ErrorKind) {
    let begun = futures_util::FutureExt::now_or_never(tail.begin()).unwrap();
    begun.unwrap();
    tail.begun = true;
    stream.fail_next(Operation::ListShards, kind, 1);
}

#[tokio::test]
async fn a_listing_that_fails_after_the_last_page_loses_nothing() {
    let stream = split();
    let mut tail = Tail::new(
        Arc::new(stream.clone()),
        Arc::new(SystemClock),
        to_the_tip(),
    );
    fail_second_listing(&stream, &mut tail, ErrorKind::Throttled);
    let mut seen = Vec::new();
    while let Some(page) = tail.next().await.unwrap() {
        seen.extend(page.records.into_iter().map(|record| record.data));
    }
    assert_eq!(seen, ["1", "2"]);
}

#[tokio::test]
async fn the_last_page_comes_before_the_error_of_the_listing() {
    let stream = split();
    let mut tail = Tail::new(
        Arc::new(stream.clone()),
        Arc::new(SystemClock),
        to_the_tip(),
    );
    fail_second_listing(&stream, &mut tail, ErrorKind::Denied);
    let page = tail.next().await.unwrap().unwrap();
    assert_eq!(page.records[0].data, "1");
    assert_eq!(tail.next().await.unwrap_err().kind, ErrorKind::Denied);
}

#[tokio::test]
async fn an_aggregate_is_taken_apart() {
    let stream = MemoryStream::new("orders", 1);
    let mut aggregator = Aggregator::new();
    for data in ["1", "2"] {
        aggregator.add("k", None, data.as_bytes()).unwrap();
    }
    let aggregate = aggregator.finish().unwrap();
    stream
        .put(&aggregate.partition_key, aggregate.data)
        .unwrap();
    assert_eq!(all(&stream, to_the_tip()).await, ["1", "2"]);
}

#[tokio::test]
async fn a_shard_that_is_not_there_is_an_error() {
    let stream = MemoryStream::new("orders", 1);
    let settings = TailSettings {
        shards: ["shardId-9".into()].into(),
        ..to_the_tip()
    };
    let mut tail = Tail::new(Arc::new(stream), Arc::new(SystemClock), settings);
    let error = tail.next().await.unwrap_err().to_string();
    assert!(error.contains("no shard shardId-9"), "{error}");
}
