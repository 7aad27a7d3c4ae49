//! Calls that are refused: for a moment to all, for one stream of several, and for good.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::time::Duration;

use crate::support::{CutStream, Fault, Fleet, Pushing, Run, Script, UnrulyTable, payloads, until};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{
    Builder, CoordinationOn, Event, FanOutConfig, Mode, RunError, StreamConfig,
};

fn modes() -> [Mode; 2] {
    [Mode::Polling, Mode::FanOut(FanOutConfig::managed())]
}

fn on_paused_time(world: &Pushing) -> impl FnOnce(Builder) -> Builder + use<> {
    let clock = world.clock;
    move |builder| {
        builder
            .clock(clock)
            .coordination_on(CoordinationOn::CallersRuntime)
            .failover(Duration::from_secs(30))
    }
}

fn put(stream: &MemoryStream, records: std::ops::Range<usize>) {
    let shard = stream.open_shards().remove(0);
    stream
        .put_many_to(&shard, records.map(|n| (format!("{n}"), format!("{n}"))))
        .unwrap();
}

fn refusals(run: &Run) -> usize {
    run.heard
        .count(|event| matches!(event, Event::Refused { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_passes_ends_no_worker_and_is_told_at_once() {
    for mode in modes() {
        let world = Pushing::new(1);
        let stream = CutStream::new(&world.stream);
        let run = Fleet::new(&stream, &world.table)
            .with(on_paused_time(&world))
            .with(move |builder| builder.mode(mode).audit_every(Duration::from_secs(1)))
            .start(Script::default());
        put(&world.stream, 0..5);
        until("what was put to be read", || run.seen.records() == 5).await;
        stream.fail(ErrorKind::Fatal);
        run.heard
            .wait_for("word of it", |event| matches!(event, Event::Refused { .. }))
            .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(
            refusals(&run) <= 3,
            "told once a call: {:?}",
            run.heard.all()
        );
        put(&world.stream, 5..10);
        stream.mend();
        until("the rest to be read", || run.seen.records() == 10).await;
        assert_eq!(run.seen.payloads(), payloads(0..10));
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_lasts_two_minutes_is_what_run_returns() {
    for mode in modes() {
        let world = Pushing::new(1);
        let stream = CutStream::new(&world.stream);
        let run = Fleet::new(&stream, &world.table)
            .with(on_paused_time(&world))
            .with(move |builder| builder.mode(mode))
            .start(Script::default());
        put(&world.stream, 0..5);
        until("what was put to be read", || run.seen.records() == 5).await;
        let begun = tokio::time::Instant::now();
        stream.fail_only(ErrorKind::Fatal, &["GetRecords", "SubscribeToShard"]);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let ended = run.ended().await;
        assert!(
            matches!(&ended, Err(RunError::Stream(error)) if error.message == "this process is cut off"),
            "{ended:?}"
        );
        assert!(
            (118..150).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_table_that_refuses_for_a_moment_ends_no_worker() {
    for lasts in [20, 600] {
        let world = Pushing::new(1);
        let table = UnrulyTable::new();
        let run = Fleet::new(&world.stream, &table)
            .with(on_paused_time(&world))
            .start(Script::default());
        put(&world.stream, 0..5);
        until("what was put to be read", || run.seen.records() == 5).await;
        // An update has been granted by then.
        let granted = || {
            table
                .written()
                .iter()
                .any(|write| write.stored && write.change.moves_checkpoint())
        };
        until("a checkpoint", granted).await;
        table.set_rule(|_, _| Fault::Deny);
        run.heard
            .wait_for("word of it", |event| matches!(event, Event::Refused { .. }))
            .await;
        tokio::time::sleep(Duration::from_secs(lasts)).await;
        if lasts > 120 {
            let ended = run.ended().await;
            assert!(
                matches!(&ended, Err(RunError::LeaseTable(error)) if error.to_string().contains("no right")),
                "{ended:?}"
            );
            continue;
        }
        table.set_rule(|_, _| Fault::None);
        put(&world.stream, 5..10);
        until("the rest to be read", || run.seen.records() >= 10).await;
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn run_returns_a_refusal_of_the_lease_table_at_the_start() {
    let world = Pushing::new(1);
    let table = UnrulyTable::new();
    table.set_rule(|_, _| Fault::Deny);
    let run = Fleet::new(&world.stream, &table)
        .with(on_paused_time(&world))
        .start(Script::default());
    let ended = run.ended().await;
    assert!(matches!(&ended, Err(RunError::LeaseTable(_))), "{ended:?}");
}

/// At once, and after it was read for a while.
#[tokio::test(start_paused = true)]
async fn one_denied_stream_of_several_stops_no_other() {
    let [polling, fan_out] = modes();
    for (mode, call) in [
        (polling.clone(), "GetShardIterator"),
        (polling, "GetRecords"),
        (fan_out, "SubscribeToShard"),
    ] {
        for at_once in [true, false] {
            let world = Pushing::new(1);
            let denied = MemoryStream::with_clock("visits", 1, std::sync::Arc::new(world.clock));
            let cut = CutStream::new(&denied);
            if at_once {
                cut.fail_only(ErrorKind::Fatal, &[call]);
            }
            let streams = vec![
                StreamConfig::new("orders").source(world.stream.clone()),
                StreamConfig::new("visits").source(cut.clone()),
            ];
            let mode = mode.clone();
            let run = Fleet::of_streams(&MemoryLeaseTable::new(), streams)
                .with(on_paused_time(&world))
                .with(move |builder| builder.mode(mode))
                .start(Script::default());
            put(&world.stream, 0..5);
            put(&denied, 0..5);
            if !at_once {
                until("both to be read", || run.seen.records() == 10).await;
                cut.fail_only(ErrorKind::Fatal, &[call, "GetRecords"]);
                tokio::time::sleep(Duration::from_secs(100)).await;
            }
            run.heard
                .wait_for("word of it", |event| {
                    matches!(event, Event::ShardUnreadable { .. })
                })
                .await;
            tokio::time::sleep(Duration::from_secs(300)).await;
            let before = run.seen.records();
            put(&world.stream, 5..10);
            until("the other stream to be read", || {
                run.seen.records() == before + 5
            })
            .await;
            cut.mend();
            put(&denied, 5..10);
            until("the denied one to be tried again", || {
                run.seen.records() == 20
            })
            .await;
            run.stop().await.unwrap();
        }
    }
}

/// Whoever listens has the cause before the loss.
#[tokio::test(start_paused = true)]
async fn table_errors_are_reported_with_causes_before_a_lease_is_lost() {
    let world = Pushing::new(1);
    let table = UnrulyTable::new();
    let run = Fleet::new(&world.stream, &table)
        .with(on_paused_time(&world))
        .start(Script::default());
    put(&world.stream, 0..5);
    until("what was put to be read", || run.seen.records() == 5).await;
    table.set_rule(|_, _| Fault::LoseWrite);
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    let all = run.heard.all();
    let lost = all
        .iter()
        .position(|event| matches!(event, Event::LeaseLost { .. }))
        .unwrap();
    let busy = all[..lost].iter().find_map(|event| {
        if let Event::StepFailed { error, .. } = event {
            Some(error)
        } else {
            None
        }
    });
    assert!(
        busy.is_some_and(|error| error.contains("no answer to a write")),
        "{all:?}"
    );
    table.set_rule(|_, _| Fault::None);
    run.stop().await.unwrap();
}
