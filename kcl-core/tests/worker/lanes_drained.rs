//! Records at work when the worker stops, when the lease goes to another worker and when the shard or
//! the reading ends: what is waited for, and what comes again.

#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{Desk, Fleet, at, lease_of, one_shard, payloads, wait_for_lease};
use kcl_core::handler::{by_key, in_order, unordered};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Checkpoint;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Stopped};
use std::time::Duration;

/// What is at work ends and is stored; what had not begun comes again, and nothing comes twice.
#[tokio::test]
async fn a_stop_drains_what_is_at_work_and_begins_nothing_more() {
    let (stream, shard, sequences) = one_shard(100);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::gated();
    let run = Fleet::new(&stream, &table).process(unordered(4, desk.clone()).window(10));
    Desk::wait(&desk.begun, "four", |all| all.len() >= 4).await;
    let stopping = tokio::spawn({
        let worker = run.worker.clone();
        async move { worker.shutdown(Duration::from_secs(60)).await }
    });
    run.heard
        .wait_for("the stop", |event| matches!(event, Event::Stopping))
        .await;
    gate.add_permits(100);
    let report = run.ended().await.unwrap();
    stopping.await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 1, "{report}");
    let done = desk.ended().len();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[done - 1])
    );
    let run = Fleet::new(&stream, &table).process(unordered(4, desk.clone()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[99])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(
        (desk.begun(), done < 100),
        (payloads(0..100), true),
        "each once"
    );
}

#[tokio::test]
async fn work_beyond_the_time_of_a_stop_is_dropped_and_comes_again() {
    let (stream, shard, sequences) = one_shard(6);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("2");
    let run = Fleet::new(&stream, &table).process(unordered(3, desk.clone()));
    desk.until_ended(5).await;
    run.worker.shutdown(Duration::from_secs(1)).await;
    let report = run.ended().await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 1, "{report}");
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.checkpoint, lease.owner), (at(&sequences[1]), None));
    gate.add_permits(1);
    let run = Fleet::new(&stream, &table).process(unordered(3, desk.clone()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[5])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun()[6..], payloads(2..6));
}

/// Also while the call of the batch waits for room, with thousands of records to come.
#[tokio::test]
async fn a_hand_over_waits_for_the_records_at_work_alone() {
    let stream = MemoryStream::new("orders", 2);
    for shard in stream.open_shards() {
        stream
            .put_many_to(&shard, (0..5000).map(|n| (format!("{n}"), format!("{n}"))))
            .unwrap();
    }
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|_, _| async {
        // Some 50 s for all of a shard.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    });
    let first = Fleet::new(&stream, &table).process(in_order(desk.clone()).window(10));
    desk.until_ended(20).await;
    let second = Fleet::new(&stream, &table).process(in_order(desk.clone()).window(10));
    first
        .heard
        .wait_for("the hand-over", |event| {
            matches!(event, Event::LeaseHandedOver { .. })
        })
        .await;
    second
        .heard
        .wait_for("its shard", |event| {
            matches!(event, Event::ShardStarted { .. })
        })
        .await;
    let ended = desk.ended().len();
    desk.until_ended(ended + 50).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    // Twice at the most: once of each shard.
    let begun = desk.begun();
    let most = begun
        .iter()
        .map(|text| begun.iter().filter(|other| *other == text).count())
        .max();
    assert!(
        most <= Some(2),
        "a record came twice at a hand-over in good order"
    );
}

#[tokio::test]
async fn a_shard_does_not_end_before_its_last_record_is_done() {
    let (stream, shard, _) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("4");
    stream.split_evenly(&shard).unwrap();
    for child in stream.open_shards() {
        stream.put_to(&child, "k", "of a child").unwrap();
    }
    let run = Fleet::new(&stream, &table).process(by_key(10, desk.clone()));
    desk.until_ended(4).await;
    run.heard
        .wait_for("the start", |event| {
            matches!(event, Event::ShardStarted { .. })
        })
        .await;
    assert!(!desk.begun().contains(&"of a child".to_owned()));
    assert_ne!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::ShardEnd
    );
    gate.add_permits(1);
    desk.until_ended(7).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    run.stop().await.unwrap();
    let begun = desk.begun();
    assert_eq!(
        (begun.len(), &*begun[5], &*begun[6]),
        (7, "of a child", "of a child")
    );
}

/// `run` returns when what was read is done, not when it has begun.
#[tokio::test]
async fn a_reading_that_ends_waits_for_its_records() {
    let (stream, shard, sequences) = one_shard(30);
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|_, _| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .until_caught_up()
                .drain_limit(Duration::from_millis(1))
        })
        .process(by_key(4, desk.clone()));
    run.ended().await.unwrap();
    assert_eq!(desk.ended().len(), 30);
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[29])
    );
}

/// Nothing that a crashed worker had at work is taken for done.
#[tokio::test]
async fn after_a_crash_what_was_at_work_comes_again() {
    let (stream, shard, sequences) = one_shard(20);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("7");
    let run = Fleet::with_short_failover(&stream, &table).process(by_key(5, desk.clone()));
    desk.until_ended(19).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[6])
    })
    .await;
    run.crash().await;
    gate.add_permits(1);
    let run = Fleet::with_short_failover(&stream, &table).process(by_key(5, desk.clone()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[19])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun()[20..], payloads(7..20));
}
