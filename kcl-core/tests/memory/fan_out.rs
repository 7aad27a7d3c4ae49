//! The stream in memory does what Kinesis does for a reader to which records are pushed.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::time::Duration;

use crate::support::Pushing;
use kcl_core::stream::memory::{Operation, SubscriptionFault};
use kcl_core::stream::{
    ConsumerArn, ConsumerStatus, ErrorKind, FanOut, Pushed, StartAt, Subscription, WhichConsumer,
};

const SECOND: Duration = Duration::from_secs(1);

async fn consumer(world: &Pushing) -> ConsumerArn {
    world.stream.register_consumer("app").await.unwrap().arn
}

async fn subscribe(
    world: &Pushing,
    consumer: &ConsumerArn,
    at: StartAt,
) -> Result<Box<dyn Subscription>, ErrorKind> {
    world
        .stream
        .subscribe(consumer, &world.shard(), &at)
        .await
        .map_err(|error| error.kind)
}

fn texts(event: &Pushed) -> Vec<String> {
    event
        .records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.data).into_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_made_used_and_removed_in_its_time() {
    let world = Pushing::new(1);
    world.stream.set_consumer_delay(SECOND * 3);
    let by_name = WhichConsumer::Name("app".into());
    let gone = world.stream.describe_consumer(&by_name).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::Gone);
    let made = world.stream.register_consumer("app").await.unwrap();
    assert_eq!(made.status, ConsumerStatus::Creating);
    assert!(
        made.arn.as_str().contains(":stream/orders/consumer/app:"),
        "{}",
        made.arn
    );
    assert_eq!(
        world
            .stream
            .register_consumer("app")
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Busy
    );
    assert_eq!(
        subscribe(&world, &made.arn, StartAt::TrimHorizon)
            .await
            .unwrap_err(),
        ErrorKind::Busy
    );
    tokio::time::sleep(SECOND * 3).await;
    let by_arn = world
        .stream
        .describe_consumer(&WhichConsumer::Arn(made.arn.clone()))
        .await
        .unwrap();
    assert_eq!(by_arn.status, ConsumerStatus::Active);
    let mut subscription = subscribe(&world, &made.arn, StartAt::TrimHorizon)
        .await
        .unwrap();
    world.stream.deregister_consumer(&made.arn).await.unwrap();
    assert_eq!(subscription.next().await.unwrap_err().kind, ErrorKind::Gone);
    assert_eq!(
        subscribe(&world, &made.arn, StartAt::TrimHorizon)
            .await
            .unwrap_err(),
        ErrorKind::Busy
    );
    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(
        subscribe(&world, &made.arn, StartAt::TrimHorizon)
            .await
            .unwrap_err(),
        ErrorKind::Gone
    );
    world.stream.set_most_consumers(0);
    assert_eq!(
        world
            .stream
            .register_consumer("other")
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Throttled
    );
}

/// With an empty event each five seconds.
#[tokio::test(start_paused = true)]
async fn records_are_pushed_as_they_are_put_for_five_minutes() {
    let world = Pushing::new(1);
    let arn = consumer(&world).await;
    world.stream.put_to(&world.shard(), "k", "0").unwrap();
    let mut subscription = subscribe(&world, &arn, StartAt::TrimHorizon).await.unwrap();
    assert_eq!(texts(&subscription.next().await.unwrap().unwrap()), ["0"]);
    let begun = world.now();
    let empty = subscription.next().await.unwrap().unwrap();
    assert!(
        empty.records.is_empty() && empty.end.is_none() && empty.millis_behind_latest == Some(0)
    );
    assert_eq!(world.now().since(begun), SECOND * 5);
    let waiting = tokio::spawn(async move { (subscription.next().await, subscription) });
    tokio::time::sleep(SECOND * 2).await;
    world.stream.put_to(&world.shard(), "k", "1").unwrap();
    let (event, mut subscription) = waiting.await.unwrap();
    assert_eq!(texts(&event.unwrap().unwrap()), ["1"]);
    assert_eq!(world.now().since(begun), SECOND * 7, "at once");
    while subscription.next().await.unwrap().is_some() {}
    assert_eq!(world.now().since(begun), SECOND * 300);
    assert_eq!(world.stream.subscriptions()[0].over, Some(world.now()));
    assert!(
        subscription.next().await.unwrap().is_none(),
        "and nothing more"
    );
}

/// Until then it is refused.
#[tokio::test(start_paused = true)]
async fn a_second_subscription_takes_over_after_five_seconds() {
    let world = Pushing::new(1);
    let arn = consumer(&world).await;
    let mut first = subscribe(&world, &arn, StartAt::TrimHorizon).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4999)).await;
    assert_eq!(
        subscribe(&world, &arn, StartAt::TrimHorizon)
            .await
            .unwrap_err(),
        ErrorKind::Busy
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    let waiting = tokio::spawn(async move { (first.next().await, first.next().await) });
    let mut second = subscribe(&world, &arn, StartAt::TrimHorizon).await.unwrap();
    world.stream.put_to(&world.shard(), "k", "0").unwrap();
    let (_, then) = waiting.await.unwrap();
    assert!(matches!(then, Ok(None) | Err(_)), "{then:?}");
    assert_eq!(texts(&second.next().await.unwrap().unwrap()), ["0"]);
    assert_eq!(
        world
            .stream
            .call_count(Operation::Subscribe, Some(&world.shard())),
        3
    );
    // Another consumer is none of its business.
    let other = world.stream.register_consumer("other").await.unwrap().arn;
    assert!(
        subscribe(&world, &other, StartAt::TrimHorizon)
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_event_of_a_shard_names_its_children() {
    let world = Pushing::new(1);
    let (arn, shard) = (consumer(&world).await, world.shard());
    let sequence = world.stream.put_to(&shard, "k", "0").unwrap();
    let children = world.stream.split_evenly(&shard).unwrap();
    let mut subscription = world
        .stream
        .subscribe(&arn, &shard, &StartAt::Sequence(sequence))
        .await
        .unwrap();
    let last = subscription.next().await.unwrap().unwrap();
    assert_eq!(texts(&last), ["0"]);
    assert_eq!(
        last.end
            .unwrap()
            .iter()
            .map(|child| child.id.clone())
            .collect::<Vec<_>>(),
        children
    );
    assert!(subscription.next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_event_holds_a_mebibyte_and_what_is_not_asked_for_waits() {
    let world = Pushing::new(1);
    let (arn, shard) = (consumer(&world).await, world.shard());
    world
        .stream
        .put_many_to(&shard, (0..5).map(|_| ("k", vec![0_u8; 400_000])))
        .unwrap();
    let mut subscription = subscribe(&world, &arn, StartAt::TrimHorizon).await.unwrap();
    tokio::time::sleep(Duration::from_mins(4)).await;
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(subscription.next().await.unwrap().unwrap().records.len());
    }
    assert_eq!(sizes, [2, 2, 1]);
    tokio::time::sleep(Duration::from_mins(4)).await;
    assert!(
        subscription.next().await.unwrap().is_none(),
        "its time was over long before it was asked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscription_does_what_was_asked_for_it() {
    let world = Pushing::new(1);
    let (arn, shard) = (consumer(&world).await, world.shard());
    for fault in [
        SubscriptionFault::EndAfter(1),
        SubscriptionFault::BreakAfter(1, ErrorKind::Transient),
        SubscriptionFault::SilentAfter(1),
        SubscriptionFault::BreakAfter(0, ErrorKind::Busy),
    ] {
        world.stream.next_subscription(&shard, fault);
    }
    let mut endings = Vec::new();
    for events in [1, 1, 1, 0] {
        tokio::time::sleep(SECOND * 5).await;
        let mut subscription = subscribe(&world, &arn, StartAt::TrimHorizon).await.unwrap();
        for _ in 0..events {
            assert!(subscription.next().await.unwrap().is_some());
        }
        endings.push(
            match tokio::time::timeout(Duration::from_hours(1), subscription.next()).await {
                Ok(Ok(event)) => format!("{:?}", event.map(|event| event.records.len())),
                Ok(Err(error)) => format!("{:?}", error.kind),
                Err(_) => "silence".to_owned(),
            },
        );
    }
    assert_eq!(endings, ["None", "Transient", "silence", "Busy"]);
}
