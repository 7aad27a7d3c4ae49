//! A stream of many shards that was resharded long ago: the parents of its shards are named and not
//! listed any more.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::{Duration, Instant};

use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::{Checkpoint, InitialPosition, Lease, LeaseKey};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::Event;

use crate::support::{Fleet, Run, Script, UnrulyTable, soon};

/// So many open shards, whose parents have left.
fn resharded(shards: u32) -> MemoryStream {
    let stream = MemoryStream::new("orders", shards / 2);
    for shard in stream.open_shards() {
        stream.split_evenly(&shard).unwrap();
        stream.drop_shard(&shard).unwrap();
    }
    stream
}

fn put_one_each(stream: &MemoryStream) {
    for shard in stream.open_shards() {
        stream.put_to(&shard, "key", "record").unwrap();
    }
}

fn lost(run: &Run) -> usize {
    run.heard
        .count(|event| matches!(event, Event::LeaseLost { .. }))
}

/// Rows that name their parents and are read from the beginning: whether the parents are there says
/// the listing alone.
#[tokio::test(flavor = "multi_thread")]
async fn shards_whose_parents_have_left_share_their_listings() {
    let (stream, table) = (resharded(600), MemoryLeaseTable::new());
    put_one_each(&stream);
    for shard in stream.shards() {
        let mut row = Lease::new(LeaseKey::single(shard.id.as_str()), Checkpoint::TrimHorizon);
        row.parents.clone_from(&shard.parents);
        table.create(&row).await.unwrap();
    }
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(600).await;
    let listings = stream.call_count(Operation::ListShards, None);
    assert!(listings <= 60, "{listings} listings");
    run.stop().await.unwrap();
}

/// Each of them asks where it is, and what follows it.
#[tokio::test(flavor = "multi_thread")]
async fn shards_that_have_left_share_what_they_ask() {
    let (stream, table) = (MemoryStream::new("orders", 300), UnrulyTable::new());
    for shard in stream.open_shards() {
        stream.split_evenly(&shard).unwrap();
    }
    for shard in stream.shards().into_iter().filter(|shard| shard.closed) {
        let mut row = Lease::new(LeaseKey::single(shard.id.as_str()), Checkpoint::TrimHorizon);
        row.hash_range = Some(shard.hash_range);
        table.create(&row).await.unwrap();
        stream.drop_shard(&shard.id).unwrap();
    }
    put_one_each(&stream);
    let fleet =
        Fleet::new(&stream, &table).with(|builder| builder.failover(Duration::from_secs(30)));
    let run = fleet.start(Script::default());
    run.seen.wait_for_records(600).await;
    let (listings, scans) = (
        stream.call_count(Operation::ListShards, None),
        table.scans(),
    );
    assert!(
        listings <= 100 && scans <= 100,
        "{listings} pages listed, all rows read {scans} times"
    );
    run.stop().await.unwrap();
}

/// The KCL's rows at `LATEST` do not say since when: each of them needs the service's time.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_time_share_the_question_for_it() {
    let (stream, table) = (MemoryStream::new("orders", 300), MemoryLeaseTable::new());
    for shard in stream.open_shards() {
        table
            .create(&Lease::new(LeaseKey::single(shard), Checkpoint::Latest))
            .await
            .unwrap();
    }
    let run = Fleet::new(&stream, &table)
        .initial_position(InitialPosition::Latest)
        .start(Script::default());
    soon("all rows to have their time", async {
        let is_known = |row: &Lease| row.facts.start_at.is_some();
        while !table
            .scan(None, Consistency::Strong)
            .await
            .unwrap()
            .leases
            .iter()
            .all(is_known)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let listings = stream.call_count(Operation::ListShards, None);
    assert!(listings <= 60, "{listings} pages listed");
    run.stop().await.unwrap();
}

/// The figures are for the release build: `cargo test --release -p kcl-core --test it ten_thousand
/// -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure, and long without optimisation"]
async fn ten_thousand_shards_begin_and_lose_no_lease() {
    const SHARDS: usize = 10_000;
    for position in [InitialPosition::Latest, InitialPosition::TrimHorizon] {
        let stream = resharded(SHARDS as u32);
        let begun = Instant::now();
        let fleet = Fleet::new(&stream, &MemoryLeaseTable::new()).initial_position(position);
        let run = fleet
            .with(|builder| builder.idle_ceiling(Duration::from_secs(1)))
            .start(Script::default());
        run.heard
            .wait_for("the worker to begin", |event| {
                matches!(event, Event::Started)
            })
            .await;
        let started = begun.elapsed();
        put_one_each(&stream);
        run.seen.wait_for_records(1).await;
        let first = begun.elapsed();
        run.seen.wait_for_records(SHARDS).await;
        let all = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let listings = stream.call_count(Operation::ListShards, None);
        println!(
            "{position:?}: {listings} pages listed, {} leases lost, begun after {started:?}, \
             first record after {first:?}, all after {all:?}",
            lost(&run)
        );
        assert_eq!(lost(&run), 0);
        assert!(listings <= 60, "{listings} pages");
        run.stop().await.unwrap();
    }
}
