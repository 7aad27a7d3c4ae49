use kcl_core::model::{ShardId, Timestamp};
use kcl_core::stream::{
    Consumer, ConsumerArn, ConsumerStatus, ErrorKind, FanOut as _, StartAt, Stream as _,
    WhichConsumer,
};
use serde_json::{Value, json};

use super::wire::{Answer, Wire};

const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
const CONSUMER: &str =
    "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/orders-app:1700000000";

fn summary() -> Answer {
    Answer::ok(&json!({ "StreamDescriptionSummary": {
        "StreamName": "orders", "StreamARN": STREAM, "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_600_000_000.0, "EnhancedMonitoring": [], "OpenShardCount": 1,
    }}))
}

fn facts(status: &str) -> Value {
    json!({
        "ConsumerName": "orders-app", "ConsumerARN": CONSUMER, "ConsumerStatus": status,
        "ConsumerCreationTimestamp": 1_700_000_000.0, "StreamARN": STREAM,
    })
}

fn described(status: &str) -> Answer {
    Answer::ok(&json!({ "ConsumerDescription": facts(status) }))
}

fn arn() -> ConsumerArn {
    ConsumerArn::new(CONSUMER)
}

fn consumer(status: ConsumerStatus) -> Consumer {
    Consumer::new(
        arn(),
        "orders-app",
        status,
        Timestamp::from_millis(1_700_000_000_000),
    )
}

fn by_name() -> WhichConsumer {
    WhichConsumer::Name("orders-app".into())
}

#[tokio::test]
async fn a_consumer_is_described_by_name_and_the_arn_is_fetched_once() {
    let wire = Wire::answering([
        summary(),
        described("CREATING"),
        described("ACTIVE"),
        described("OF_THE_FUTURE"),
    ]);
    let stream = wire.stream("orders").fan_out().unwrap();
    for status in [
        ConsumerStatus::Creating,
        ConsumerStatus::Active,
        ConsumerStatus::Creating,
    ] {
        assert_eq!(
            stream.describe_consumer(&by_name()).await.unwrap(),
            consumer(status)
        );
    }
    let operations: Vec<_> = wire.sent().into_iter().map(|sent| sent.operation).collect();
    assert_eq!(operations[0], "DescribeStreamSummary");
    assert_eq!(operations[1..], ["DescribeStreamConsumer"; 3]);
    assert_eq!(
        wire.sent()[1].body,
        json!({ "StreamARN": STREAM, "ConsumerName": "orders-app" })
    );
}

#[tokio::test]
async fn a_consumer_is_described_by_its_arn_and_by_nothing_else() {
    let wire = Wire::answering([described("DELETING")]);
    let described = wire
        .stream("orders")
        .describe_consumer(&WhichConsumer::Arn(arn()))
        .await
        .unwrap();
    assert_eq!(described, consumer(ConsumerStatus::Deleting));
    assert_eq!(wire.sent()[0].body, json!({ "ConsumerARN": CONSUMER }));
}

#[tokio::test]
async fn a_stream_that_was_named_by_its_arn_is_not_asked_for_it() {
    let wire = Wire::answering([Answer::ok(&json!({ "Consumer": facts("CREATING") }))]);
    let registered = wire
        .stream(STREAM)
        .register_consumer("orders-app")
        .await
        .unwrap();
    assert_eq!(registered, consumer(ConsumerStatus::Creating));
    assert_eq!(wire.sent()[0].operation, "RegisterStreamConsumer");
    assert_eq!(
        wire.sent()[0].body,
        json!({ "StreamARN": STREAM, "ConsumerName": "orders-app" })
    );
}

#[tokio::test]
async fn a_lost_registration_race_and_a_full_stream_are_told_apart() {
    for (code, kind) in [
        ("ResourceInUseException", ErrorKind::Busy),
        ("LimitExceededException", ErrorKind::Throttled),
    ] {
        let error = Wire::answering([Answer::error(code, "what it says")])
            .stream(STREAM)
            .register_consumer("a")
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.message),
            (kind, format!("{code}: what it says"))
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_consumer_is_no_consumer() {
    let stream = Wire::answering([Answer::ok(&json!({})), Answer::ok(&json!({}))]).stream(STREAM);
    assert_eq!(
        stream
            .register_consumer("orders-app")
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Fatal
    );
    assert_eq!(
        stream.describe_consumer(&by_name()).await.unwrap_err().kind,
        ErrorKind::Fatal
    );
}

#[tokio::test]
async fn to_remove_a_consumer_that_is_gone_or_going_is_no_error() {
    let gone = || Answer::error("ResourceNotFoundException", "no such consumer");
    let busy = || Answer::error("ResourceInUseException", "not now");
    for answers in [
        vec![Answer::ok(&json!({}))],
        vec![gone()],
        vec![busy(), described("DELETING")],
        vec![busy(), gone()],
    ] {
        let wire = Wire::answering(answers.clone());
        wire.stream(STREAM)
            .deregister_consumer(&arn())
            .await
            .unwrap();
        assert_eq!(wire.sent().len(), answers.len());
        assert_eq!(wire.sent()[0].body, json!({ "ConsumerARN": CONSUMER }));
    }
    for second in [described("CREATING"), Answer::NoConnection] {
        let error = Wire::answering([busy(), second])
            .stream(STREAM)
            .deregister_consumer(&arn())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.operation),
            (ErrorKind::Busy, "DeregisterStreamConsumer")
        );
    }
}

#[tokio::test]
async fn missing_rights_are_named_with_the_action_and_the_resource() {
    let denied = || Answer::error("AccessDeniedException", "denied");
    let stream = Wire::answering([denied(), denied(), denied(), denied()]).stream(STREAM);
    let errors = [
        (
            stream.register_consumer("orders-app").await.unwrap_err(),
            "RegisterStreamConsumer",
            STREAM.to_owned(),
        ),
        (
            stream.describe_consumer(&by_name()).await.unwrap_err(),
            "DescribeStreamConsumer",
            format!("{STREAM}/consumer/orders-app:*"),
        ),
        (
            stream.deregister_consumer(&arn()).await.unwrap_err(),
            "DeregisterStreamConsumer",
            CONSUMER.to_owned(),
        ),
        (
            stream
                .subscribe(&arn(), &ShardId::from("shardId-0"), &StartAt::TrimHorizon)
                .await
                .unwrap_err(),
            "SubscribeToShard",
            CONSUMER.to_owned(),
        ),
    ];
    for (error, action, resource) in errors {
        assert_eq!(error.kind, ErrorKind::Fatal);
        let text = format!(
            "{action}: AccessDeniedException: denied; it needs the right `kinesis:{action}` on \
             `{resource}`"
        );
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_told() {
    let number = "49590338271490256608559692538361571095921575989136588898";
    let cases = [
        (StartAt::TrimHorizon, json!({ "Type": "TRIM_HORIZON" })),
        (
            StartAt::Timestamp(Timestamp::from_millis(1_700_000_000_123)),
            json!({ "Type": "AT_TIMESTAMP", "Timestamp": 1_700_000_000.123 }),
        ),
        (
            StartAt::Sequence(number.parse().unwrap()),
            json!({ "Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number }),
        ),
        (
            StartAt::AfterSequence(number.parse().unwrap()),
            json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number }),
        ),
    ];
    for (at, position) in cases {
        // The client has an HTTP client of its own, so that is what subscriptions go by.
        let wire = Wire::answering([Answer::Http {
            status: 200,
            date: None,
            body: String::new(),
        }]);
        let mut subscription = wire
            .stream("orders")
            .subscribe(&arn(), &ShardId::from("shardId-7"), &at)
            .await
            .unwrap();
        assert!(subscription.next().await.unwrap().is_none());
        let body = json!({ "ConsumerARN": CONSUMER, "ShardId": "shardId-7", "StartingPosition": position });
        assert_eq!(wire.sent()[0].body, body);
    }
}
