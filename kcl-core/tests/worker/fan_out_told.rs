//! What is logged and counted of a worker to which records are pushed.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::time::Duration;

use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::{Operation, SubscriptionFault};

use crate::support::{Call, Counters, Logged, Pushing, Script, alone, loud};

/// Each end is counted by its cause.
#[tokio::test(start_paused = true)]
async fn an_hour_of_subscription_ends_logs_nothing_above_debug() {
    if !alone(concat!(
        module_path!(),
        "::an_hour_of_subscription_ends_logs_nothing_above_debug"
    )) {
        return;
    }
    let (logged, counters) = (Logged::in_this_process(), Counters::of_this_process());
    let world = Pushing::new(1);
    let shard = world.shard();
    let run = world.fleet().start(Script::default());
    world.stream.put_to(&shard, "k", "canary").unwrap();
    run.seen.wait_for_records(1).await;
    let start = logged.take();
    assert!(
        start.contains("registered a consumer"),
        "a thing that stays is worth a word: {start}"
    );
    let by = |name: &str, cause: &str| counters.by(name, "orders", cause);

    // An hour: twelve subscriptions end, and one goes on.
    tokio::time::sleep(Duration::from_mins(61)).await;
    world.stream.put_to(&shard, "k", "canary").unwrap();
    run.seen.wait_for_records(2).await;
    let calm = logged.take();
    assert_eq!(loud(&calm), [""; 0]);
    assert!(
        calm.contains("a subscription has ended"),
        "something is logged"
    );
    assert_eq!(
        (
            by("kcl_subscriptions_ended_total", "ended"),
            counters.of("kcl_subscriptions_opened_total", "orders")
        ),
        (12, 13)
    );
    // Both records, and the first one again at the head of each subscription that begins at it.
    assert_eq!(
        counters.of("kcl_subscription_received_bytes_total", "orders"),
        (2 + 12) * 6
    );
    let (events, empty) = (
        counters.of("kcl_subscription_events_total", "orders"),
        counters.of("kcl_subscription_empty_events_total", "orders"),
    );
    assert!(
        events == empty + 2 + 12 && empty > 600,
        "{events} events, {empty} of them empty"
    );

    // And a bad quarter of an hour.
    for fault in [
        SubscriptionFault::BreakAfter(2, ErrorKind::Transient),
        SubscriptionFault::BreakAfter(2, ErrorKind::Busy),
        SubscriptionFault::BreakAfter(2, ErrorKind::Gone),
        SubscriptionFault::SilentAfter(2),
    ] {
        world.stream.next_subscription(&shard, fault);
    }
    tokio::time::sleep(Duration::from_mins(4)).await;
    world
        .stream
        .fail_next(Operation::Subscribe, ErrorKind::Throttled, 1);
    tokio::time::sleep(Duration::from_mins(11)).await;
    for cause in ["reset", "busy", "gone", "silent"] {
        assert_eq!(by("kcl_subscriptions_ended_total", cause), 1, "{cause}");
    }
    assert_eq!(by("kcl_subscribe_to_shard_refused_total", "throttled"), 1);
    let all = logged.take();
    assert_eq!(
        loud(&all),
        [""; 0],
        "what cures itself is no word above debug either"
    );
    world.stream.close(&shard).unwrap();
    run.seen
        .wait_for("the end", |calls| {
            calls
                .iter()
                .any(|(_, call)| matches!(call, Call::ShardEnded { .. }))
        })
        .await;
    assert_eq!(by("kcl_subscriptions_ended_total", "shard_end"), 1);
    let opened = || counters.of("kcl_subscriptions_opened_total", "orders");
    let causes = ["ended", "reset", "busy", "gone", "silent", "shard_end"];
    let ended: u64 = causes
        .iter()
        .map(|cause| by("kcl_subscriptions_ended_total", cause))
        .sum();
    assert_eq!(opened(), ended, "each that was made is over");
    assert_eq!(
        counters.of("kcl_subscribe_to_shard_duration_seconds", "orders"),
        opened() + 1,
        "each call is timed, also one that is refused"
    );
    assert!(
        counters.of("kcl_subscription_wait_seconds", "orders")
            >= counters.of("kcl_subscription_events_total", "orders")
    );
    assert_eq!(
        counters.of("kcl_behind_latest_seconds", "orders"),
        0,
        "a subscription that is silent is replaced in time"
    );
    run.stop().await.unwrap();
    assert!(!(logged.take() + &all + &calm + &start).contains("canary"));

    // What could not be read for a second shows as lag, and whoever stops reading ends a
    // subscription too.
    let world = Pushing::new(1);
    let more_than_an_event = (0..10_001).map(|_| ("k", "canary"));
    world.stream.put_many(more_than_an_event).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told = || counters.gauges("kcl_behind_latest_seconds", &[("stream", "orders")]);
    assert!(told().iter().all(|lag| lag.is_nan()), "nobody reads");
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(10_001).await;
    assert!(counters.of("kcl_behind_latest_seconds", "orders") >= 1);
    run.stop().await.unwrap();
    assert_eq!(
        (by("kcl_subscriptions_ended_total", "dropped"), opened()),
        (1, ended + 1)
    );
}
