//! Rows of the lease table that somebody has edited so that they cannot be read.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{
    Call, Fleet, Pushing, Script, lease_of, next_millisecond, until, wait_for_lease,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Consistency, LeaseTable, MalformedRow, RowKey};
use kcl_core::model::{InitialPosition, LeaseKey, ShardId, WorkerId};
use kcl_core::processor::LossReason;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Mode};
use std::time::Duration;

/// The audits of the only worker, as its row shows them.
async fn audits(table: &MemoryLeaseTable) -> u64 {
    table
        .scan(None, Consistency::Strong)
        .await
        .unwrap()
        .workers
        .iter()
        .map(|row| row.audits)
        .sum()
}

fn row_of(shard: &ShardId) -> RowKey {
    RowKey::Lease(LeaseKey::single(shard.clone()))
}

fn garbled(row: RowKey) -> MalformedRow {
    MalformedRow::new(row, "checkpoint", Some("x"), "a decimal number")
}

fn tells_of(row: &RowKey) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::RowMalformed { row: found } if found.row == *row)
}

/// The worker of the first run is gone; a second one meets the row as it starts, reads the other
/// shards, and this one once it is repaired, from its checkpoint on.
#[tokio::test]
async fn a_malformed_lease_stops_its_own_shard_alone() {
    let stream = MemoryStream::new("orders", 2);
    let [spoiled, good] = <[ShardId; 2]>::try_from(stream.open_shards()).unwrap();
    let table = MemoryLeaseTable::new();
    for shard in [&spoiled, &good] {
        stream.put_to(shard, "k", "before").unwrap();
    }
    let first = Fleet::with_short_failover(&stream, &table).start(Script::default());
    first.seen.wait_for_records(2).await;
    wait_for_lease(&table, &spoiled, |lease| {
        lease.checkpoint.position().is_some()
    })
    .await;
    first.stop().await.unwrap();
    let before = lease_of(&table, &spoiled).await;

    let row = row_of(&spoiled);
    table.spoil(garbled(row.clone()));
    for shard in [&spoiled, &good] {
        stream.put_to(shard, "k", "after").unwrap();
    }
    let every = Duration::from_secs(1);
    let second = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.audit_every(every))
        .start(Script::default());
    second
        .heard
        .wait_for("the malformed row", tells_of(&row))
        .await;
    second.seen.wait_for_records(1).await;
    // Looks and audits go on meanwhile.
    stream.split_evenly(&good).unwrap();
    second
        .seen
        .wait_for_call(&good, "shard_ended", |call| {
            matches!(call, Call::ShardEnded { .. })
        })
        .await;
    assert_eq!(
        second.seen.count(&spoiled, |_| true),
        0,
        "nothing of the malformed lease's shard is read"
    );
    assert_eq!(second.heard.count(tells_of(&row)), 1);
    let unreadable = second.worker.status().unreadable;
    let [(key, shard)] = unreadable.iter().collect::<Vec<_>>()[..] else {
        panic!("{unreadable:?}")
    };
    assert!(
        *key == LeaseKey::single(spoiled.clone()) && shard.error.contains("`checkpoint`"),
        "{unreadable:?}"
    );

    table.repair(&row);
    assert_eq!(
        lease_of(&table, &spoiled).await,
        before,
        "nobody wrote to it"
    );
    second.seen.wait_for_records(2).await;
    assert_eq!(second.seen.payloads(), ["after", "after"]);
    assert!(second.worker.status().unreadable.is_empty());
    second.stop().await.unwrap();
}

/// Also where new shards begin at the tip: a table whose rows cannot be read is not an empty one.
#[tokio::test]
async fn a_held_lease_that_is_spoiled_is_lost_and_its_children_wait() {
    for position in [InitialPosition::TrimHorizon, InitialPosition::Latest] {
        spoiled_under_its_holder(position).await;
    }
}

async fn spoiled_under_its_holder(position: InitialPosition) {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let table = MemoryLeaseTable::new();
    let every = Duration::from_secs(1);
    let fleet = Fleet::with_short_failover(&stream, &table).initial_position(position);
    let run = fleet
        .with(|builder| builder.audit_every(every))
        .start(Script::default());
    run.seen.wait_for_initialized(1).await;
    next_millisecond().await;
    stream.put_to(&shard, "k", "before").unwrap();
    run.seen.wait_for_records(1).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint.position().is_some()
    })
    .await;

    let row = row_of(&shard);
    table.spoil(garbled(row.clone()));
    run.heard
        .wait_for("the malformed row", tells_of(&row))
        .await;
    let unreadable = |event: &Event| matches!(event, Event::LeaseLost { reason: LossReason::Unreadable(why), .. } if why.contains("`checkpoint`"));
    run.heard.wait_for("the loss", unreadable).await;
    stream.put_to(&shard, "k", "meanwhile").unwrap();
    let children = stream.split_evenly(&shard).unwrap();
    stream.put_to(&children[0], "k", "child").unwrap();
    let seen = audits(&table).await;
    let two_more = || {
        futures_util::future::FutureExt::now_or_never(audits(&table))
            .is_some_and(|audits| audits >= seen + 2)
    };
    until("two audits", two_more).await;
    let rows = table.scan(None, Consistency::Strong).await.unwrap();
    assert!(
        rows.leases.is_empty(),
        "nobody made a lease for it or for its children: {rows:?}"
    );

    table.repair(&row);
    run.seen.wait_for_records(3).await;
    assert_eq!(run.seen.payloads(), ["before", "meanwhile", "child"]);
    run.stop().await.unwrap();
}

/// Nobody announces that. A worker that holds everything looks seldom, but not while a row cannot
/// be read.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_repaired_is_found_by_the_next_look() {
    let world = Pushing::new(2);
    let fleet = world
        .fleet_as(Mode::Polling)
        .with(|builder| builder.audit_every(Duration::from_hours(1)));
    let run = fleet.start(Script::default());
    run.seen.wait_for_initialized(2).await;
    let row = row_of(&world.shard());
    world.table.spoil(garbled(row.clone()));
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    tokio::time::sleep(Duration::from_secs(130)).await;
    world.stream.put_to(&world.shard(), "k", "after").unwrap();
    let repaired = tokio::time::Instant::now();
    world.table.repair(&row);
    run.seen.wait_for_records(1).await;
    assert!(
        repaired.elapsed() < Duration::from_secs(8),
        "{:?}",
        repaired.elapsed()
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_malformed_worker_and_a_malformed_signal_stop_nobody() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let table = MemoryLeaseTable::new();
    let rows = [RowKey::Worker(WorkerId::from("me")), RowKey::Signal];
    for row in &rows {
        table.spoil(garbled(row.clone()));
    }
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.worker_id("me"))
        .start(Script::default());
    for row in &rows {
        run.heard.wait_for("the malformed row", tells_of(row)).await;
    }
    stream.put_to(&shard, "k", "read").unwrap();
    run.seen.wait_for_records(1).await;
    for row in &rows {
        table.repair(row);
    }
    // From then on it has a row, as any worker.
    until("its row", || {
        futures_util::future::FutureExt::now_or_never(audits(&table))
            .is_some_and(|audits| audits > 0)
    })
    .await;
    run.stop().await.unwrap();
}
