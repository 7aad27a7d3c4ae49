//! The registered consumer of an application: one for all its workers, had or not had, made and
//! removed as it was said.

use std::error::Error as _;
use std::time::Duration;

use crate::support::{Distant, Pushing, Run, Script, Seen, payloads, until};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{ConsumerStatus, ErrorKind, FanOut};
use kcl_core::worker::WhyNoConsumer as Why;
use kcl_core::worker::{Event, FanOutConfig, Mode, RetireError, RunError, StreamConfig};

/// Registers a consumer that is no part of the application.
pub(super) async fn register(stream: &MemoryStream, name: &str) -> String {
    stream
        .register_consumer(name)
        .await
        .unwrap()
        .arn
        .as_str()
        .to_owned()
}

pub(super) fn names(stream: &MemoryStream) -> Vec<String> {
    stream
        .consumers()
        .iter()
        .map(|consumer| consumer.name.to_string())
        .collect()
}

/// Puts a record for each number into the only shard.
pub(super) fn put(world: &Pushing, numbers: std::ops::Range<usize>) {
    world
        .stream
        .put_many_to(
            &world.shard(),
            payloads(numbers).into_iter().map(|n| ("k", n)),
        )
        .unwrap();
}

/// Lets a worker end that cannot have its consumer.
pub(super) async fn without_consumer(run: Run) -> kcl_core::worker::NoConsumer {
    match run.ended().await {
        Err(RunError::NoConsumer(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// None of them fails.
#[tokio::test(start_paused = true)]
async fn twenty_workers_started_together_register_one_consumer() {
    let world = Pushing::new(40);
    world.stream.set_consumer_delay(Duration::from_secs(4));
    let seen = Seen::default();
    let distant = Distant(world.stream.clone(), Duration::from_secs(1));
    let runs: Vec<_> = (0..20)
        .map(|n| {
            world
                .fleet()
                .with(|builder| builder.source(distant.clone()).worker_id(format!("w{n}")))
        })
        .map(|fleet| fleet.start_with(Script::default(), seen.clone()))
        .collect();
    world
        .stream
        .put_many((0..400).map(|n| (n.to_string(), n.to_string())))
        .unwrap();
    seen.wait_for_records(400).await;
    assert_eq!(seen.duplicates(), 0);
    assert_eq!(names(&world.stream), ["tests"]);
    let calls = |operation| world.stream.call_count(operation, None);
    assert!(
        calls(Operation::RegisterConsumer) >= 2,
        "they raced: {}",
        calls(Operation::RegisterConsumer)
    );
    assert!(
        calls(Operation::DescribeConsumer) <= 20 * 8,
        "{}",
        calls(Operation::DescribeConsumer)
    );
    let arn = world.stream.consumers()[0].arn.clone();
    for run in runs {
        run.stop().await.unwrap();
    }
    assert_eq!(
        world.stream.consumers()[0].arn,
        arn,
        "it stays the same to the end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_being_made_or_removed_is_waited_for() {
    let world = Pushing::new(1);
    let arn = register(&world.stream, "tests").await;
    world.stream.set_consumer_delay(Duration::from_secs(10));
    world
        .stream
        .deregister_consumer(&world.stream.consumers()[0].arn)
        .await
        .unwrap();
    assert_eq!(world.stream.consumers()[0].status, ConsumerStatus::Deleting);
    put(&world, 0..1);
    let begun = world.now();
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(1).await;
    let took = world.now().since(begun);
    assert!(
        took > Duration::from_secs(20) && took < Duration::from_secs(26),
        "removed, made, each in 10 s: {took:?}"
    );
    assert_ne!(world.stream.consumers()[0].arn.as_str(), arn);
    run.stop().await.unwrap();
}

/// The error says how many are allowed.
#[tokio::test(start_paused = true)]
async fn a_stream_full_of_consumers_ends_the_worker_after_a_minute() {
    let world = Pushing::new(1);
    world.stream.set_most_consumers(0);
    let begun = world.now();
    let why = without_consumer(world.fleet().start(Script::default())).await;
    let took = world.now().since(begun);
    assert!(
        took > Duration::from_secs(45) && took < Duration::from_secs(70),
        "{took:?}"
    );
    assert!(matches!(why.why, Why::Limit(_)), "{why}");
    let text = why.to_string();
    assert!(
        ["`tests`", "orders", "20 per stream"]
            .iter()
            .all(|part| text.contains(part)),
        "{text}"
    );
    assert!(
        why.source()
            .unwrap()
            .to_string()
            .contains("the stream has 0 consumers")
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_ends_the_worker_at_once_and_is_named() {
    for operation in [Operation::DescribeConsumer, Operation::RegisterConsumer] {
        let world = Pushing::new(4);
        world
            .stream
            .fail_next(operation, ErrorKind::Denied, u32::MAX);
        let begun = world.now();
        let why = without_consumer(world.fleet().start(Script::default())).await;
        assert!(world.now().since(begun) < Duration::from_secs(5));
        assert!(matches!(why.why, Why::Refused), "{why}");
        assert!(
            why.to_string().contains("kinesis:RegisterStreamConsumer"),
            "{why}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_out_of_reach_is_asked_until_it_answers() {
    let world = Pushing::new(1);
    world
        .stream
        .fail_next(Operation::DescribeConsumer, ErrorKind::Transient, 26);
    put(&world, 0..3);
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(3).await;
    assert!(
        run.heard
            .count(|event| matches!(event, Event::StepFailed { .. }))
            >= 1,
        "it is told"
    );
    run.stop().await.unwrap();
}

/// Never one that is shared or given.
#[tokio::test(start_paused = true)]
async fn retiring_removes_a_managed_consumer_only() {
    let world = Pushing::new(1);
    register(&world.stream, "other").await;
    let given = register(&world.stream, "given").await;
    let modes = [
        (FanOutConfig::external(given), 0, vec!["given", "other"]),
        (
            FanOutConfig::shared().name("shared"),
            0,
            vec!["given", "other", "shared"],
        ),
        (
            FanOutConfig::managed().name("own"),
            1,
            vec!["given", "other", "shared"],
        ),
    ];
    for (config, removed, left) in modes {
        let run = world
            .fleet_as(Mode::FanOut(config))
            .start(Script::default());
        put(&world, 0..1);
        run.seen.wait_for_records(1).await;
        let worker = run.worker.clone();
        run.stop().await.unwrap();
        assert_eq!(worker.retire_consumers().await.unwrap(), removed);
        assert_eq!(names(&world.stream), left);
        assert_eq!(
            worker.retire_consumers().await.unwrap(),
            0,
            "nothing is left to remove"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_stays_while_a_worker_lives_but_not_after_a_crash() {
    let world = Pushing::new(2);
    let first = world
        .fleet()
        .with(|builder| builder.worker_id("first"))
        .start(Script::default());
    let second = world
        .fleet()
        .with(|builder| builder.worker_id("second"))
        .start(Script::default());
    until("the consumer", || !names(&world.stream).is_empty()).await;
    let worker = first.worker.clone();
    first.stop().await.unwrap();
    let refused = worker.retire_consumers().await;
    assert!(
        matches!(&refused, Err(RetireError::AtWork { workers }) if workers.iter().map(kcl_core::model::WorkerId::as_str).eq(["second"])),
        "{refused:?}"
    );
    assert_eq!(names(&world.stream), ["tests"]);
    second.crash().await;
    assert_eq!(worker.retire_consumers().await.unwrap(), 1);
    assert_eq!(names(&world.stream), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_was_given_is_never_made() {
    let world = Pushing::new(1);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/given:1";
    let why = without_consumer(
        world
            .fleet_as(Mode::FanOut(FanOutConfig::external(arn)))
            .start(Script::default()),
    )
    .await;
    assert!(
        matches!(why.why, Why::Missing) && why.to_string().contains(arn),
        "{why}"
    );
    assert_eq!(
        world.stream.call_count(Operation::RegisterConsumer, None),
        0
    );
}

/// Nothing is lost.
#[tokio::test(start_paused = true)]
async fn a_consumer_removed_under_the_workers_is_registered_again() {
    let world = Pushing::new(8);
    let run = world.fleet().start(Script::default());
    let mut put = 0;
    for round in 0..5 {
        for _ in 0..40 {
            world.stream.put(&put.to_string(), put.to_string()).unwrap();
            put += 1;
        }
        run.seen.wait_for_records(put).await;
        let arn = world.stream.consumers()[0].arn.clone();
        world.stream.set_consumer_delay(Duration::from_secs(round));
        world.stream.deregister_consumer(&arn).await.unwrap();
        until("another consumer", || {
            world
                .stream
                .consumers()
                .iter()
                .any(|consumer| consumer.arn != arn)
        })
        .await;
    }
    world.stream.put("k", "the last one").unwrap();
    run.seen.wait_for_records(put + 1).await;
    assert_eq!(run.seen.duplicates(), 0);
    run.seen.assert_in_order();
    let registered = world.stream.call_count(Operation::RegisterConsumer, None);
    assert_eq!(
        registered, 6,
        "once at the start and once after each removal, not once a shard"
    );
    world.assert_paced();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_given_consumer_is_used_without_the_right_to_describe_it() {
    let world = Pushing::new(1);
    let arn = register(&world.stream, "given").await;
    world
        .stream
        .fail_next(Operation::DescribeConsumer, ErrorKind::Fatal, u32::MAX);
    put(&world, 0..1);
    let run = world
        .fleet_as(Mode::FanOut(FanOutConfig::external(arn)))
        .start(Script::default());
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
}

/// It is reported.
#[tokio::test(start_paused = true)]
async fn a_stream_without_its_consumer_is_retried_and_stops_no_other() {
    let (world, other) = (Pushing::new(1), Pushing::new(1));
    let others = MemoryStream::with_clock("others", 1, std::sync::Arc::new(other.clock));
    let configs = vec![
        StreamConfig::new("orders").source(world.stream.clone()),
        StreamConfig::new("others").source(others.clone()),
    ];
    world
        .stream
        .fail_next(Operation::DescribeConsumer, ErrorKind::Denied, 1);
    let run = crate::support::Fleet::of_streams(&world.table, configs)
        .with(|builder| {
            builder
                .clock(world.clock)
                .coordination_on(kcl_core::worker::CoordinationOn::CallersRuntime)
        })
        .with(|builder| builder.mode(Mode::FanOut(FanOutConfig::managed())))
        .start(Script::default());
    run.heard
        .wait_for("that it cannot be read", |event| {
            matches!(event, Event::ShardUnreadable { .. })
        })
        .await;
    others.put("k", "0").unwrap();
    run.seen.wait_for_records(1).await;
    put(&world, 1..2);
    run.seen.wait_for_records(2).await;
    run.stop().await.unwrap();
}
