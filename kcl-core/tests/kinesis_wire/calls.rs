use std::time::Duration;

use aws_smithy_types::base64;
use kcl_core::model::{ChildShard, Encryption, HashKeyRange, ShardId, Timestamp};
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::{Cursor, ErrorKind, Page, ShardFilter, StartAt, Stream as _};
use serde_json::{Value, json};

use super::wire::{Answer, Wire};

const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
const SEQUENCE: &str = "49590338271490256608559692538361571095921575989136588898";

fn cursor() -> Cursor {
    Cursor::new(ShardId::from("shardId-000000000000"), "an-iterator")
}

fn record(data: &[u8]) -> Value {
    json!({
        "SequenceNumber": SEQUENCE,
        "ApproximateArrivalTimestamp": 1_700_000_000.123,
        "Data": base64::encode(data),
        "PartitionKey": "customer-7",
        "EncryptionType": "KMS",
    })
}

async fn page_of(body: &Value) -> Page {
    Wire::answering([Answer::ok(body)])
        .stream("orders")
        .read(&cursor(), 10)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_page_holds_what_the_service_sent() {
    let page = page_of(&json!({
        "Records": [record(b"an order")], "NextShardIterator": "the-next", "MillisBehindLatest": 1500,
    }))
    .await;
    let record = &page.records[0];
    assert_eq!(record.sequence.to_string(), SEQUENCE);
    assert_eq!(record.partition_key, "customer-7");
    assert_eq!(
        record.arrived_at,
        Some(Timestamp::from_millis(1_700_000_000_123))
    );
    assert_eq!(record.encryption, Encryption::Kms);
    assert_eq!(&record.data[..], b"an order");
    let next = page.next.unwrap();
    assert_eq!(
        (next.as_str(), next.shard()),
        ("the-next", cursor().shard())
    );
    assert_eq!(page.millis_behind_latest, Some(1500));
    assert!(page.children.is_empty());
}

#[tokio::test]
async fn a_shards_end_is_a_page_without_an_iterator_and_with_children() {
    let child = |id: &str, parents: &[&str], end: &str| json!({ "ShardId": id, "ParentShards": parents, "HashKeyRange": { "StartingHashKey": "5", "EndingHashKey": end } });
    let page = page_of(&json!({
        "Records": [], "NextShardIterator": null, "MillisBehindLatest": 0,
        "ChildShards": [child("shardId-2", &["shardId-0", "shardId-1"], "9")],
    }))
    .await;
    assert_eq!(page.next, None);
    let parents = vec![ShardId::from("shardId-0"), ShardId::from("shardId-1")];
    assert_eq!(
        page.children,
        [ChildShard::new(
            "shardId-2",
            parents,
            HashKeyRange::new(5, 9).unwrap()
        )]
    );
}

/// Children that are badly described count as none.
#[tokio::test]
async fn an_end_without_children_is_an_end() {
    for children in [
        Value::Null,
        json!([]),
        json!([{ "ShardId": "shardId-2", "ParentShards": ["shardId-0"] }]),
        json!([{ "ShardId": "shardId-2", "ParentShards": [], "HashKeyRange": { "StartingHashKey": "9", "EndingHashKey": "5" } }]),
    ] {
        let page = page_of(&json!({ "Records": [record(b"last")], "ChildShards": children })).await;
        assert_eq!(
            (page.records.len(), page.next, page.children),
            (1, None, Vec::new()),
            "{children}"
        );
    }
}

#[tokio::test]
async fn an_unreadable_sequence_number_is_fatal() {
    let mut bad = record(b"x");
    bad["SequenceNumber"] = json!("shardEnd");
    let wire = Wire::answering([Answer::ok(
        &json!({ "Records": [bad], "NextShardIterator": "n" }),
    )]);
    let error = wire.stream("orders").read(&cursor(), 10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert_eq!(
        error.to_string(),
        "GetRecords: the answer holds an invalid sequence number"
    );
}

#[tokio::test]
async fn read_sends_the_iterator_the_limit_and_a_known_arn() {
    for (name, arn) in [("orders", None), (ARN, Some(ARN))] {
        let wire = Wire::answering([Answer::ok(&json!({ "Records": [] }))]);
        wire.stream(name).read(&cursor(), 10_000).await.unwrap();
        let sent = &wire.sent()[0];
        assert_eq!(sent.operation, "GetRecords");
        let mut expected = json!({ "ShardIterator": "an-iterator", "Limit": 10_000 });
        if let Some(arn) = arn {
            expected["StreamARN"] = json!(arn);
        }
        assert_eq!(sent.body, expected);
    }
}

#[tokio::test]
async fn limits_outside_the_services_are_refused_before_a_call() {
    let wire = Wire::default();
    for limit in [0, 10_001, u32::MAX] {
        assert_eq!(
            wire.stream("orders")
                .read(&cursor(), limit)
                .await
                .unwrap_err()
                .kind,
            ErrorKind::Fatal
        );
    }
    assert!(wire.sent().is_empty());
}

#[tokio::test]
async fn places_are_asked_for_as_the_service_names_them() {
    let sequence = SEQUENCE.parse().unwrap();
    let shard = ShardId::from("shardId-000000000003");
    for (at, expected) in [
        (
            StartAt::TrimHorizon,
            json!({ "ShardIteratorType": "TRIM_HORIZON" }),
        ),
        (
            StartAt::Timestamp(Timestamp::from_millis(1_700_000_000_123)),
            json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_700_000_000.123 }),
        ),
        (
            StartAt::Sequence(sequence),
            json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": SEQUENCE }),
        ),
        (
            StartAt::AfterSequence(SEQUENCE.parse().unwrap()),
            json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": SEQUENCE }),
        ),
    ] {
        for (name, key) in [("orders", "StreamName"), (ARN, "StreamARN")] {
            let wire = Wire::answering([Answer::ok(&json!({ "ShardIterator": "the-iterator" }))]);
            let opened = wire.stream(name).open(&shard, &at).await.unwrap();
            assert_eq!((opened.as_str(), opened.shard()), ("the-iterator", &shard));
            let mut expected = expected.clone();
            expected["ShardId"] = json!("shardId-000000000003");
            expected[key] = json!(name);
            assert_eq!(wire.sent()[0].body, expected);
        }
    }
}

#[tokio::test]
async fn an_answer_without_an_iterator_is_fatal() {
    let wire = Wire::answering([Answer::ok(&json!({}))]);
    let error = wire
        .stream("orders")
        .open(cursor().shard(), &StartAt::TrimHorizon)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
}

fn listed(id: &str, parents: &[&str], ending: Option<&str>) -> Value {
    json!({
        "ShardId": id,
        "ParentShardId": parents.first(),
        "AdjacentParentShardId": parents.get(1),
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "340282366920938463463374607431768211455" },
        "SequenceNumberRange": { "StartingSequenceNumber": SEQUENCE, "EndingSequenceNumber": ending },
    })
}

#[tokio::test]
async fn the_list_of_shards_goes_on_with_the_token_alone() {
    for (name, key) in [("orders", "StreamName"), (ARN, "StreamARN")] {
        let wire = Wire::answering([
            Answer::ok(
                &json!({ "Shards": [listed("s-0", &[], Some("7")), listed("s-1", &[], None)], "NextToken": "more" }),
            ),
            Answer::ok(&json!({ "Shards": [listed("s-2", &["s-0", "s-x"], None)] })),
        ]);
        let stream = wire.stream(name);
        let first = stream
            .list_shards(&ShardFilter::AtLatest, None)
            .await
            .unwrap();
        let second = stream
            .list_shards(&ShardFilter::AtLatest, first.next.as_ref())
            .await
            .unwrap();
        assert_eq!(second.next, None);

        let shards = [first.shards, second.shards].concat();
        let found: Vec<_> = shards
            .iter()
            .map(|shard| (shard.id.as_str(), shard.closed, shard.parents.len()))
            .collect();
        assert_eq!(
            found,
            [("s-0", true, 0), ("s-1", false, 0), ("s-2", false, 2)]
        );
        assert_eq!(
            shards[2].parents,
            [ShardId::from("s-0"), ShardId::from("s-x")]
        );
        assert_eq!(shards[0].hash_range, HashKeyRange::WHOLE);
        assert_eq!(shards[0].starting_sequence, Some(SEQUENCE.parse().unwrap()));

        let sent: Vec<_> = wire.sent().into_iter().map(|sent| sent.body).collect();
        assert_eq!(
            sent,
            [
                json!({ key: name, "ShardFilter": { "Type": "AT_LATEST" } }),
                json!({ "NextToken": "more" })
            ]
        );
    }
}

#[tokio::test]
async fn filters_are_sent_as_the_service_names_them() {
    for (filter, expected) in [
        (ShardFilter::All, Value::Null),
        (
            ShardFilter::AtTrimHorizon,
            json!({ "Type": "AT_TRIM_HORIZON" }),
        ),
        (
            ShardFilter::AtTimestamp(Timestamp::from_millis(1_700_000_000_500)),
            json!({ "Type": "AT_TIMESTAMP", "Timestamp": 1_700_000_000.5 }),
        ),
    ] {
        let wire = Wire::answering([Answer::ok(&json!({ "Shards": [] }))]);
        wire.stream("orders")
            .list_shards(&filter, None)
            .await
            .unwrap();
        assert_eq!(wire.sent()[0].body["ShardFilter"], expected);
    }
}

#[tokio::test]
async fn a_shard_that_is_listed_without_readable_hash_keys_is_fatal() {
    for range in [
        Value::Null,
        json!({ "StartingHashKey": "0", "EndingHashKey": "many" }),
    ] {
        let mut shard = listed("s-0", &[], None);
        shard["HashKeyRange"] = range;
        let wire = Wire::answering([Answer::ok(&json!({ "Shards": [shard] }))]);
        let error = wire
            .stream("orders")
            .list_shards(&ShardFilter::All, None)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert_eq!(
            error.to_string(),
            "ListShards: s-0 is listed without its hash keys"
        );
    }
}

mod service_time {
    use std::sync::Arc;

    use async_trait::async_trait;
    use kcl_core::Clock;
    use kcl_core::model::Moment;

    use super::*;

    #[derive(Debug)]
    struct StandingClock;

    #[async_trait]
    impl Clock for StandingClock {
        fn now(&self) -> Moment {
            Moment::default()
        }

        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(1_000_000_000)
        }

        async fn sleep_until(&self, _: Moment) {}
    }

    async fn told(answer: Answer) -> Timestamp {
        let stream: KinesisStream = Wire::answering([answer])
            .stream("orders")
            .with_clock(Arc::new(StandingClock));
        stream
            .list_shards(&ShardFilter::All, None)
            .await
            .unwrap()
            .service_time
    }

    #[tokio::test]
    async fn is_the_date_of_the_answer() {
        let answer = Answer::ok(&json!({ "Shards": [] })).dated("Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(
            told(answer).await,
            Timestamp::from_millis(1_700_000_000_000)
        );
    }

    #[tokio::test]
    async fn is_surely_past_where_the_answer_has_no_readable_date() {
        let window = i64::try_from(Duration::from_mins(5).as_millis()).unwrap();
        for answer in [
            Answer::ok(&json!({})),
            Answer::ok(&json!({})).dated("yesterday"),
        ] {
            assert_eq!(
                told(answer).await,
                Timestamp::from_millis(1_000_000_000 - window)
            );
        }
    }
}

#[tokio::test]
async fn a_description_has_the_arn_creation_time_and_retention() {
    let summary = json!({ "StreamDescriptionSummary": {
        "StreamName": "orders", "StreamARN": ARN, "StreamStatus": "ACTIVE", "RetentionPeriodHours": 48,
        "StreamCreationTimestamp": 1_600_000_000.25, "EnhancedMonitoring": [], "OpenShardCount": 4,
    }});
    for (name, key) in [("orders", "StreamName"), (ARN, "StreamARN")] {
        let wire = Wire::answering([Answer::ok(&summary)]);
        let description = wire.stream(name).describe().await.unwrap();
        assert_eq!(&*description.arn, ARN);
        assert_eq!(
            description.created_at,
            Timestamp::from_millis(1_600_000_000_250)
        );
        assert_eq!(description.retention, Duration::from_hours(48));
        assert_eq!(wire.sent()[0].body, json!({ key: name }));
    }
}
