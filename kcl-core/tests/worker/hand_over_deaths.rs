//! A hand-over whose owner or requester dies or stops before it is done.

#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{Call, Gate, Script, until};
use kcl_core::lease::Change;
use kcl_core::worker::Event;
use std::time::{Duration, Instant};

use super::hand_over::{F, HandOverWorld, count, requested, wait_for, was_told_to_stop};

#[tokio::test]
async fn an_owner_stopped_during_a_hand_over_frees_the_lease() {
    let (mut world, gate) = (HandOverWorld::new(), Gate::new());
    let (first, second, key) = world.asked(gate.at_the_stop(), |builder| builder).await;
    until("the owner to give it up", || {
        was_told_to_stop(&first, &key) == 1
    })
    .await;
    let (worker, seen) = (first.worker.clone(), first.seen.clone());
    let stopping = tokio::spawn(async move { worker.shutdown(Duration::from_secs(10)).await });
    let told = |call: &Call| *call == Call::ShutdownRequested;
    until("the stop to reach the other shards", || {
        seen.calls().iter().filter(|(_, call)| told(call)).count() == 3
    })
    .await;
    gate.open();
    stopping.await.unwrap();
    wait_for(&world.table, "the second worker", |rows| {
        count(rows, "second") == 3
    })
    .await;
    assert_eq!(
        world.stored(&key, |change| matches!(change, Change::PassOn { .. })),
        0
    );
    assert_eq!(
        world.stored(&key, |change| matches!(change, Change::Release { .. })),
        1
    );
    world.put(60);
    world.assert_read_once(&[&first, &second]).await;
    second.stop().await.unwrap();
}

/// Within the failover time and a second.
#[tokio::test]
async fn leases_in_hand_over_from_a_dead_worker_are_soon_read_again() {
    let mut world = HandOverWorld::new();
    let (first, second, _) = world
        .asked(Gate::new().processing(), |builder| builder)
        .await;
    first.crash().await;
    let begun = Instant::now();
    wait_for(&world.table, "the second worker", |rows| {
        count(rows, "second") == 3
    })
    .await;
    assert!(
        begun.elapsed() < F + Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    until("every record", || second.seen.payloads().len() == 60).await;
    second.stop().await.unwrap();
}

/// Within the failover time and a second.
#[tokio::test]
async fn after_owner_and_requester_die_a_third_worker_reads_on() {
    let mut world = HandOverWorld::new();
    let (first, second, _) = world
        .asked(Gate::new().processing(), |builder| builder)
        .await;
    let third = world.start("third", Script::default(), |builder| builder);
    third
        .heard
        .wait_for("the third worker", |event| matches!(event, Event::Started))
        .await;
    // It has looked for long enough to know both.
    tokio::time::sleep(F / 2).await;
    first.crash().await;
    second.crash().await;
    let begun = Instant::now();
    wait_for(&world.table, "the third worker", |rows| {
        count(rows, "third") == 3
    })
    .await;
    assert!(
        begun.elapsed() < F + Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    until("every record", || third.seen.payloads().len() == 60).await;
    third.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_of_a_worker_that_dies_before_the_drain_is_refused() {
    let mut world = HandOverWorld::new();
    world.put(60);
    let gate = Gate::new();
    let first = world.start("first", gate.processing(), |builder| {
        builder.drain_limit(Duration::from_secs(10))
    });
    wait_for(&world.table, "the first worker", |rows| {
        count(rows, "first") == 3
    })
    .await;
    until("a batch of each shard", || first.seen.batches() == 3).await;
    let second = world.start("second", Script::default(), |builder| builder);
    let key = requested(&world.table).await;
    second.crash().await;
    let begun = Instant::now();
    wait_for(&world.table, "the refusal", |rows| {
        count(rows, "first") == 3
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "not only when the limit for draining ends"
    );
    assert_eq!(
        world.stored(&key, |change| matches!(change, Change::Refuse { .. })),
        1
    );
    gate.open();
    world.put(60);
    world.assert_read_once(&[&first]).await;
    assert_eq!(
        was_told_to_stop(&first, &key),
        0,
        "the shard stayed where it was"
    );
    first.stop().await.unwrap();
}
