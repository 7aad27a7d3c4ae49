//! The last calls of a processor, when its lease is lost or its worker stops: they are waited for as
//! long as there is time, and nothing is left behind.

#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use crate::support::{
    Call, Fleet, Script, at, lease_of, one_shard, script, soon, until, wait_for_lease,
};
use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Stopped};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_lease_lost_that_panics_or_hangs_leaves_nothing_behind() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let lease_lost = script(|_| async { panic!("a panic of lease_lost") });
    let run = Fleet::new(&stream, &table).start(Script {
        lease_lost,
        ..Script::default()
    });
    run.seen.wait_for_records(2).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[1])
    })
    .await;
    // Somebody edits the row: the lease is lost. It is free again, and this worker comes back to
    // it.
    table.edit(&LeaseKey::single(shard.clone()), |lease| {
        (lease.owner, lease.token) = (None, None);
        lease.counter += 10;
    });
    run.seen
        .wait_for("a second acquisition", |calls| {
            calls
                .iter()
                .filter(|(_, call)| matches!(call, Call::Initialize { .. }))
                .count()
                == 2
        })
        .await;
    stream.put_to(&shard, "k", "later").unwrap();
    run.seen.wait_for_records(3).await;
    assert_eq!(run.seen.payloads(), ["0", "1", "later"]);
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::LeaseLost { .. })),
        1
    );
    until("one shard in the status", || {
        run.worker.status().shards.len() == 1
    })
    .await;
    let worker = run.worker.clone();
    run.stop().await.unwrap();
    assert_eq!(
        (worker.status().budget_used, worker.status().shards.len()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_shutdown_requested_that_panics_does_not_hold_up_the_stop() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let shutdown_requested = script(|_| async { panic!("a panic of shutdown_requested") });
    let run = Fleet::new(&stream, &table).start(Script {
        shutdown_requested,
        ..Script::default()
    });
    run.seen.wait_for_records(2).await;
    let seen = run.seen.clone();
    let report = soon("the stop", run.stop()).await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 1, "{report}");
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.owner, lease.checkpoint), (None, at(&sequences[1])));
    let calls = seen.calls_of(&shard);
    assert!(
        matches!(
            &calls[calls.len() - 2..],
            [Call::ShutdownRequested, Call::LeaseLost { .. }]
        ),
        "{calls:?}"
    );
}

/// It is dropped at the deadline.
#[tokio::test]
async fn a_handler_that_hangs_at_the_stop_is_dropped_and_reported() {
    for hangs_in_batch in [false, true] {
        let stream = MemoryStream::new("orders", 2);
        let [stuck, free] = stream.open_shards().try_into().unwrap();
        stream.put_to(&stuck, "k", "x").unwrap();
        stream.put_to(&free, "k", "x").unwrap();
        let table = MemoryLeaseTable::new();
        let (in_batch, in_request) = (stuck.clone(), stuck.clone());
        let process: Arc<crate::support::OnProcess> = Arc::new(move |input| {
            let hangs = hangs_in_batch && input.shard.shard == in_batch;
            Box::pin(async move {
                if hangs {
                    std::future::pending().await
                } else {
                    Ok(())
                }
            })
        });
        let shutdown_requested =
            script(move |input: kcl_core::processor::ShutdownRequestedInput| {
                let hangs = input.shard.shard == in_request;
                async move {
                    if hangs {
                        std::future::pending().await
                    } else {
                        Ok(())
                    }
                }
            });
        let run = Fleet::new(&stream, &table).start(Script {
            process: Some(process),
            shutdown_requested,
            ..Script::default()
        });
        run.seen.wait_for_records(2).await;
        let asked = std::time::Instant::now();
        let report = run.worker.shutdown(Duration::from_millis(500)).await;
        assert!(
            asked.elapsed() < Duration::from_secs(4),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(
            report.shards[&LeaseKey::single(stuck.clone())].stopped,
            Stopped::Abandoned,
            "{report}"
        );
        assert_eq!(
            report.shards[&LeaseKey::single(free.clone())].stopped,
            Stopped::Drained,
            "{report}"
        );
        soon("the end of run", run.ended()).await.unwrap();
        assert_eq!(lease_of(&table, &free).await.owner, None);
    }
}

#[tokio::test]
async fn a_shard_that_waits_for_its_parent_stops_without_a_call() {
    for by_loss in [false, true] {
        let (stream, shard, _) = one_shard(1);
        let [child, _] = stream.split_evenly(&shard).unwrap();
        let table = MemoryLeaseTable::new();
        // A lease of the child that somebody made too early, and a parent whose end never succeeds.
        let mut lease =
            kcl_core::model::Lease::new(LeaseKey::single(child.clone()), Checkpoint::TrimHorizon);
        lease.parents = vec![shard.clone()];
        table.create(&lease).await.unwrap();
        let shard_ended = script(|_| async { Err("never".into()) });
        let run = Fleet::new(&stream, &table).start(Script {
            shard_ended,
            ..Script::default()
        });
        run.seen
            .wait_for_call(&shard, "its end", |call| {
                matches!(call, Call::ShardEnded { .. })
            })
            .await;
        run.heard
            .wait_for(
                "the child's lease",
                |event| matches!(event, Event::LeaseAcquired { lease, .. } if lease.shard == child),
            )
            .await;
        if by_loss {
            table.edit(&LeaseKey::single(child.clone()), |lease| {
                (lease.owner, lease.token) = (Some("another".into()), Some("its token".into()));
                lease.counter += 1;
            });
            run.heard
                .wait_for(
                    "the loss",
                    |event| matches!(event, Event::LeaseLost { lease, .. } if lease.shard == child),
                )
                .await;
        }
        let seen = run.seen.clone();
        let asked = std::time::Instant::now();
        run.stop().await.unwrap();
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(seen.calls_of(&child), [], "by loss: {by_loss}");
        assert_eq!(lease_of(&table, &child).await.owner.is_some(), by_loss);
    }
}

#[tokio::test]
async fn a_stop_waits_for_a_slow_lease_lost() {
    let (stream, shard, _) = one_shard(1);
    let done = Arc::new(AtomicBool::new(false));
    let flushed = Arc::clone(&done);
    let lease_lost = script(move |_| {
        let flushed = Arc::clone(&flushed);
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            flushed.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script {
        lease_lost,
        ..Script::default()
    });
    run.seen.wait_for_records(1).await;
    let report = run.stop().await.unwrap();
    assert_eq!(
        report.shards[&LeaseKey::single(shard)].stopped,
        Stopped::Drained,
        "{report}"
    );
    assert!(done.load(Ordering::SeqCst));
}
