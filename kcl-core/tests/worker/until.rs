//! Readings that end: at a time, or when all is read that there was.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use crate::support::{Fleet, Script, at, lease_of, next_millisecond, one_shard, payloads};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Timestamp};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Builder, FanOutConfig, Mode, RunEnd, Stopped};

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn fan_out(builder: Builder) -> Builder {
    builder.mode(Mode::FanOut(FanOutConfig::managed()))
}

#[tokio::test]
async fn a_reading_up_to_a_time_ends_there_and_the_next_goes_on() {
    for mode in [false, true] {
        let (stream, shard, sequences) = one_shard(3);
        next_millisecond().await;
        let bound = now();
        next_millisecond().await;
        for text in ["3", "4"] {
            stream.put_to(&shard, text, text).unwrap();
        }
        let table = MemoryLeaseTable::new();
        let by = |builder: Builder| if mode { fan_out(builder) } else { builder };
        let run = Fleet::new(&stream, &table)
            .with(|builder| by(builder).until(bound))
            .start(Script::default());
        let seen = run.seen.clone();
        let report = run.ended().await.unwrap();
        assert_eq!(seen.payloads(), payloads(0..3));
        assert_eq!(
            (report.run, report.count(Stopped::Drained)),
            (RunEnd::Finished, 1),
            "{report}"
        );
        let lease = lease_of(&table, &shard).await;
        assert_eq!((lease.owner, lease.checkpoint), (None, at(&sequences[2])));
        let run = Fleet::new(&stream, &table)
            .with(|builder| by(builder).until_caught_up())
            .start(Script::default());
        let seen = run.seen.clone();
        run.ended().await.unwrap();
        assert_eq!(seen.payloads(), payloads(3..5));
    }
}

#[tokio::test]
async fn a_reading_of_shards_without_records_ends_too() {
    let stream = MemoryStream::new("orders", 3);
    let table = MemoryLeaseTable::new();
    for by in [|builder: Builder| builder, fan_out] {
        let run = Fleet::new(&stream, &table)
            .with(by)
            .with(Builder::until_caught_up)
            .start(Script::default());
        let report = run.ended().await.unwrap();
        assert_eq!(report.count(Stopped::Released), 3, "{report}");
    }
    for shard in stream.open_shards() {
        let lease = lease_of(&table, &shard).await;
        assert_eq!(
            (lease.owner, lease.checkpoint),
            (None, Checkpoint::TrimHorizon)
        );
    }
}

#[tokio::test]
async fn a_bound_that_is_still_to_come_is_waited_for() {
    let (stream, shard, _) = one_shard(1);
    let bound = Timestamp::from_millis(now().as_millis() + 1500);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.until(bound))
        .start(Script::default());
    run.seen.wait_for_records(1).await;
    stream.put_to(&shard, "1", "1").unwrap();
    let seen = run.seen.clone();
    run.ended().await.unwrap();
    assert_eq!(seen.payloads(), payloads(0..2));
    assert!(now() > bound);
}

#[tokio::test]
async fn shards_that_reach_the_bound_are_done_and_children_are_read() {
    let (stream, shard, _) = one_shard(2);
    let children = stream.split_evenly(&shard).unwrap();
    for (child, text) in children.iter().zip(["2", "3"]) {
        stream.put_to(child, text, text).unwrap();
    }
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(Builder::until_caught_up)
        .start(Script::default());
    let seen = run.seen.clone();
    run.ended().await.unwrap();
    let all: BTreeSet<String> = seen.payloads().into_iter().collect();
    assert_eq!(all, payloads(0..4).into_iter().collect());
    assert!(lease_of(&table, &shard).await.checkpoint.is_shard_end());
}

#[tokio::test]
async fn children_of_a_shard_that_ended_after_the_bound_are_not_read() {
    let (stream, shard, sequences) = one_shard(1);
    next_millisecond().await;
    let bound = now();
    next_millisecond().await;
    stream.put_to(&shard, "later", "later").unwrap();
    for child in stream.split_evenly(&shard).unwrap() {
        stream.put_to(&child, "child", "child").unwrap();
    }
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.until(bound))
        .start(Script::default());
    let seen = run.seen.clone();
    run.ended().await.unwrap();
    assert_eq!(seen.payloads(), payloads(0..1));
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[0]));
}

#[tokio::test]
async fn what_a_crash_left_is_read_before_a_reading_ends() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::with_short_failover(&stream, &table)
        .start(Script::process(|_| std::future::pending()));
    run.seen.wait_for_records(1).await;
    run.crash().await;
    assert!(lease_of(&table, &shard).await.owner.is_some());
    let run = Fleet::with_short_failover(&stream, &table)
        .with(Builder::until_caught_up)
        .start(Script::default());
    run.ended().await.unwrap();
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
}

#[tokio::test]
async fn every_worker_of_a_fleet_ends_and_together_they_have_read_all() {
    let stream = MemoryStream::new("orders", 6);
    for (n, shard) in stream.open_shards().iter().enumerate() {
        stream.put_to(shard, &n.to_string(), n.to_string()).unwrap();
    }
    let table = MemoryLeaseTable::new();
    let start = || {
        Fleet::with_short_failover(&stream, &table)
            .with(|builder| builder.until_caught_up().max_leases(2))
            .start(Script::process(|_| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(())
            }))
    };
    let runs = [start(), start()];
    let mut all = Vec::new();
    for run in runs {
        let seen = run.seen.clone();
        assert_eq!(run.ended().await.unwrap().run, RunEnd::Finished);
        all.extend(seen.payloads());
    }
    all.sort();
    assert_eq!(all, payloads(0..6), "each record once");
}
