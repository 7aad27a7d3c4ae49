//! A stream of many shards that was resharded long ago: the parents of its shards are named and not listed any more.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::{Duration, Instant};

use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, InitialPosition, Lease, LeaseKey};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::Event;

use crate::support::{Fleet, Run, Script};

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
    run.heard.count(|event| matches!(event, Event::LeaseLost { .. }))
}

/// Rows that name their parents and are read from the beginning: whether the parents are there says the listing alone.
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

/// The figures are for the release build: `cargo test --release -p kcl-core --test worker many_shards -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure, and long without optimisation"]
async fn ten_thousand_shards_begin_and_lose_no_lease() {
    const SHARDS: usize = 10_000;
    for position in [InitialPosition::Latest, InitialPosition::TrimHorizon] {
        let stream = resharded(SHARDS as u32);
        let begun = Instant::now();
        let fleet = Fleet::new(&stream, &MemoryLeaseTable::new()).initial_position(position);
        let run = fleet.with(|builder| builder.idle_ceiling(Duration::from_secs(1))).start(Script::default());
        run.heard.wait_for("the worker to begin", |event| matches!(event, Event::Started)).await;
        let started = begun.elapsed();
        put_one_each(&stream);
        run.seen.wait_for_records(1).await;
        let first = begun.elapsed();
        run.seen.wait_for_records(SHARDS).await;
        let all = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let listings = stream.call_count(Operation::ListShards, None);
        println!(
            "{position:?}: {listings} pages listed, {} leases lost, begun after {started:?}, first record after {first:?}, all after {all:?}",
            lost(&run)
        );
        assert_eq!(lost(&run), 0);
        assert!(listings <= 60, "{listings} pages");
        run.stop().await.unwrap();
    }
}
