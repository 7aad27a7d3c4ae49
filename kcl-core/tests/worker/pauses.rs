//! A shard that an operator pauses, and where it is read on.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use kcl_core::admin::{SteerError, drained, pause, resume, seek};
use kcl_core::lease::LeaseTable;
use kcl_core::model::{LeaseKey, Timestamp};
use kcl_core::worker::Event;
use kcl_core::{Clock as _, InitialPosition, MemoryLeaseTable, SystemClock};

use crate::support::{
    Call, Fleet, Gate, PATIENCE, Run, Script, lease_of, one_shard, until, wait_for_lease,
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

/// The owner hangs in a batch, is killed while the seek waits for it, and never stores what it did. Another
/// worker frees the lease, and the seek goes on: everything from its place is given to that worker.
#[tokio::test]
async fn a_seek_goes_on_when_the_owner_is_killed_meanwhile() {
    let (stream, shard, _) = one_shard(7);
    let (table, key) = (MemoryLeaseTable::new(), LeaseKey::single(shard.clone()));
    let first = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .worker_id("first")
                .failover(Duration::from_millis(1500))
        })
        .start(Gate::new().processing());
    until("the first batch", || !first.seen.payloads().is_empty()).await;
    pause(&table, std::slice::from_ref(&key), SystemClock.wall())
        .await
        .unwrap();
    let second = start(&stream, &table, "second");
    let moment = Duration::from_millis(300);
    let held = drained(&table, std::slice::from_ref(&key), moment, &SystemClock).await;
    let held = held.unwrap().remove(0);
    assert_eq!(held.owner, Some("first".into()));
    first.crash().await;
    let held_still = drained(&table, std::slice::from_ref(&key), PATIENCE, &SystemClock).await;
    assert_eq!(held_still.unwrap(), []);
    // It was drained by nobody: what a seek wrote on the row of before is refused.
    let (to, now) = (InitialPosition::TrimHorizon, Timestamp::from_millis(0));
    let refused = seek(&table, &held, to, now).await;
    assert!(
        matches!(refused, Err(SteerError::Changed { holder: None, .. })),
        "{refused:?}"
    );
    let free = lease_of(&table, &shard).await;
    seek(&table, &free, to, now).await.unwrap();
    assert!(second.seen.payloads().is_empty());
    resume(&table, std::slice::from_ref(&key)).await.unwrap();
    until("all records", || second.seen.payloads().len() == 7).await;
    second.stop().await.unwrap();
}

/// Its process ends behind each of its steps. The shard is then paused, at its place or at the new one, and
/// nobody reads it; once it is resumed, it is read from there.
#[tokio::test]
async fn a_seek_that_is_killed_leaves_a_paused_shard() {
    for steps in 1..=3 {
        let (stream, shard, _) = one_shard(5);
        let (table, key) = (MemoryLeaseTable::new(), LeaseKey::single(shard.clone()));
        let run = start(&stream, &table, "first");
        until("the records", || run.seen.payloads().len() == 5).await;
        pause(&table, std::slice::from_ref(&key), SystemClock.wall())
            .await
            .unwrap();
        if steps > 1 {
            pause_and_drain(&table, &key).await;
        }
        if steps > 2 {
            let free = lease_of(&table, &shard).await;
            let now = Timestamp::from_millis(0);
            let set = seek(&table, &free, InitialPosition::TrimHorizon, now).await;
            set.unwrap();
        }
        let row = wait_for_lease(&table, &shard, |lease| lease.owner.is_none()).await;
        assert!(row.is_paused());
        stream.put("key", "late").unwrap();
        resume(&table, &[key]).await.unwrap();
        let expected = if steps > 2 { 11 } else { 6 };
        until("the rest", || run.seen.payloads().len() >= expected).await;
        wait_for_lease(&table, &shard, |lease| lease.checkpoint > row.checkpoint).await;
        assert_eq!(run.seen.payloads().len(), expected, "{steps} steps");
        run.stop().await.unwrap();
    }
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
