//! A worker that gets no listing of its stream: the shards that wait for one are left to a worker
//! that gets it.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Lease, LeaseKey, ShardId};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{ErrorKind, Stream};
use kcl_core::worker::{Builder, CoordinationOn, Event, StreamConfig};

use crate::support::{
    Call, CutStream, Fleet, HookedStream, Pushing, Run, Script, TokioClock, script, until,
    wait_for_lease,
};

fn own(clock: TokioClock, id: &'static str) -> impl FnOnce(Builder) -> Builder {
    move |builder| {
        let builder = builder
            .clock(clock)
            .coordination_on(CoordinationOn::CallersRuntime);
        builder.failover(Duration::from_secs(10)).worker_id(id)
    }
}

fn fleet(world: &Pushing, stream: &(impl Stream + Clone), id: &'static str) -> Fleet {
    Fleet::new(stream, &world.table).with(own(world.clock, id))
}

fn held(run: &Run) -> usize {
    run.worker.status().shards.len()
}

/// The one reads all four shards, and then the other two of them.
async fn shared(world: &Pushing, other: &(impl Stream + Clone), script: Script) -> [Run; 2] {
    let one = fleet(world, &world.stream, "one").start(Script::default());
    until("the one to hold all", || held(&one) == 4).await;
    let other = fleet(world, other, "other").start(script);
    until("both to share", || held(&one) == 2 && held(&other) == 2).await;
    [one, other]
}

fn one_of(run: &Run) -> LeaseKey {
    run.worker
        .status()
        .shards
        .into_keys()
        .next()
        .expect("a shard")
}

fn ends(run: &Run, shard: &ShardId) -> usize {
    run.seen
        .count(shard, |call| matches!(call, Call::ShardEnded { .. }))
}

async fn stop(runs: [Run; 2]) {
    for run in runs {
        run.stop().await.unwrap();
    }
}

/// A shard that is read from its beginning asks the listing about a parent of which there is no
/// row.
#[tokio::test(start_paused = true)]
async fn a_shard_that_waits_for_its_parents_is_left_to_others() {
    let world = Pushing::new(2);
    for parent in world.stream.open_shards() {
        world.stream.split_evenly(&parent).unwrap();
        world.stream.drop_shard(&parent).unwrap();
    }
    for shard in world.stream.shards() {
        let mut row = Lease::new(LeaseKey::single(shard.id), Checkpoint::TrimHorizon);
        row.parents = shard.parents;
        world.table.create(&row).await.unwrap();
    }
    let one = fleet(&world, &world.stream, "one").start(Script::default());
    one.seen.wait_for_initialized(4).await;
    let cut = CutStream::new(&world.stream);
    let other = fleet(&world, &cut, "other").start(Script::default());
    other
        .heard
        .wait_for("the other to begin", |event| {
            matches!(event, Event::Started)
        })
        .await;
    cut.fail_only(ErrorKind::Unreachable, &["ListShards"]);
    until("the other to have some", || held(&other) == 2).await;
    for shard in world.stream.open_shards() {
        world.stream.put_to(&shard, "k", "record").unwrap();
    }
    one.seen.wait_for_records(4).await;
    assert_eq!(other.seen.records(), 0);
    stop([one, other]).await;
}

/// Whoever reads it next is given the same end.
#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_confirmed_is_left_to_others() {
    let world = Pushing::new(4);
    let cut = CutStream::new(&world.stream);
    let [one, other] = shared(&world, &cut, Script::default()).await;
    cut.fail_only(ErrorKind::Unreachable, &["ListShards"]);
    let shard = one_of(&other).shard;
    world.stream.split_evenly(&shard).unwrap();
    wait_for_lease(&world.table, &shard, |lease| {
        lease.checkpoint.is_shard_end()
    })
    .await;
    assert_eq!((ends(&one, &shard), ends(&other, &shard)), (1, 0));
    stop([one, other]).await;
}

/// Five tries of 30 s each would keep the shard for minutes.
#[tokio::test(start_paused = true)]
async fn a_listing_that_is_never_answered_keeps_no_end_for_minutes() {
    let world = Pushing::new(4);
    let (silent, is_silent) = (
        HookedStream::new(&world.stream),
        Arc::new(AtomicBool::new(false)),
    );
    let hangs = Arc::clone(&is_silent);
    silent.before(move |operation, _| {
        let hangs = operation == Operation::ListShards && hangs.load(Ordering::SeqCst);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
    });
    let [one, other] = shared(&world, &silent, Script::default()).await;
    is_silent.store(true, Ordering::SeqCst);
    let (shard, begun) = (one_of(&other).shard, tokio::time::Instant::now());
    world.stream.split_evenly(&shard).unwrap();
    wait_for_lease(&world.table, &shard, |lease| {
        lease.checkpoint.is_shard_end()
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(80),
        "{:?}",
        begun.elapsed()
    );
    stop([one, other]).await;
}

/// Nothing follows the shard as far as anybody knows, so the listing is looked through once more
/// before its end is stored.
#[tokio::test(start_paused = true)]
async fn children_that_cannot_be_listed_are_left_to_others() {
    let world = Pushing::new(4);
    let cut = CutStream::new(&world.stream);
    let cuts = cut.clone();
    let shard_ended = script(move |_| {
        cuts.fail_only(ErrorKind::Unreachable, &["ListShards"]);
        async { Ok(()) }
    });
    let [one, other] = shared(
        &world,
        &cut,
        Script {
            shard_ended,
            ..Script::default()
        },
    )
    .await;
    let shard = one_of(&other).shard;
    world.stream.close(&shard).unwrap();
    wait_for_lease(&world.table, &shard, |lease| {
        lease.checkpoint.is_shard_end()
    })
    .await;
    assert_eq!((ends(&one, &shard), ends(&other, &shard)), (1, 1));
    stop([one, other]).await;
}

/// That this worker has no right to list one of its streams says nothing of others.
#[tokio::test(start_paused = true)]
async fn an_end_is_left_to_others_where_the_listing_is_denied() {
    let (world, table) = (Pushing::new(1), MemoryLeaseTable::new());
    let visits = MemoryStream::with_clock("visits", 4, Arc::new(world.clock));
    let start = |id: &'static str, visits: &CutStream| {
        let orders = StreamConfig::new("orders").source(world.stream.clone());
        let streams = vec![orders, StreamConfig::new("visits").source(visits.clone())];
        Fleet::of_streams(&table, streams)
            .with(own(world.clock, id))
            .start(Script::default())
    };
    let [healthy, cut] = [CutStream::new(&visits), CutStream::new(&visits)];
    let one = start("one", &healthy);
    until("the one to hold all", || held(&one) == 5).await;
    let other = start("other", &cut);
    until("both to share", || held(&other) == 2 && held(&one) == 3).await;
    cut.fail_only(ErrorKind::Denied, &["ListShards"]);
    let is_of_visits = |lease: &LeaseKey| {
        lease
            .stream
            .as_deref()
            .is_some_and(|stream| stream.contains("visits"))
    };
    let lease = other
        .worker
        .status()
        .shards
        .into_keys()
        .find(is_of_visits)
        .expect("a shard of the stream");
    visits.split_evenly(&lease.shard).unwrap();
    until("the one to end it", || ends(&one, &lease.shard) == 1).await;
    assert_eq!(ends(&other, &lease.shard), 0);
    stop([one, other]).await;
}
