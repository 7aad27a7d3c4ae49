//! Subscriptions that break, fall silent or are refused: the shard goes on where it was, and no call
//! comes too often.

#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{Pushing, Script, lease_of, payloads, until};
use kcl_core::InitialPosition;
use kcl_core::model::ShardId;
use kcl_core::stream::memory::{Operation, SubscriptionFault};
use kcl_core::stream::{ErrorKind, StartAt};
use kcl_core::worker::Event;
use std::time::Duration;

use super::fan_out::{put_aggregate, starts};

/// After so long without an event a subscription is replaced.
const SILENCE: Duration = Duration::from_secs(30);

/// The other one: a sentinel that is resolved anew by each call skips what arrived between two of
/// them.
#[tokio::test(start_paused = true)]
async fn latest_is_one_moment_however_often_subscribing_fails() {
    let world = Pushing::new(1);
    let shard = world.shard();
    world.stream.put_to(&shard, "k", "before").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        world.stream.next_subscription(
            &shard,
            SubscriptionFault::BreakAfter(0, ErrorKind::Transient),
        );
        world
            .stream
            .next_subscription(&shard, SubscriptionFault::EndAfter(0));
    }
    let run = world
        .fleet()
        .initial_position(InitialPosition::Latest)
        .start(Script::default());
    for n in 0..8 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.stream.put_to(&shard, "k", n.to_string()).unwrap();
    }
    run.seen.wait_for_records(8).await;
    assert_eq!(run.seen.payloads(), payloads(0..8));
    let starts = starts(&world.stream);
    assert!(
        starts.len() == 7 && matches!(starts[0], StartAt::Timestamp(_)),
        "{starts:?}"
    );
    assert!(starts.iter().all(|start| *start == starts[0]), "{starts:?}");
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broken_subscription_resumes_after_the_last_delivery() {
    let world = Pushing::new(1);
    let shard = world.shard();
    world.stream.next_subscription(
        &shard,
        SubscriptionFault::BreakAfter(1, ErrorKind::Transient),
    );
    let sequence = put_aggregate(&world.stream, &shard, 0..10);
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(10).await;
    put_aggregate(&world.stream, &shard, 10..20);
    run.seen.wait_for_records(20).await;
    assert_eq!(run.seen.payloads(), payloads(0..20));
    assert_eq!(
        starts(&world.stream),
        [StartAt::TrimHorizon, StartAt::Sequence(sequence)]
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_subscription_is_replaced_and_a_quiet_shard_is_not() {
    let world = Pushing::new(2);
    let shards = world.stream.open_shards();
    world
        .stream
        .next_subscription(&shards[0], SubscriptionFault::SilentAfter(2));
    let run = world.fleet().start(Script::default());
    until("a subscription", || world.stream.subscriptions().len() == 2).await;
    let begun = world.now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    world
        .stream
        .put_to(&shards[0], "k", "while it is silent")
        .unwrap();
    run.seen.wait_for_records(1).await;
    let took = world.now().since(begun);
    assert!(
        took > SILENCE && took < SILENCE + Duration::from_secs(12),
        "{took:?}"
    );
    tokio::time::sleep(Duration::from_mins(62)).await;
    let count = |shard: &ShardId| {
        world
            .stream
            .subscriptions()
            .iter()
            .filter(|made| made.shard == *shard)
            .count()
    };
    assert_eq!(
        (count(&shards[0]), count(&shards[1])),
        (14, 13),
        "one each five minutes, and the silent one"
    );
    assert_eq!(world.stream.call_count(Operation::Subscribe, None), 27);
    run.stop().await.unwrap();
}

/// One that has left the stream has ended.
#[tokio::test(start_paused = true)]
async fn a_shard_not_found_but_listed_is_subscribed_to_again() {
    let world = Pushing::new(1);
    let shard = world.shard();
    world.stream.put_to(&shard, "k", "0").unwrap();
    world
        .stream
        .fail_next_of(&shard, Operation::Subscribe, ErrorKind::Gone, 5);
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(1).await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::DataGap { .. })),
        0
    );
    assert_eq!(
        world.stream.call_count(Operation::RegisterConsumer, None),
        1,
        "the consumer is there"
    );
    world.stream.split_evenly(&shard).unwrap();
    world.stream.put_to(&shard, "k", "refused").unwrap_err();
    world.stream.drop_shard(&shard).unwrap();
    for child in world.stream.open_shards() {
        world
            .stream
            .put_to(&child, "k", format!("of {child}"))
            .unwrap();
    }
    run.seen.wait_for_records(3).await;
    assert!(
        lease_of(&world.table, &shard)
            .await
            .checkpoint
            .is_shard_end()
    );
    world.assert_paced();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn throttling_is_paused_longer_and_no_second_holds_two_calls() {
    let world = Pushing::new(1);
    let shard = world.shard();
    world
        .stream
        .fail_next_of(&shard, Operation::Subscribe, ErrorKind::Throttled, 6);
    world.stream.put_to(&shard, "k", "0").unwrap();
    let run = world.fleet().start(Script::default());
    let begun = world.now();
    run.seen.wait_for_records(1).await;
    assert!(
        world.now().since(begun) > Duration::from_secs(15),
        "{:?}",
        world.now().since(begun)
    );
    world.assert_paced();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_denied_shard_is_reported_and_its_lease_released() {
    let world = Pushing::new(2);
    let shard = world.shard();
    world
        .stream
        .fail_next_of(&shard, Operation::Subscribe, ErrorKind::Denied, 1);
    world.stream.put_to(&shard, "k", "0").unwrap();
    let run = world.fleet().start(Script::default());
    run.heard
        .wait_for("that it cannot be read", |event| {
            matches!(event, Event::ShardUnreadable { .. })
        })
        .await;
    // It is tried again after a pause.
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
}
