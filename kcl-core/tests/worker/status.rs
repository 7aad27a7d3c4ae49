//! The status of a worker: what it says of shards, streams and the lease table that make no progress.

use crate::support::{Fault, Fleet, Logged, Script, UnrulyTable};
use kcl_core::Failure;
use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{CoordinationOn, Event, Phase, ShardState, StreamConfig, StreamState};
use std::sync::Arc;
use std::time::Duration;

use super::told::{Scene, seconds, warnings};

#[tokio::test(start_paused = true)]
async fn the_status_names_the_record_at_which_a_handler_fails() {
    let scene = Scene::new("poisoned-record");
    let run = scene.fleet().start(Script::process(|input| async move {
        Err(Failure::at(&input.records[0], "poison"))
    }));
    scene.put();
    seconds(60).await;
    let shown = scene.status(&run);
    let error = shown.last_error.expect("an error");
    assert!(error.record.is_some(), "{error:?}");
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_table_out_of_reach_stands_in_status_and_figures() {
    let scene = Scene::new("no-table");
    let table = UnrulyTable::new();
    let fleet = Fleet::new(&scene.stream, &table).with(|builder| {
        let builder = builder
            .stream(scene.name)
            .worker_id("cut-off")
            .clock(scene.clock);
        builder
            .coordination_on(CoordinationOn::CallersRuntime)
            .failover(Duration::from_secs(9))
    });
    let run = fleet.start(Script::default());
    let gauge = || {
        scene
            .counters
            .gauges("kcl_lease_table_failing_seconds", &[("worker", "cut-off")])
    };
    seconds(10).await;
    assert!(run.worker.status().lease_table.is_none());
    assert_eq!(gauge(), [0.0]);
    table.set_unreachable(true);
    table.set_rule(|_, _| Fault::Throttle);
    table.set_worker_rule(|_| Fault::Throttle);
    seconds(100).await;
    let status = run.worker.status();
    assert!(status.shards.is_empty(), "its lease is lost");
    let failing = status.lease_table.expect("the table is out of reach");
    assert!(
        failing.for_long >= Duration::from_secs(80) && failing.attempts > 5,
        "{failing:?}"
    );
    assert!(failing.error.contains("too many writes"), "{failing:?}");
    assert!(gauge()[0] >= 80.0, "{:?}", gauge());
    table.set_unreachable(false);
    table.set_rule(|_, _| Fault::None);
    table.set_worker_rule(|_| Fault::None);
    seconds(60).await;
    assert!(
        run.worker.status().lease_table.is_none(),
        "it has answered again"
    );
    assert_eq!(gauge(), [0.0]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn children_that_wait_for_a_poisoned_parent_are_told() {
    let scene = Scene::new("waiting");
    let table = MemoryLeaseTable::new();
    let run = scene
        .fleet_on(&table)
        .start(Script::process(|_| async { Err(Failure::new("poison")) }));
    let parent = scene.shard();
    scene.put();
    seconds(5).await;
    let children = scene.stream.split_evenly(&parent).unwrap();
    // This worker would make them at the end of the parent; a KCL makes them before it.
    for child in &children {
        let mut row = Lease::new(LeaseKey::single(child.clone()), Checkpoint::TrimHorizon);
        row.parents = vec![parent.clone()];
        table.create(&row).await.unwrap();
    }
    seconds(200).await;
    let status = run.worker.status();
    for child in &children {
        let shard = &status.shards[&LeaseKey::single(child.clone())];
        assert_eq!(
            (shard.state, shard.waits_for.as_ref()),
            (ShardState::WaitingForParents, Some(&parent))
        );
        let told = |event: &Event| match event {
            Event::ChildWaits {
                child: waits,
                parent: of,
                ..
            } => waits.shard == *child && *of == parent,
            _ => false,
        };
        assert_eq!(run.heard.count(told), 3, "after 30, 60 and 120 s");
    }
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_broken_streams_are_both_named_in_log_and_figures() {
    let logged = Logged::default();
    let _here = logged.on_this_thread();
    let scene = Scene::new("broken-first");
    let other = MemoryStream::with_clock("broken-second", 1, Arc::new(scene.clock));
    for stream in [&scene.stream, &other] {
        stream.fail_next(Operation::ListShards, ErrorKind::Transient, u32::MAX);
    }
    let streams = vec![
        StreamConfig::new("broken-first").source(scene.stream.clone()),
        StreamConfig::new("broken-second").source(other.clone()),
    ];
    let table = MemoryLeaseTable::new();
    let fleet = Fleet::of_streams(&table, streams).with(|builder| {
        let builder = builder
            .worker_id("broken")
            .clock(scene.clock)
            .coordination_on(CoordinationOn::CallersRuntime);
        builder.failover(Duration::from_secs(9))
    });
    let run = fleet.start(Script::default());
    seconds(20).await;
    let lines = logged.take();
    for stream in ["broken-first", "broken-second"] {
        assert!(
            !warnings(&lines, &format!("(stream {stream})")).is_empty(),
            "{stream}: {lines}"
        );
        assert!(
            scene.counters.by("kcl_events_total", stream, "step_failed") > 0,
            "{stream}"
        );
    }
    seconds(40).await;
    for stream in ["broken-first", "broken-second"] {
        let failing = scene
            .counters
            .gauges("kcl_stream_failing_seconds", &[("stream", stream)]);
        assert!(
            matches!(failing[..], [span] if span >= 40.0),
            "{stream}: {failing:?}"
        );
    }
    run.stop().await.unwrap();
    assert!(
        scene
            .counters
            .gauges("kcl_stream_failing_seconds", &[("stream", "broken-first")])[0]
            < 0.1
    );
}

#[tokio::test(start_paused = true)]
async fn the_status_is_the_health_of_the_worker() {
    let scene = Scene::new("health");
    let run = scene.fleet().start(Script::default());
    assert_eq!(run.worker.status().phase, Phase::Idle);
    seconds(5).await;
    let status = run.worker.status();
    assert_eq!(status.phase, Phase::Running);
    assert_eq!(
        status.streams.values().collect::<Vec<_>>(),
        [&StreamState::Reading]
    );
    assert!(status.unreadable.is_empty());
    scene
        .stream
        .fail_next(Operation::Read, ErrorKind::Denied, 1);
    run.heard
        .wait_for("that it cannot be read", |event| {
            matches!(event, Event::ShardUnreadable { .. })
        })
        .await;
    let status = run.worker.status();
    let unreadable: Vec<_> = status.unreadable.values().collect();
    assert_eq!(
        (unreadable.len(), unreadable[0].attempts),
        (1, 1),
        "{unreadable:?}"
    );
    scene.put();
    run.seen.wait_for_records(1).await;
    assert!(
        run.worker.status().unreadable.is_empty(),
        "it is read again"
    );
    let worker = run.worker.clone();
    run.stop().await.unwrap();
    assert_eq!(worker.status().phase, Phase::Stopped);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn the_status_is_serialized_as_text_and_numbers() {
    let scene = Scene::new("serialized");
    scene.put();
    let run = scene
        .fleet()
        .start(Script::process(|_| async { Err(Failure::new("poison")) }));
    seconds(60).await;
    let shown = serde_json::to_value(run.worker.status()).unwrap();
    assert_eq!(
        (&shown["worker"], &shown["phase"]),
        (&"me".into(), &"Running".into())
    );
    let shard = &shown["shards"][scene.shard().as_str()];
    assert_eq!(
        (&shard["state"], &shard["last_error"]["error"]),
        (&"Processing".into(), &"poison".into()),
        "{shown:#}"
    );
    assert!(
        shard["oldest_undone_age"].as_f64().unwrap() >= 59.0,
        "{shown:#}"
    );
    run.stop().await.unwrap();
}
