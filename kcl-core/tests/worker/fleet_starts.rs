//! Workers of one application that start: how soon each has its share, and whose audit counts.

#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{Fleet, HookedStream, Run, Script, TokioClock, UnrulyTable};
use kcl_core::lease::{Expect, LeaseTable};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{Builder, CoordinationOn, Liveness};
use std::time::Duration;

use super::fleet::{F, FleetWorld, held, rows, wait_for, wait_for_shares};

#[tokio::test]
async fn two_workers_that_start_together_both_work_within_two_seconds() {
    let mut world = FleetWorld::new(4);
    world.put(100);
    let (first, second) = (world.worker("first"), world.worker("second"));
    let took = wait_for_shares(&world.table, &[2, 2]).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(
        world.assert_all_read(&[&first, &second]).await,
        0,
        "duplicates"
    );
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// It is not made anew at the initial position.
#[tokio::test]
async fn another_workers_audit_does_not_reset_a_deleted_row() {
    let mut world = FleetWorld::new(2);
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::new(&world.stream, &world.table)
            .with(move |builder| {
                builder
                    .worker_id(id)
                    .failover(F * 4)
                    .audit_every(Duration::from_secs(1))
                    .liveness(Liveness::Kcl)
            })
            .start(Script::default())
    };
    let (first, second) = (start("first"), start("second"));
    wait_for_shares(&world.table, &[1, 1]).await;
    world.put(40);
    world.assert_all_read(&[&first, &second]).await;
    let done = async || {
        rows(&world.table)
            .await
            .iter()
            .all(|row| row.checkpoint.position().is_some())
    };
    wait_for("the checkpoints", done).await;
    for key in rows(&world.table).await.into_iter().map(|row| row.key) {
        // Just after a renewal: until the next one finds it missing, the other worker has looked
        // and compared.
        let row = async || world.table.get(&key).await.unwrap().unwrap();
        let before = row().await.counter;
        wait_for("a renewal", async || row().await.counter > before).await;
        let row = row().await;
        world
            .table
            .delete(&row.key, &Expect::default())
            .await
            .unwrap();
        wait_for("the row", async || {
            world.table.get(&row.key).await.unwrap().is_some()
        })
        .await;
        let again = world.table.get(&row.key).await.unwrap().unwrap();
        assert_eq!(again.checkpoint, row.checkpoint);
    }
    world.put(40);
    assert_eq!(
        world.assert_all_read(&[&first, &second]).await,
        0,
        "duplicates"
    );
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// A worker that waits in tokio's time, in which looks come every 12 s.
fn on_paused_time(fleet: Fleet, id: &'static str) -> Run {
    let own = move |builder: Builder| {
        let builder = builder.worker_id(id).failover(Duration::from_mins(1));
        builder
            .clock(TokioClock::new())
            .coordination_on(CoordinationOn::CallersRuntime)
    };
    fleet.with(own).start(Script::default())
}

#[tokio::test(start_paused = true)]
async fn leases_made_by_another_worker_cause_a_scan_at_once() {
    let world = FleetWorld::new(8);
    let table = world.table.clone();
    let slow = HookedStream::new(&world.stream);
    slow.before(move |operation, _| {
        let table = table.clone();
        async move {
            // It has seen an empty table by then.
            while operation == Operation::ListShards && rows(&table).await.len() < 8 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let second = on_paused_time(Fleet::new(&slow, &world.table), "second");
    let first = on_paused_time(Fleet::new(&world.stream, &world.table), "first");
    let begun = tokio::time::Instant::now();
    wait_for_shares(&world.table, &[4, 4]).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// How long a second worker takes to work, that starts so much later than the first on an empty
/// table.
async fn time_to_share(shards: u32, later: Duration) -> Duration {
    let stream = MemoryStream::new("orders", shards);
    let table = UnrulyTable::new();
    // As on DynamoDB: everything is announced before anybody reads the signal again.
    table.set_signal_interval(Duration::from_millis(500));
    let begun = tokio::time::Instant::now();
    let first = on_paused_time(Fleet::new(&stream, &table), "first");
    tokio::time::sleep(later).await;
    let second = on_paused_time(Fleet::new(&stream, &table), "second");
    while held(&table.rows)
        .await
        .get("second")
        .is_none_or(|held| *held < 2)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    took
}

#[tokio::test(start_paused = true)]
async fn two_workers_starting_on_an_empty_table_both_work_soon() {
    // Few enough leases for the change signal to name them all, and more than it can.
    for shards in [4, 100] {
        for later in (0..=500).step_by(50).map(Duration::from_millis) {
            let took = time_to_share(shards, later).await;
            assert!(
                took < Duration::from_secs(2) + later,
                "{shards} shards, {later:?} apart: {took:?}"
            );
        }
    }
}
