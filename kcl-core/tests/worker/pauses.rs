//! A shard that an operator pauses, and where it is read on.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use kcl_core::admin::{SteerError, drained, pause, resume, seek};
use kcl_core::lease::LeaseTable;
use kcl_core::model::{LeaseKey, Timestamp};
use kcl_core::worker::Event;
use kcl_core::{Clock as _, InitialPosition, MemoryLeaseTable, SystemClock};

use crate::support::{
    Call, Fleet, PATIENCE, Run, Script, lease_of, one_shard, until, wait_for_lease,
};

fn start(stream: &kcl_core::MemoryStream, table: &MemoryLeaseTable, id: &'static str) -> Run {
    Fleet::new(stream, table)
        .with(move |builder| builder.worker_id(id).failover(Duration::from_millis(1500)))
        .start(Script::default())
}

async fn pause_and_drain(table: &MemoryLeaseTable, key: &LeaseKey) {
    pause(table, std::slice::from_ref(key), SystemClock.wall())
        .await
        .unwrap();
    let held = drained(table, std::slice::from_ref(key), PATIENCE, &SystemClock).await;
    assert_eq!(held.unwrap(), []);
}

/// Each record is given once: the pause stores what is done, and reading goes on behind it.
#[tokio::test]
async fn a_paused_shard_is_read_by_nobody_until_it_is_resumed() {
    let (stream, shard, _) = one_shard(20);
    let (table, key) = (MemoryLeaseTable::new(), LeaseKey::single(shard.clone()));
    let first = start(&stream, &table, "first");
    until("the first records", || first.seen.payloads().len() == 20).await;
    pause_and_drain(&table, &key).await;
    first
        .heard
        .wait_for(
            "the pause",
            |event| matches!(event, Event::ShardPaused { lease } if *lease == key),
        )
        .await;
    assert_eq!(
        first
            .seen
            .count(&shard, |call| *call == Call::ShutdownRequested),
        1
    );

    // Neither the worker that had it, nor one that is started now, nor the first one restarted.
    for n in 0..5 {
        stream.put("key", format!("late-{n}")).unwrap();
    }
    let second = start(&stream, &table, "second");
    second
        .heard
        .wait_for("its start", |event| matches!(event, Event::Started))
        .await;
    let before = lease_of(&table, &shard).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        lease_of(&table, &shard).await,
        before,
        "twice the failover time later"
    );
    assert_eq!(
        second.seen.payloads().len() + first.seen.payloads().len(),
        20
    );

    resume(&table, std::slice::from_ref(&key)).await.unwrap();
    until("the late records", || {
        first.seen.payloads().len() + second.seen.payloads().len() == 25
    })
    .await;
    wait_for_lease(&table, &shard, |lease| {
        !lease.is_paused() && lease.owner.is_some()
    })
    .await;
    assert_eq!(
        first
            .heard
            .count(|event| matches!(event, Event::ShardPaused { .. })),
        1
    );
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// A worker that dies before it has drained a paused shard leaves its name in the row. Others free the
/// lease, and nobody takes it; after the resume it is read on from the checkpoint.
#[tokio::test]
async fn a_paused_shard_of_a_dead_worker_waits_too() {
    let (stream, shard, _) = one_shard(3);
    let (table, key) = (MemoryLeaseTable::new(), LeaseKey::single(shard.clone()));
    let first = start(&stream, &table, "first");
    until("the records", || first.seen.payloads().len() == 3).await;
    first.crash().await;
    pause(&table, std::slice::from_ref(&key), SystemClock.wall())
        .await
        .unwrap();
    let second = start(&stream, &table, "second");
    second
        .heard
        .wait_for("its start", |event| matches!(event, Event::Started))
        .await;
    let freed = wait_for_lease(&table, &shard, |lease| lease.owner.is_none()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(lease_of(&table, &shard).await, freed);
    resume(&table, &[key]).await.unwrap();
    wait_for_lease(&table, &shard, |lease| lease.owner == Some("second".into())).await;
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_seek_back_gives_the_records_again() {
    let (stream, shard, _) = one_shard(7);
    let (table, key) = (MemoryLeaseTable::new(), LeaseKey::single(shard.clone()));
    let run = start(&stream, &table, "first");
    until("the records", || run.seen.payloads().len() == 7).await;
    let held = lease_of(&table, &shard).await;
    let refused = seek(
        &table,
        &held,
        InitialPosition::TrimHorizon,
        Timestamp::from_millis(0),
    )
    .await;
    assert!(
        matches!(
            refused,
            Err(SteerError::Changed {
                holder: Some(_),
                ..
            })
        ),
        "{refused:?}"
    );
    pause_and_drain(&table, &key).await;
    let free = lease_of(&table, &shard).await;
    let set = seek(
        &table,
        &free,
        InitialPosition::TrimHorizon,
        Timestamp::from_millis(0),
    )
    .await;
    assert!(set.unwrap().is_paused(), "a seek ends no pause");
    resume(&table, &[key]).await.unwrap();
    until("the records again", || run.seen.payloads().len() == 14).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_java_kcl_holds_is_not_paused() {
    let (_, shard, _) = one_shard(1);
    let (table, key) = (MemoryLeaseTable::new(), LeaseKey::single(shard));
    let mut lease = kcl_core::model::Lease::new(key.clone(), kcl_core::model::Checkpoint::Latest);
    lease.owner = Some("java".into());
    table.create(&lease).await.unwrap();
    let refused = pause(&table, std::slice::from_ref(&key), SystemClock.wall()).await;
    assert!(
        matches!(&refused, Err(SteerError::Foreign { .. })),
        "{refused:?}"
    );
    assert_eq!(table.get(&key).await.unwrap(), Some(lease));
}
