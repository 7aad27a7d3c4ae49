//! Leases that an operator moves, and workers that one drains.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use kcl_core::SystemClock;
use kcl_core::admin::{assign, drain, left_behind, moved, undrain};
use kcl_core::lease::{Change, LeaseTable};
use kcl_core::model::{LeaseKey, WorkerId};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Liveness};

use super::hand_over::{F, count, rows, wait_for};
use crate::support::{Fleet, PATIENCE, Run, Script, UnrulyTable, until};

/// A worker, whose leases heartbeats hold if the others let them.
fn start(stream: &MemoryStream, table: &UnrulyTable, id: &'static str) -> Run {
    Fleet::new(stream, table)
        .with(move |builder| {
            let builder = builder.worker_id(id).failover(F);
            builder.liveness(Liveness::Auto)
        })
        .start(Script::default())
}

/// Two workers that share four shards with some records in each, all of which are done.
async fn two_workers() -> (MemoryStream, UnrulyTable, Run, Run) {
    let (stream, table) = (MemoryStream::new("orders", 4), UnrulyTable::new());
    for n in 0..40 {
        stream.put(&format!("key-{n}"), format!("{n}")).unwrap();
    }
    let first = start(&stream, &table, "first");
    wait_for(&table, "the first worker", |rows| count(rows, "first") == 4).await;
    until("the records", || first.seen.payloads().len() == 40).await;
    let second = start(&stream, &table, "second");
    wait_for(&table, "an even share", |rows| {
        count(rows, "first") == 2 && count(rows, "second") == 2
    })
    .await;
    (stream, table, first, second)
}

/// A lease that this worker holds.
async fn lease_of(table: &UnrulyTable, worker: &str) -> LeaseKey {
    let rows = rows(table).await;
    let row = rows.iter().find(|row| row.owner == Some(worker.into()));
    row.expect("a lease of it").key.clone()
}

/// One worker has three leases then and the other one, so the balance moves one in return: another
/// one. No record is given twice.
#[tokio::test]
async fn a_lease_that_is_moved_is_handed_over_and_stays() {
    let (stream, table, first, second) = two_workers().await;
    let (keys, to) = ([lease_of(&table, "first").await], WorkerId::from("second"));
    assign(&table, &keys, &to).await.unwrap();
    let left = moved(&table, &keys, &to, PATIENCE, &SystemClock, |_| {}).await;
    assert_eq!(left.unwrap(), []);
    wait_for(&table, "an even share again", |rows| {
        count(rows, "first") == 2 && count(rows, "second") == 2
    })
    .await;
    tokio::time::sleep(2 * F).await;
    let row = table.rows.get(&keys[0]).await.unwrap().unwrap();
    assert_eq!(row.owner.as_ref(), Some(&to));
    assert!(row.assigned_to.is_some(), "it rests");
    let asked = |write: &Change| matches!(write, Change::Request { by, .. } if *by != to);
    let all = table.written();
    let mut asked = all
        .iter()
        .filter(|write| write.key == keys[0] && asked(&write.change));
    assert!(asked.next().is_none(), "nobody else asks for it");
    for n in 0..40 {
        stream
            .put(&format!("key-{n}"), format!("late {n}"))
            .unwrap();
    }
    let all = || first.seen.payloads().len() + second.seen.payloads().len();
    until("the late records", || all() >= 80).await;
    assert_eq!(all(), 80, "each record once");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// A worker that has no room does not ask for it, and the lease is not left unread.
#[tokio::test]
async fn a_free_lease_of_a_worker_without_room_is_taken_by_another() {
    let (stream, table) = (MemoryStream::new("orders", 2), UnrulyTable::new());
    let full = Fleet::new(&stream, &table)
        .with(|builder| builder.worker_id("full").failover(F).max_leases(1))
        .start(Script::default());
    wait_for(&table, "the full one", |rows| count(rows, "full") == 1).await;
    let free = rows(&table).await;
    let free = free.iter().find(|row| row.owner.is_none()).unwrap();
    let keys = [free.key.clone()];
    assign(&table, &keys, &"full".into()).await.unwrap();
    let other = start(&stream, &table, "other");
    wait_for(&table, "the other", |rows| count(rows, "other") == 1).await;
    full.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_drained_worker_gives_everything_to_others_and_lives_on() {
    let (stream, table, first, second) = two_workers().await;
    let worker = WorkerId::from("first");
    drain(&table, &worker).await.unwrap();
    let left = left_behind(&table, &worker, PATIENCE, &SystemClock, |_| {}).await;
    assert!(left.unwrap().is_empty());
    wait_for(&table, "the other to have all", |rows| {
        count(rows, "second") == 4
    })
    .await;
    first
        .heard
        .wait_for("the drain", |event| {
            matches!(event, Event::DrainBegun { held: 2 })
        })
        .await;
    for n in 0..40 {
        stream
            .put(&format!("key-{n}"), format!("late {n}"))
            .unwrap();
    }
    let all = || first.seen.payloads().len() + second.seen.payloads().len();
    until("the late records", || all() >= 80).await;
    assert_eq!(all(), 80, "each record once");
    // Its heartbeats go on, and no write of it ends the drain.
    let row = async || table.rows.get_worker(&worker).await.unwrap().unwrap();
    let before = row().await.counter;
    tokio::time::sleep(2 * F).await;
    let after = row().await;
    assert!(after.is_draining() && after.counter > before, "{after:?}");
    assert_eq!(count(&rows(&table).await, "second"), 4);

    undrain(&table, &worker).await.unwrap();
    wait_for(&table, "an even share again", |rows| {
        count(rows, "first") == 2 && count(rows, "second") == 2
    })
    .await;
    first
        .heard
        .wait_for("the end", |event| matches!(event, Event::DrainEnded))
        .await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// Somebody has to read: as long as there is no other worker, the drain waits.
#[tokio::test]
async fn a_drained_worker_alone_keeps_its_leases_until_another_comes() {
    let (stream, table) = (MemoryStream::new("orders", 3), UnrulyTable::new());
    let first = start(&stream, &table, "first");
    wait_for(&table, "the first worker", |rows| count(rows, "first") == 3).await;
    drain(&table, &"first".into()).await.unwrap();
    tokio::time::sleep(2 * F).await;
    assert_eq!(count(&rows(&table).await, "first"), 3);
    let second = start(&stream, &table, "second");
    wait_for(&table, "the other to have all", |rows| {
        count(rows, "second") == 3
    })
    .await;
    // And again when it is gone.
    second.stop().await.unwrap();
    wait_for(&table, "the first worker again", |rows| {
        count(rows, "first") == 3
    })
    .await;
    first.stop().await.unwrap();
}

/// A restart ends both: what an operator wanted of a process is not meant for the next one.
#[tokio::test]
async fn the_next_process_of_a_worker_is_not_drained() {
    let (stream, table, first, second) = two_workers().await;
    drain(&table, &"first".into()).await.unwrap();
    wait_for(&table, "the other to have all", |rows| {
        count(rows, "second") == 4
    })
    .await;
    first.crash().await;
    let first = start(&stream, &table, "first");
    wait_for(&table, "an even share again", |rows| {
        count(rows, "first") == 2 && count(rows, "second") == 2
    })
    .await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}
