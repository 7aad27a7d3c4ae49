//! The stream in memory does what Kinesis does for a reader.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kcl_core::Clock;
use kcl_core::model::{Moment, SequenceNumber, ShardId, Timestamp};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{Cursor, Error, ErrorKind, Page, StartAt, Stream as _};

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(super) struct ManualClock(Mutex<i64>);

impl ManualClock {
    fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(millis)))
    }

    pub(super) fn set(&self, millis: i64) {
        *self.0.lock().unwrap() = millis;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment::from_origin(Duration::from_millis(
            u64::try_from(*self.0.lock().unwrap()).unwrap(),
        ))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(*self.0.lock().unwrap())
    }

    async fn sleep_until(&self, _: Moment) {
        unreachable!("a stream does not wait")
    }
}

pub(super) fn stream_at(millis: i64, shards: u32) -> (MemoryStream, Arc<ManualClock>) {
    let clock = ManualClock::at(millis);
    (
        MemoryStream::with_clock("orders", shards, clock.clone()),
        clock,
    )
}

pub(super) fn only_shard(stream: &MemoryStream) -> ShardId {
    stream.open_shards()[0].clone()
}

pub(super) fn texts(page: &Page) -> Vec<String> {
    page.records
        .iter()
        .map(|record| String::from_utf8(record.data.to_vec()).unwrap())
        .collect()
}

/// The first page from a place.
pub(super) async fn page_from(stream: &MemoryStream, shard: &ShardId, at: StartAt) -> Page {
    let cursor = stream.open(shard, &at).await.unwrap();
    stream.read(&cursor, 10_000).await.unwrap()
}

pub(super) fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test]
async fn the_shards_of_a_new_stream_share_the_hash_keys_evenly() {
    for count in [1_u32, 2, 3, 4, 256] {
        let shards = MemoryStream::new("orders", count).shards();
        assert_eq!(shards.len(), count as usize);
        assert_eq!(shards[0].hash_range.start(), 0);
        assert_eq!(shards.last().unwrap().hash_range.end(), u128::MAX);
        assert!(
            shards
                .windows(2)
                .all(|pair| pair[0].hash_range.end() + 1 == pair[1].hash_range.start())
        );
        let widths = shards
            .iter()
            .map(|shard| shard.hash_range.end() - shard.hash_range.start());
        let (least, most) = (widths.clone().min().unwrap(), widths.max().unwrap());
        assert!(
            most - least <= u128::from(count),
            "{count} shards: {least} to {most}"
        );
    }
}

#[tokio::test]
async fn keys_reach_every_shard_and_one_key_always_the_same() {
    let stream = MemoryStream::new("orders", 16);
    let records = (0..2000).map(|key| (format!("key-{key}"), "x"));
    stream.put_many(records).unwrap();
    for shard in stream.open_shards() {
        let count = stream.retained(&shard).unwrap();
        assert!((60..200).contains(&count), "{shard}: {count} of 2000");
    }
    assert_eq!(
        stream.put("k", "1").unwrap().0,
        stream.put("k", "2").unwrap().0
    );
}

#[tokio::test]
async fn sequence_numbers_have_56_digits_and_grow_over_the_stream() {
    let stream = MemoryStream::new("orders", 4);
    let mut last = SequenceNumber::from_u128(0);
    for key in 0..100 {
        let (_, sequence) = stream.put(&key.to_string(), "x").unwrap();
        assert_eq!(sequence.to_string().len(), 56);
        assert!(last < sequence);
        last = sequence;
    }
}

#[tokio::test]
async fn a_reader_gets_every_record_in_order_and_waits_at_the_tip() {
    let stream = MemoryStream::new("orders", 1);
    let shard = only_shard(&stream);
    stream
        .put_many_to(&shard, (0..25).map(|n| ("k", n.to_string())))
        .unwrap();
    let mut cursor = stream.open(&shard, &StartAt::TrimHorizon).await.unwrap();
    let mut read = Vec::new();
    for expected in [10, 10, 5, 0, 0] {
        let page = stream.read(&cursor, 10).await.unwrap();
        assert_eq!(page.records.len(), expected);
        read.extend(texts(&page));
        cursor = page.next.unwrap();
    }
    assert_eq!(read, (0..25).map(|n| n.to_string()).collect::<Vec<_>>());
    stream.put_to(&shard, "k", "late").unwrap();
    assert_eq!(texts(&stream.read(&cursor, 10).await.unwrap()), ["late"]);
}

#[tokio::test]
async fn payloads_are_handed_out_without_a_copy() {
    let stream = MemoryStream::new("orders", 1);
    let data = Bytes::from(vec![7; 100]);
    let (shard, _) = stream.put("k", data.clone()).unwrap();
    let page = page_from(&stream, &shard, StartAt::TrimHorizon).await;
    assert_eq!(page.records[0].data.as_ptr(), data.as_ptr());
}

#[tokio::test]
async fn a_page_ends_at_10_mib_but_holds_at_least_one_record() {
    let stream = MemoryStream::new("orders", 1);
    let shard = only_shard(&stream);
    let mebibyte = Bytes::from(vec![0; 1 << 20]);
    stream
        .put_many_to(&shard, (0..12).map(|_| ("", mebibyte.clone())))
        .unwrap();
    stream.put_to(&shard, "", vec![0; 11 << 20]).unwrap();
    stream.put_to(&shard, "", "after").unwrap();
    let mut cursor = stream.open(&shard, &StartAt::TrimHorizon).await.unwrap();
    for expected in [10, 2, 1, 1] {
        let page = stream.read(&cursor, 10_000).await.unwrap();
        assert_eq!(page.records.len(), expected);
        cursor = page.next.unwrap();
    }
}

#[tokio::test]
async fn places_are_opened_where_the_service_opens_them() {
    let (stream, clock) = stream_at(1000, 1);
    let shard = only_shard(&stream);
    let mut numbers = Vec::new();
    for (at, text) in [(1000, "a"), (2000, "b"), (2000, "c"), (3000, "d")] {
        clock.set(at);
        numbers.push(stream.put_to(&shard, "k", text).unwrap());
    }
    clock.set(4000);
    let time = |millis| StartAt::Timestamp(Timestamp::from_millis(millis));
    for (at, expected) in [
        (StartAt::TrimHorizon, "abcd"),
        (time(0), "abcd"),
        (time(1001), "bcd"),
        (time(2000), "bcd"),
        (time(2001), "d"),
        (time(3001), ""),
        (StartAt::Sequence(numbers[1].clone()), "bcd"),
        (StartAt::AfterSequence(numbers[1].clone()), "cd"),
        (StartAt::AfterSequence(numbers[3].clone()), ""),
    ] {
        assert_eq!(
            texts(&page_from(&stream, &shard, at.clone()).await).concat(),
            expected,
            "{at:?}"
        );
    }
}

#[tokio::test]
async fn a_place_at_the_tip_gets_what_is_put_after_it_was_opened() {
    let (stream, clock) = stream_at(1000, 1);
    let shard = only_shard(&stream);
    let before = stream.put_to(&shard, "k", "before").unwrap();
    clock.set(2000);
    let at_time = stream
        .open(&shard, &StartAt::Timestamp(Timestamp::from_millis(1500)))
        .await
        .unwrap();
    let after = stream
        .open(&shard, &StartAt::AfterSequence(before))
        .await
        .unwrap();
    stream.put_to(&shard, "k", "after").unwrap();
    for cursor in [at_time, after] {
        assert_eq!(texts(&stream.read(&cursor, 10).await.unwrap()), ["after"]);
    }
}

#[tokio::test]
async fn a_time_to_come_is_refused_as_the_service_refuses_it() {
    let (stream, _) = stream_at(1000, 1);
    let shard = only_shard(&stream);
    let to_come = StartAt::Timestamp(Timestamp::from_millis(1001));
    assert_eq!(kind(stream.open(&shard, &to_come).await), ErrorKind::Denied);
}

#[tokio::test]
async fn a_trimmed_position_begins_at_the_oldest_retained_record() {
    let stream = MemoryStream::new("orders", 1);
    let shard = only_shard(&stream);
    let numbers = stream
        .put_many_to(&shard, ["a", "b", "c", "d"].map(|text| ("k", text)))
        .unwrap();
    let opened = stream.open(&shard, &StartAt::TrimHorizon).await.unwrap();
    assert_eq!(stream.trim(&shard, &numbers[1]).unwrap(), 2);
    assert_eq!(texts(&stream.read(&opened, 10).await.unwrap()), ["c", "d"]);
    for at in [
        StartAt::Sequence(numbers[0].clone()),
        StartAt::AfterSequence(numbers[0].clone()),
        StartAt::TrimHorizon,
    ] {
        assert_eq!(texts(&page_from(&stream, &shard, at).await), ["c", "d"]);
    }
}

/// It is zero only at the tip.
#[tokio::test]
async fn millis_behind_latest_is_the_age_of_a_pages_last_record() {
    let (stream, clock) = stream_at(1000, 1);
    let shard = only_shard(&stream);
    stream
        .put_many_to(&shard, ["a", "b"].map(|text| ("k", text)))
        .unwrap();
    let cursor = stream.open(&shard, &StartAt::TrimHorizon).await.unwrap();
    let same_instant = stream.read(&cursor, 1).await.unwrap();
    assert_eq!(
        same_instant.millis_behind_latest,
        Some(1),
        "one record is still to come"
    );
    clock.set(61_000);
    let page = stream.read(&cursor, 1).await.unwrap();
    assert_eq!(page.millis_behind_latest, Some(60_000));
    let last = stream.read(&page.next.unwrap(), 1).await.unwrap();
    assert_eq!(last.millis_behind_latest, Some(0));
}

#[tokio::test]
async fn expired_cursors_and_foreign_ones_have_to_be_opened_again() {
    let stream = MemoryStream::new("orders", 1);
    let shard = only_shard(&stream);
    stream.put_to(&shard, "k", "a").unwrap();
    let cursor = stream.open(&shard, &StartAt::TrimHorizon).await.unwrap();
    stream.expire_cursors();
    assert_eq!(kind(stream.read(&cursor, 10).await), ErrorKind::Expired);
    for text in [
        "",
        "AAAA",
        "0/before",
        "0/beside/1",
        "0/before/x",
        "0/before/1/2",
    ] {
        assert_eq!(
            kind(stream.read(&Cursor::new(shard.clone(), text), 10).await),
            ErrorKind::Expired,
            "{text}"
        );
    }
    assert_eq!(
        texts(&page_from(&stream, &shard, StartAt::TrimHorizon).await),
        ["a"]
    );
}

#[tokio::test]
async fn limits_outside_the_services_are_refused() {
    let stream = MemoryStream::new("orders", 1);
    let cursor = stream
        .open(&only_shard(&stream), &StartAt::TrimHorizon)
        .await
        .unwrap();
    for limit in [0, 10_001] {
        assert_eq!(kind(stream.read(&cursor, limit).await), ErrorKind::Fatal);
    }
}

#[tokio::test]
async fn failures_come_as_often_as_asked_and_then_no_more() {
    let stream = MemoryStream::new("orders", 2);
    let [a, b] = <[ShardId; 2]>::try_from(stream.open_shards()).unwrap();
    stream.fail_next(Operation::Describe, ErrorKind::Transient, 1);
    stream.fail_next_of(&b, Operation::Open, ErrorKind::Throttled, 2);
    stream.fail_next(Operation::Open, ErrorKind::Denied, 0);
    assert_eq!(kind(stream.describe().await), ErrorKind::Transient);
    assert!(stream.describe().await.is_ok());
    assert!(stream.open(&a, &StartAt::TrimHorizon).await.is_ok());
    for _ in 0..2 {
        assert_eq!(
            kind(stream.open(&b, &StartAt::TrimHorizon).await),
            ErrorKind::Throttled
        );
    }
    assert!(stream.open(&b, &StartAt::TrimHorizon).await.is_ok());
}

#[tokio::test]
async fn calls_are_written_down_with_their_moments() {
    let (stream, clock) = stream_at(0, 2);
    let [a, b] = <[ShardId; 2]>::try_from(stream.open_shards()).unwrap();
    let cursor = stream.open(&a, &StartAt::TrimHorizon).await.unwrap();
    for at in [200, 400] {
        clock.set(at);
        stream.fail_next(Operation::Read, ErrorKind::Throttled, 1);
        stream.read(&cursor, 1).await.unwrap_err();
    }
    stream.open(&b, &StartAt::TrimHorizon).await.unwrap();
    let reads = stream
        .calls()
        .into_iter()
        .filter(|call| call.operation == Operation::Read && call.shard.as_ref() == Some(&a));
    let moments: Vec<_> = reads
        .map(|call| call.at.since_origin().as_millis())
        .collect();
    assert_eq!(moments, [200, 400]);
    assert_eq!(stream.call_count(Operation::Open, None), 2);
    assert_eq!(stream.call_count(Operation::Open, Some(&b)), 1);
    assert_eq!(stream.call_count(Operation::Read, Some(&b)), 0);
}

#[tokio::test]
async fn arrival_times_never_go_back_with_the_clock() {
    let (stream, clock) = stream_at(5000, 1);
    let shard = only_shard(&stream);
    stream.put_to(&shard, "k", "a").unwrap();
    clock.set(1000);
    stream.put_to(&shard, "k", "b").unwrap();
    let page = page_from(&stream, &shard, StartAt::TrimHorizon).await;
    let arrivals: Vec<_> = page
        .records
        .iter()
        .map(|record| record.arrived_at.unwrap().as_millis())
        .collect();
    assert_eq!(arrivals, [5000, 5000]);
}
