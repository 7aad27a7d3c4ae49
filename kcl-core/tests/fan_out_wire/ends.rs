use std::time::Duration;

use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use kcl_core::model::{ChildShard, HashKeyRange, SequenceNumber, ShardId};
use kcl_core::stream::{ErrorKind, Subscription};
use serde_json::{Value, json};

use super::client::{config, next, pause, soon, stream, stream_with, subscribe};
use super::events;
use super::served::{Reply, Server};

/// A subscription to a server that sends these messages and then ends it.
async fn ending_after(messages: Vec<bytes::Bytes>) -> (Server, Box<dyn Subscription>) {
    let server = Server::start(100, move |_, reply: Reply| {
        let messages = messages.clone();
        async move {
            let mut events = reply.grant();
            messages
                .into_iter()
                .for_each(|message| events.send(message));
            events.end();
        }
    })
    .await;
    let subscription = subscribe(&stream(server.at), "shardId-0").await.unwrap();
    (server, subscription)
}

#[tokio::test]
async fn events_come_in_order_and_then_the_end_without_an_error() {
    let idle = events::event(
        &json!({ "Records": [], "ContinuationSequenceNumber": "1", "MillisBehindLatest": 7 }),
    );
    let unknown = events::message(
        &[(":message-type", "event"), (":event-type", "OfTheFuture")],
        b"{}",
    );
    let (_server, mut subscription) = ending_after(vec![
        events::one(1, b"a"),
        idle,
        unknown,
        events::one(2, b"b"),
    ])
    .await;
    assert_eq!(
        next(&mut subscription).await.unwrap(),
        Some(vec![b"a".to_vec()])
    );
    let empty = subscription.next().await.unwrap().unwrap();
    assert_eq!(
        (empty.records.len(), empty.millis_behind_latest, empty.end),
        (0, Some(7), None)
    );
    assert_eq!(
        next(&mut subscription).await.unwrap(),
        Some(vec![b"b".to_vec()])
    );
    assert_eq!(next(&mut subscription).await.unwrap(), None);
    assert_eq!(next(&mut subscription).await.unwrap(), None);
}

#[tokio::test]
async fn a_subscription_without_any_event_just_ends() {
    let (_server, mut subscription) = ending_after(Vec::new()).await;
    assert_eq!(next(&mut subscription).await.unwrap(), None);
}

/// It names the children.
#[tokio::test]
async fn an_event_without_a_continuation_is_the_last_of_its_shard() {
    let child = |id: &str, parents: &[&str]| json!({ "ShardId": id, "ParentShards": parents, "HashKeyRange": { "StartingHashKey": "5", "EndingHashKey": "9" } });
    let known = |id: &str, parents: &[&str]| {
        let parents = parents
            .iter()
            .map(|parent| ShardId::from(*parent))
            .collect();
        ChildShard::new(id, parents, HashKeyRange::new(5, 9).unwrap())
    };
    let cases = [
        (Value::Null, Value::Null, vec![]),
        (Value::Null, json!([]), vec![]),
        (
            Value::Null,
            json!([child("2", &["0"]), child("3", &["0"])]),
            vec![known("2", &["0"]), known("3", &["0"])],
        ),
    ];
    for (continuation, children, end) in cases {
        let body = json!({
            "Records": [events::record(7, b"last")],
            "ContinuationSequenceNumber": continuation,
            "MillisBehindLatest": 0,
            "ChildShards": children,
        });
        // Nothing after it is read.
        let (_server, mut subscription) =
            ending_after(vec![events::event(&body), events::one(8, b"none")]).await;
        let last = subscription.next().await.unwrap().unwrap();
        assert_eq!((last.records.len(), last.end), (1, Some(end)), "{body}");
        assert_eq!(next(&mut subscription).await.unwrap(), None);
    }
}

#[tokio::test]
async fn children_beside_a_continuation_end_nothing() {
    let body = json!({
        "Records": [events::record(7, b"first")],
        "ContinuationSequenceNumber": "9",
        "MillisBehindLatest": 0,
        "ChildShards": [{ "ShardId": "2", "ParentShards": ["0", "1"], "HashKeyRange": { "StartingHashKey": "5", "EndingHashKey": "9" } }],
    });
    let (_server, mut subscription) =
        ending_after(vec![events::event(&body), events::one(10, b"second")]).await;
    let first = subscription.next().await.unwrap().unwrap();
    assert_eq!(
        (first.end, first.continuation),
        (None, Some(SequenceNumber::from_u128(9)))
    );
    assert_eq!(
        first.named.len(),
        1,
        "who reads on asks whether it has ended"
    );
    assert_eq!(
        next(&mut subscription).await.unwrap(),
        Some(vec![b"second".to_vec()])
    );
}

#[tokio::test]
async fn an_exception_among_the_events_is_judged_like_an_answer() {
    let cases = [
        ("ResourceInUseException", ErrorKind::Busy),
        ("ResourceNotFoundException", ErrorKind::Gone),
        ("InternalFailureException", ErrorKind::Transient),
        ("KMSAccessDeniedException", ErrorKind::Denied),
        ("KMSDisabledException", ErrorKind::Denied),
        ("KMSInvalidStateException", ErrorKind::Denied),
        ("KMSNotFoundException", ErrorKind::Denied),
        ("KMSOptInRequired", ErrorKind::Denied),
        ("KMSThrottlingException", ErrorKind::Throttled),
        // Those that the service's model does not name for a subscription.
        ("LimitExceededException", ErrorKind::Throttled),
        ("AccessDeniedException", ErrorKind::Fatal),
        ("AnExceptionOfTheFuture", ErrorKind::Transient),
    ];
    for (name, kind) in cases {
        let messages = vec![
            events::one(1, b"a"),
            events::exception(name, "what it says"),
            events::one(2, b"none"),
        ];
        let (_server, mut subscription) = ending_after(messages).await;
        assert_eq!(
            next(&mut subscription).await.unwrap(),
            Some(vec![b"a".to_vec()])
        );
        let error = next(&mut subscription).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(
            error.to_string(),
            format!("SubscribeToShard: {name}: what it says")
        );
        assert_eq!(next(&mut subscription).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_exception_right_at_the_beginning_ends_the_subscription() {
    let (_server, mut subscription) = ending_after(vec![events::exception(
        "ResourceInUseException",
        "taken over",
    )])
    .await;
    assert_eq!(
        next(&mut subscription).await.unwrap_err().kind,
        ErrorKind::Busy
    );
}

#[tokio::test]
async fn an_error_message_without_a_model_is_named() {
    let headers = [
        (":message-type", "error"),
        (":error-code", "InternalError"),
        (":error-message", "a bad day"),
    ];
    let (_server, mut subscription) = ending_after(vec![events::message(&headers, b"")]).await;
    let error = next(&mut subscription).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Transient, "InternalError: a bad day")
    );
}

#[tokio::test]
async fn a_refusal_is_judged_and_missing_rights_are_named() {
    for (code, kind) in [
        ("ResourceInUseException", ErrorKind::Busy),
        ("ResourceNotFoundException", ErrorKind::Gone),
        ("LimitExceededException", ErrorKind::Throttled),
        ("InvalidArgumentException", ErrorKind::Denied),
        ("AccessDeniedException", ErrorKind::Fatal),
    ] {
        let server = Server::start(100, move |_, reply: Reply| async move {
            reply.error(code, "no");
        })
        .await;
        let error = subscribe(&stream(server.at), "shardId-0")
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        let names_the_right = error.to_string().contains(
            "it needs the right `kinesis:SubscribeToShard` on \
             `arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/orders-app:1700000000`",
        );
        assert_eq!(names_the_right, code == "AccessDeniedException", "{error}");
    }
}

fn with_limit(server: &Server, limit: Duration) -> kcl_core::stream::kinesis::KinesisStream {
    let limits = TimeoutConfig::builder()
        .operation_timeout(limit)
        .operation_attempt_timeout(limit)
        .read_timeout(limit)
        .build();
    stream_with(config(&format!("http://{}", server.at)).timeout_config(limits))
}

/// It ends with the first event.
#[tokio::test]
async fn the_call_timeout_does_not_cut_a_subscription() {
    let limit = Duration::from_millis(300);
    let server = Server::start(100, move |_, reply: Reply| async move {
        let mut events = reply.grant();
        for number in 1..=4 {
            events.send(events::one(number, b"x"));
            pause(limit / 2).await;
        }
        events.end();
    })
    .await;
    let mut subscription = subscribe(&with_limit(&server, limit), "shardId-0")
        .await
        .unwrap();
    for _ in 1..=4 {
        assert!(next(&mut subscription).await.unwrap().is_some());
    }
    assert_eq!(next(&mut subscription).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_grants_a_subscription_and_says_no_more_is_late() {
    let server = Server::start(
        100,
        |_, reply: Reply| async move { reply.head().gone().await },
    )
    .await;
    let error = soon(subscribe(
        &with_limit(&server, Duration::from_millis(300)),
        "shardId-0",
    ))
    .await
    .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains("no answer in time: no first event within 300ms"),
        "{error}"
    );
    // And its place is free again.
    server.carries(0).await;
}

#[tokio::test]
async fn a_dropped_wait_for_an_event_loses_nothing() {
    let data = vec![7; 100_000];
    let whole = events::one(1, &data);
    let server = Server::start(100, move |_, reply: Reply| {
        let whole = whole.clone();
        async move {
            let mut events = reply.grant();
            for piece in whole.chunks(10_000) {
                events.send(bytes::Bytes::copy_from_slice(piece));
                pause(Duration::from_millis(5)).await;
            }
            events.end();
        }
    })
    .await;
    let mut subscription = subscribe(&stream(server.at), "shardId-0").await.unwrap();
    let mut dropped = 0;
    let pushed = loop {
        tokio::select! {
            biased;
            pushed = subscription.next() => break pushed.unwrap().unwrap(),
            () = pause(Duration::from_millis(1)) => dropped += 1,
        }
    };
    assert!(dropped > 3, "{dropped}");
    assert_eq!(pushed.records[0].data, data);
    assert_eq!(next(&mut subscription).await.unwrap(), None);
}
