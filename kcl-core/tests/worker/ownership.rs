//! Leases that are taken, lost, deleted and contested: one owner at a time, and a checkpoint that
//! never goes back.
#![expect(
    clippy::disallowed_methods,
    reason = "waits in real time, and handlers that block their thread"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::fleet;
use crate::support::{
    Call, Fleet, Script, Seen, UnrulyTable, at, lease_of, locked, one_shard, payloads, soon, until,
    wait_for_lease,
};
use kcl_core::checkpoint::{CheckpointError, Checkpointer};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Expect, LeaseTable, Write};
use kcl_core::model::{Checkpoint, LeaseKey};
use kcl_core::processor::LossReason;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Checkpoints, Event, Liveness, RunError};

const F: Duration = Duration::from_secs(1);

/// Processors that keep their checkpointers.
fn keeping() -> (Arc<Mutex<Vec<Checkpointer>>>, Script) {
    let kept = Arc::<Mutex<Vec<Checkpointer>>>::default();
    let keep = Arc::clone(&kept);
    let script = Script::process(move |input| {
        locked(&keep).push(input.checkpointer);
        async { Ok(()) }
    });
    (kept, script)
}

#[tokio::test]
async fn a_stolen_lease_is_lost_once_and_its_old_owner_stores_nothing() {
    let (stream, shard, sequences) = one_shard(2);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), keeping());
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual))
        .start(script);
    run.seen.wait_for_records(2).await;
    let key = LeaseKey::single(shard.clone());
    let take = Write::take(
        &lease_of(&table, &shard).await,
        "another".into(),
        "its token".into(),
    );
    table.update(&key, &take).await.unwrap();
    run.seen
        .wait_for_call(&shard, "lease_lost", |call| {
            matches!(call, Call::LeaseLost { .. })
        })
        .await;
    let late = locked(&kept)[0].clone();
    let refused = late.checkpoint().await.unwrap_err();
    let says_who =
        |reason: &LossReason| matches!(reason, LossReason::Lost(why) if why.contains("another"));
    assert!(
        matches!(&refused, CheckpointError::LeaseLost { reason: Some(reason) } if says_who(reason)),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("another"), "{refused}");
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
    stream.put_to(&shard, "k", "later").unwrap();
    // The other one shows no life: this worker comes back, with a higher fence, and begins where
    // the row says.
    run.seen.wait_for_records(5).await;
    let fences: Vec<_> = run
        .seen
        .calls_of(&shard)
        .into_iter()
        .filter_map(|call| {
            if let Call::Initialize { fence, .. } = call {
                Some(fence)
            } else {
                None
            }
        })
        .collect();
    assert!(
        matches!(fences[..], [first, second] if first < second),
        "{fences:?}"
    );
    assert_eq!(run.seen.payloads(), ["0", "1", "0", "1", "later"]);
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::LeaseLost { .. })),
        1
    );
    let stale = late.checkpoint().await;
    assert!(
        matches!(stale, Err(CheckpointError::LeaseLost { .. })),
        "the tenancy counts, not the worker: {stale:?}"
    );
    let last = locked(&kept).last().unwrap().clone();
    last.checkpoint().await.unwrap();
    assert!(lease_of(&table, &shard).await.checkpoint > at(&sequences[1]));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn no_batch_is_handed_out_after_the_lease_is_known_to_be_lost() {
    let (stream, shard, _) = one_shard(1000);
    let table = MemoryLeaseTable::new();
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.max_records(1))
        .start(Script::process(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        }));
    run.seen.wait_for_records(3).await;
    table.edit(&LeaseKey::single(shard.clone()), |lease| {
        (lease.owner, lease.token) = (Some("another".into()), Some("its token".into()));
        lease.counter += 1;
    });
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    let calls = run.seen.calls_of(&shard);
    assert!(
        matches!(calls.last(), Some(Call::LeaseLost { .. })),
        "{:?}",
        calls.last()
    );
    run.crash().await;
}

/// The last one that was acknowledged.
#[tokio::test]
async fn a_deleted_row_is_restored_with_its_last_checkpoint() {
    let stream = MemoryStream::new("orders", 2);
    let shard = stream.open_shards().remove(0);
    let sequences = stream
        .put_many_to(&shard, (0..3).map(|n| ("k", format!("{n}"))))
        .unwrap();
    let table = MemoryLeaseTable::new();
    // One lease is left unread, so that this worker goes on looking at the table.
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.max_leases(1).liveness(Liveness::Kcl))
        .start(Script::default());
    let before = wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    let key = LeaseKey::single(shard.clone());
    table.delete(&key, &Expect::default()).await.unwrap();
    let after = wait_for_lease(&table, &shard, |_| true).await;
    assert_eq!(
        (&after.checkpoint, &after.owner),
        (&before.checkpoint, &before.owner)
    );
    assert!(
        after.counter > before.counter,
        "the fence of a later owner is above ours"
    );
    // Several looks and renewals later it is still the same tenancy.
    wait_for_lease(&table, &shard, |lease| lease.counter >= after.counter + 4).await;
    let last = stream.put_to(&shard, "k", "3").unwrap();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    assert_eq!(run.seen.payloads(), payloads(0..4));
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::Initialize { .. })),
        1
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_meets_a_deleted_row_is_stored_all_the_same() {
    let (stream, shard, sequences) = one_shard(2);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), keeping());
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual).failover(F * 10))
        .start(script);
    run.seen.wait_for_records(2).await;
    table
        .delete(&LeaseKey::single(shard.clone()), &Expect::default())
        .await
        .unwrap();
    let checkpointer = locked(&kept).last().unwrap().clone();
    checkpointer.checkpoint().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[1]),
        "what was acknowledged is stored"
    );
    run.stop().await.unwrap();
}

/// It is not made anew at the initial position.
#[tokio::test]
async fn an_audit_does_not_reset_a_deleted_row() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    // Audits come well before the renewal that finds the row missing.
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.failover(F * 6).audit_every(F))
        .start(Script::default());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    table
        .delete(&LeaseKey::single(shard.clone()), &Expect::default())
        .await
        .unwrap();
    let after = wait_for_lease(&table, &shard, |_| true).await;
    assert_eq!(after.checkpoint, at(&sequences[2]));
    let last = stream.put_to(&shard, "k", "3").unwrap();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    assert_eq!(run.seen.payloads(), payloads(0..4));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn of_two_live_workers_with_one_id_the_later_one_stops() {
    let (stream, shard, _) = one_shard(1);
    let table = UnrulyTable::new();
    // Of a worker that stands still for a third of this time, the second one would adopt the name.
    let fleet = || {
        Fleet::with_short_failover(&stream, &table)
            .with(|builder| builder.worker_id("twin").failover(F * 4))
    };
    let first = fleet().start(Script::default());
    first.seen.wait_for_records(1).await;
    let second = fleet().start(Script::default());
    match second.ended().await {
        Err(RunError::DuplicateWorkerId { worker }) => assert_eq!(worker.as_str(), "twin"),
        other => panic!("{other:?}"),
    }
    let last = stream.put_to(&shard, "k", "later").unwrap();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    assert_eq!(first.seen.payloads(), ["0", "later"]);
    first.stop().await.unwrap();
    assert_eq!(table.regressions(), Vec::<String>::new());
}

/// At least one stops, and no checkpoint goes back.
#[tokio::test]
async fn of_two_workers_with_one_id_started_together_one_stops() {
    let stream = MemoryStream::new("orders", 4);
    stream
        .put_many((0..200).map(|n| (format!("{n}"), format!("{n}"))))
        .unwrap();
    let table = UnrulyTable::new();
    let fleet = || {
        Fleet::with_short_failover(&stream, &table).with(|builder| {
            builder
                .worker_id("twin")
                .max_records(5)
                .max_leases(2)
                .checkpoint_every(Duration::from_millis(1))
        })
    };
    let script = || {
        Script::process(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        })
    };
    let seen = Seen::default();
    let mut twins = [
        fleet().start_with(script(), seen.clone()),
        fleet().start_with(script(), seen.clone()),
    ];
    let [first, second] = &mut twins;
    let ended = soon("the end of one of them", async {
        tokio::select! {
            ended = &mut first.task => ended,
            ended = &mut second.task => ended,
        }
    });
    let ended = ended.await.unwrap();
    assert!(
        matches!(ended, Err(RunError::DuplicateWorkerId { .. })),
        "{ended:?}"
    );
    for twin in twins.into_iter().filter(|twin| !twin.task.is_finished()) {
        twin.crash().await;
    }
    // What they left is finished by one of the same name.
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.worker_id("twin"))
        .start_with(Script::default(), seen.clone());
    seen.wait_for("every record", |_| distinct(&seen).len() == 200)
        .await;
    run.stop().await.unwrap();
    assert_eq!(table.regressions(), Vec::<String>::new());
}

fn distinct(seen: &Seen) -> BTreeSet<String> {
    seen.payloads().into_iter().collect()
}

#[tokio::test]
async fn after_a_crash_another_worker_resumes_within_failover_time() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let first = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.worker_id("first"))
        .start(Script::default());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    let second = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.worker_id("second"))
        .start(Script::default());
    second
        .heard
        .wait_for("its start", |event| matches!(event, Event::Started))
        .await;
    // It has seen the other one alive, whose heartbeats hold the lease.
    let beats = async || table.get_worker(&"first".into()).await.unwrap();
    let counter = beats().await.unwrap().counter;
    let has_beaten = async || beats().await.unwrap().counter >= counter + 2;
    fleet::wait_for("two heartbeats", has_beaten).await;
    assert_eq!(second.seen.calls(), []);
    first.crash().await;
    let crashed = Instant::now();
    second.seen.wait_for_initialized(1).await;
    let taken = crashed.elapsed();
    assert!(taken <= F + Duration::from_millis(500), "{taken:?}");
    stream.put_to(&shard, "k", "3").unwrap();
    second.seen.wait_for_records(1).await;
    assert_eq!(second.seen.payloads(), ["3"]);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_with_the_same_id_does_not_wait_for_failover() {
    let (stream, _, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let fleet = || {
        Fleet::with_short_failover(&stream, &table)
            .with(|builder| builder.worker_id("same").failover(F * 4))
    };
    let first = fleet().start(Script::default());
    first.seen.wait_for_records(1).await;
    first.crash().await;
    let restarted = Instant::now();
    let second = fleet().start(Script::default());
    second.seen.wait_for_initialized(1).await;
    assert!(restarted.elapsed() < F * 7 / 2, "{:?}", restarted.elapsed());
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_frees_leases_at_once_and_without_a_duplicate() {
    let stream = MemoryStream::new("orders", 4);
    stream
        .put_many((0..100).map(|n| (format!("{n}"), format!("{n}"))))
        .unwrap();
    let table = MemoryLeaseTable::new();
    let seen = Seen::default();
    let fleet = |name: &str| {
        Fleet::with_short_failover(&stream, &table)
            .with(|builder| builder.worker_id(name).failover(F * 10))
    };
    let first = fleet("first")
        .with(|builder| builder.max_records(3))
        .start_with(Script::default(), seen.clone());
    seen.wait_for_records(50).await;
    first.stop().await.unwrap();
    let stopped = Instant::now();
    let second = fleet("second").start_with(Script::default(), seen.clone());
    seen.wait_for_records(100).await;
    assert!(stopped.elapsed() < F, "{:?}", stopped.elapsed());
    until("nothing more", || seen.records() >= 100).await;
    second.stop().await.unwrap();
    assert_eq!((seen.records(), seen.duplicates()), (100, 0));
}
