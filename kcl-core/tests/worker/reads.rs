//! A worker on a stream and a lease table in memory: the way of data from end to end.

use crate::support::{Fleet, Script};
use kcl_core::InitialPosition;
use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey};
use kcl_core::stream::memory::MemoryStream;

#[tokio::test]
async fn every_record_is_processed_once_in_order_and_checkpointed() {
    let stream = MemoryStream::new("orders", 4);
    stream
        .put_many((0..1000).map(|n| (format!("key-{}", n % 17), format!("record {n}"))))
        .unwrap();
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(1000).await;
    let seen = run.seen.clone();
    let report = run.stop().await.unwrap();
    assert_eq!(report.shards.len(), 4, "{report}");
    assert_eq!(seen.duplicates(), 0);
    seen.assert_in_order();
    for shard in stream.open_shards() {
        let lease = table
            .get(&LeaseKey::single(shard.clone()))
            .await
            .unwrap()
            .unwrap();
        if let Some(last) = seen.last_of(&shard) {
            assert_eq!(lease.checkpoint, Checkpoint::At(last));
        }
        assert_eq!(lease.owner, None, "freed at once, not left to expire");
    }
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_one_stopped() {
    let stream = MemoryStream::new("orders", 2);
    let table = MemoryLeaseTable::new();
    for round in 1..=3 {
        stream
            .put_many((0..100).map(|n| (format!("key-{n}"), format!("{round}"))))
            .unwrap();
        let run = Fleet::new(&stream, &table).start(Script::default());
        run.seen.wait_for_records(100).await;
        let seen = run.seen.clone();
        run.stop().await.unwrap();
        assert_eq!(seen.records(), 100, "in round {round}");
    }
}

#[tokio::test]
async fn a_reshard_loses_nothing_and_children_follow_their_parents() {
    let stream = MemoryStream::new("orders", 2);
    let table = MemoryLeaseTable::new();
    let put = |from: u32| {
        stream
            .put_many((from..from + 200).map(|n| (format!("key-{}", n % 23), format!("{n}"))))
            .unwrap()
    };
    let run = Fleet::new(&stream, &table).start(Script::default());
    put(0);
    let [first, second] = stream.open_shards().try_into().unwrap();
    let halves = stream.split_evenly(&first).unwrap();
    put(200);
    let merged = stream.merge(&halves[1], &second).unwrap();
    put(400);
    run.seen.wait_for_records(600).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(seen.duplicates(), 0);
    seen.assert_in_order();
    seen.assert_parents_first(&stream);
    for ended in [&first, &halves[1], &second] {
        let lease = table
            .get(&LeaseKey::single(ended.clone()))
            .await
            .unwrap()
            .unwrap();
        assert!(lease.checkpoint.is_shard_end(), "{lease:?}");
    }
    assert!(seen.last_of(&merged).is_some());
}

/// A restart before the first checkpoint.
#[tokio::test]
async fn latest_begins_at_the_leases_time_and_a_restart_loses_nothing() {
    let stream = MemoryStream::new("orders", 1);
    stream.put("key", "before").unwrap();
    crate::support::next_millisecond().await;
    let table = MemoryLeaseTable::new();
    let fleet = || Fleet::new(&stream, &table).initial_position(InitialPosition::Latest);
    // The lease is made; the worker crashes before it has read anything.
    let run = fleet().start(Script::default());
    run.seen.wait_for_initialized(1).await;
    run.crash().await;
    stream.put("key", "between").unwrap();
    let run = fleet().start(Script::default());
    run.seen.wait_for_records(1).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(seen.payloads(), ["between"]);
}
