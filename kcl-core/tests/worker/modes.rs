//! The mode of a stream: which streams are polled, which by fan-out, and what "auto" makes of it.

#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{HookedStream, Pushing, Run, Script, Seen, payloads};
use kcl_core::model::StreamName;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{ConsumerStatus, ErrorKind, FanOut, WhichConsumer};
use kcl_core::worker::WhyNoConsumer as Why;
use kcl_core::worker::{Event, FanOutConfig, Mode, StreamConfig};
use std::time::Duration;

use super::consumers::{put, register, without_consumer};

fn polled_instead(run: &Run) -> Vec<(StreamName, String)> {
    let told = |event| {
        if let Event::PolledInstead { stream, reason } = event {
            Some((stream, reason.to_string()))
        } else {
            None
        }
    };
    run.heard.all().into_iter().filter_map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn auto_polls_where_the_consumer_cannot_be_had_and_says_so_once() {
    let world = Pushing::new(4);
    world
        .stream
        .fail_next(Operation::RegisterConsumer, ErrorKind::Denied, u32::MAX);
    let run = world
        .fleet_as(Mode::Auto(FanOutConfig::managed()))
        .start(Script::default());
    world
        .stream
        .put_many((0..40).map(|n| (n.to_string(), n.to_string())))
        .unwrap();
    run.seen.wait_for_records(40).await;
    let told = polled_instead(&run);
    assert!(
        matches!(&told[..], [(stream, why)] if stream.name() == "orders" && why.contains("kinesis:RegisterStreamConsumer")),
        "{told:?}"
    );
    assert!(world.stream.call_count(Operation::Read, None) > 0);
    assert_eq!(world.stream.call_count(Operation::Subscribe, None), 0);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn auto_polls_soon_where_the_stream_takes_no_more_consumers() {
    let world = Pushing::new(1);
    world.stream.set_most_consumers(0);
    put(&world, 0..10);
    let begun = world.now();
    let run = world
        .fleet_as(Mode::Auto(FanOutConfig::managed()))
        .start(Script::default());
    run.seen.wait_for_records(10).await;
    let took = world.now().since(begun);
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert_eq!(polled_instead(&run).len(), 1);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn auto_subscribes_where_the_consumer_can_be_had() {
    let world = Pushing::new(4);
    let run = world
        .fleet_as(Mode::Auto(FanOutConfig::managed()))
        .start(Script::default());
    world
        .stream
        .put_many((0..40).map(|n| (n.to_string(), n.to_string())))
        .unwrap();
    run.seen.wait_for_records(40).await;
    assert_eq!(polled_instead(&run), []);
    assert_eq!(world.stream.call_count(Operation::Read, None), 0);
    run.stop().await.unwrap();
}

/// It goes on where it left off.
#[tokio::test(start_paused = true)]
async fn auto_polls_on_when_a_subscription_is_refused_for_good() {
    for refused in [ErrorKind::Denied, ErrorKind::Fatal] {
        let world = Pushing::new(1);
        put(&world, 0..10);
        let run = world
            .fleet_as(Mode::Auto(FanOutConfig::managed()))
            .start(Script::default());
        run.seen.wait_for_records(10).await;
        world
            .stream
            .fail_next(Operation::Subscribe, refused, u32::MAX);
        // After the present subscription's time.
        tokio::time::sleep(Duration::from_mins(6)).await;
        put(&world, 10..20);
        run.seen.wait_for_records(20).await;
        assert_eq!(
            run.seen.payloads(),
            payloads(0..20),
            "nothing again, nothing left out"
        );
        assert_eq!(polled_instead(&run).len(), 1);
        assert_eq!(
            run.heard
                .count(|event| matches!(event, Event::ShardUnreadable { .. })),
            0
        );
        run.stop().await.unwrap();
    }
}

/// In the other modes it ends the worker.
#[tokio::test(start_paused = true)]
async fn a_source_without_push_is_polled_only_in_auto() {
    let world = Pushing::new(1);
    put(&world, 0..3);
    // This wrapper has calls of its own for polling, and none for fan-out.
    let source = HookedStream::new(&world.stream);
    let run = world
        .fleet_as(Mode::Auto(FanOutConfig::managed()))
        .with(|builder| builder.source(source.clone()))
        .start(Script::default());
    run.seen.wait_for_records(3).await;
    assert_eq!(polled_instead(&run).len(), 1);
    run.stop().await.unwrap();
    let why = without_consumer(
        world
            .fleet()
            .with(|builder| builder.source(source))
            .start(Script::default()),
    )
    .await;
    assert!(matches!(why.why, Why::Unsupported), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_changes_mode_keeps_its_checkpoints() {
    let world = Pushing::new(1);
    let seen = Seen::default();
    let pushed = || Mode::FanOut(FanOutConfig::managed());
    for (round, mode) in [
        Mode::Polling,
        pushed(),
        Mode::Polling,
        Mode::Auto(FanOutConfig::managed()),
        pushed(),
    ]
    .into_iter()
    .enumerate()
    {
        let run = world
            .fleet_as(mode)
            .start_with(Script::default(), seen.clone());
        put(&world, round * 10..round * 10 + 10);
        seen.wait_for_records(round * 10 + 10).await;
        run.stop().await.unwrap();
    }
    assert_eq!(seen.payloads(), payloads(0..50));
    assert!(world.stream.call_count(Operation::Read, None) > 0);
    assert_eq!(world.stream.subscriptions().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn each_stream_may_have_its_own_mode_and_consumer() {
    let worlds = [Pushing::new(1), Pushing::new(1)];
    let table = worlds[0].table.clone();
    let arn = register(&worlds[1].stream, "given").await;
    // Streams in memory of other names have other ARNs.
    let other = MemoryStream::with_clock("others", 1, std::sync::Arc::new(worlds[0].clock));
    let configs = vec![
        StreamConfig::new("orders")
            .source(worlds[1].stream.clone())
            .mode(Mode::FanOut(FanOutConfig::external(arn))),
        StreamConfig::new("others").source(other.clone()),
    ];
    let run = crate::support::Fleet::of_streams(&table, configs)
        .with(|builder| {
            builder
                .clock(worlds[0].clock)
                .coordination_on(kcl_core::worker::CoordinationOn::CallersRuntime)
        })
        .start(Script::default());
    put(&worlds[1], 0..3);
    other.put("k", "3").unwrap();
    run.seen.wait_for_records(4).await;
    assert_eq!(
        (
            worlds[1].stream.call_count(Operation::Read, None),
            worlds[1].stream.subscriptions().len()
        ),
        (0, 1)
    );
    assert!(other.call_count(Operation::Read, None) > 0 && other.consumers().is_empty());
    run.stop().await.unwrap();
    let described = worlds[1]
        .stream
        .describe_consumer(&WhichConsumer::Name("given".into()))
        .await
        .unwrap();
    assert_eq!(described.status, ConsumerStatus::Active);
}
