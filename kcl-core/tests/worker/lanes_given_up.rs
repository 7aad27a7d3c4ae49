//! Records at work when their shard ends, is lost, handed over or stopped, and processors that are
//! put together in a way that would lose records.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kcl_core::handler::{ByRecordProcessor, by_key, in_order, unordered};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{LeaseTable, WorkerRow, Write};
use kcl_core::model::Checkpoint;
use kcl_core::processor::{
    LeaseLostInput, ProcessRecordsInput, ShardEndedInput, ShardRef, ShutdownRequestedInput,
};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Liveness, RunError, Stopped};
use kcl_core::{BoxError, Failure, RecordProcessor, RecordProcessorFactory};
use tokio::sync::{Mutex, oneshot};

use crate::support::{
    Desk, Fleet, at, lease_of, locked, one_shard, payloads, soon, wait_for_lease,
};

/// Its end is not stored before its last record is done, and what was accepted is not lost.
#[tokio::test]
async fn a_shard_that_left_ends_when_its_records_are_done() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("1");
    let run = Fleet::new(&stream, &table).process(by_key(2, desk.clone()));
    desk.until_begun("1").await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[0])
    })
    .await;
    stream.split_evenly(&shard).unwrap();
    stream.drop_shard(&shard).unwrap();
    let accepted = at(&sequences[1]);
    run.heard
        .wait_for(
            "the lookup",
            |event| matches!(event, Event::DataGap { gap, .. } if gap.after == accepted),
        )
        .await;
    let ended = wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    });
    assert!(
        tokio::time::timeout(Duration::from_millis(500), ended)
            .await
            .is_err(),
        "its end was stored with a record at work"
    );
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    assert_eq!(
        (desk.begun(), desk.ended()),
        (payloads(0..2), payloads(0..2))
    );
    run.stop().await.unwrap();
}

/// No other worker can read its records again.
#[tokio::test]
async fn a_shard_that_left_is_not_handed_over_before_its_end() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::gated();
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| {
            let builder = builder.drain_limit(Duration::from_millis(1));
            builder.liveness(Liveness::Kcl)
        })
        .process(in_order(desk.clone()));
    desk.until_begun("0").await;
    stream.split_evenly(&shard).unwrap();
    stream.drop_shard(&shard).unwrap();
    run.heard
        .wait_for("the lookup", |event| matches!(event, Event::DataGap { .. }))
        .await;
    // A request of one that shows no life would be refused for that.
    let beating = tokio::spawn(beats(table.clone(), "second"));
    let is_known = async || table.get_worker(&"second".into()).await.unwrap().is_some();
    while !is_known().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let held = lease_of(&table, &shard).await;
    let request = Write::request(&held, "second".into(), held.owner.clone().unwrap());
    let asked = table.update(&held.key, &request).await.unwrap();
    // Its owner has seen the request, and goes on.
    let seen = wait_for_lease(&table, &shard, |lease| lease.counter >= asked.counter + 3).await;
    assert_eq!((seen.token, desk.begun().len()), (held.token, 1));
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    assert_eq!(
        (desk.begun(), desk.ended()),
        (payloads(0..1), payloads(0..1))
    );
    beating.abort();
    run.stop().await.unwrap();
}

/// The heartbeats of a worker that does nothing else.
async fn beats(table: MemoryLeaseTable, worker: &'static str) {
    let mut row = WorkerRow::new(worker.into(), "its token".into(), Duration::from_secs(1));
    let mut seen = None;
    loop {
        table
            .write_worker(&row.worker, seen.as_ref(), Some(&row))
            .await
            .expect("nobody else writes it");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let next = row.next();
        seen = Some(std::mem::replace(&mut row, next));
    }
}

/// A handler that never returns, and says by the returned channel when its future is dropped.
fn hanging(hangs: &'static str) -> (Desk, oneshot::Receiver<()>) {
    struct Guard(Option<oneshot::Sender<()>>);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.take().map(|dropped| dropped.send(()));
        }
    }

    let (dropped, is_dropped) = oneshot::channel();
    let dropped = std::sync::Mutex::new(Some(dropped));
    let desk = Desk::new(move |text, _| {
        let guard = (text == hangs).then(|| Guard(locked(&dropped).take()));
        async move {
            match guard {
                Some(_guard) => std::future::pending().await,
                None => Ok(()),
            }
        }
    });
    (desk, is_dropped)
}

#[tokio::test]
async fn a_lease_lost_during_a_stop_ends_the_work_at_once() {
    let (stream, _, _) = one_shard(1);
    let (desk, dropped) = hanging("0");
    let run = Fleet::with_short_failover(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .process(in_order(desk.clone()));
    desk.until_begun("0").await;
    let (worker, asked) = (run.worker.clone(), Instant::now());
    let stopping = tokio::spawn(async move { worker.shutdown(Duration::from_secs(60)).await });
    soon("the end of the work", dropped).await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "the work went on without the lease: {:?}",
        asked.elapsed()
    );
    let report = stopping.await.unwrap();
    assert_eq!(report.count(Stopped::Abandoned), 1, "{report}");
    run.ended().await.unwrap();
}

#[tokio::test]
async fn a_stop_drains_for_as_long_as_its_deadline_allows() {
    let (stream, shard, sequences) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|_, _| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.drain_limit(Duration::from_secs(1)))
        .process(in_order(desk.clone()));
    desk.until_begun("0").await;
    let report = run.worker.shutdown(Duration::from_secs(20)).await;
    assert_eq!(
        (report.count(Stopped::Drained), desk.ended().len()),
        (1, 1),
        "{report}"
    );
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.checkpoint, lease.owner), (at(&sequences[0]), None));
    run.ended().await.unwrap();
}

/// The drain leaves time for the release, whatever the drain limit.
#[tokio::test]
async fn a_stop_with_a_record_that_hangs_frees_the_lease() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let (desk, dropped) = hanging("1");
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .drain_limit(Duration::from_secs(10))
                .checkpoint_every(Duration::from_secs(3600))
        })
        .process(unordered(3, desk.clone()));
    desk.until_begun("1").await;
    desk.until_ended(2).await;
    let report = run.worker.shutdown(Duration::from_secs(2)).await;
    assert_eq!(report.count(Stopped::Drained), 1, "{report}");
    soon("the end of the work", dropped).await.unwrap();
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.checkpoint, lease.owner), (at(&sequences[0]), None));
    run.ended().await.unwrap();
}

#[tokio::test]
async fn a_hand_over_drops_a_record_beyond_the_drain_limit() {
    let stream = MemoryStream::new("orders", 2);
    for shard in stream.open_shards() {
        stream.put_to(&shard, "k", "hangs").unwrap();
    }
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("hangs");
    let worker = || {
        Fleet::new(&stream, &table)
            .with(|builder| builder.drain_limit(Duration::from_millis(300)))
            .process(in_order(desk.clone()))
    };
    let first = worker();
    Desk::wait(&desk.begun, "both shards", |all| all.len() == 2).await;
    let second = worker();
    first
        .heard
        .wait_for("the hand-over", |event| {
            matches!(event, Event::LeaseHandedOver { .. })
        })
        .await;
    Desk::wait(&desk.begun, "the record at its next owner", |all| {
        all.len() == 3
    })
    .await;
    gate.add_permits(2);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// Two adapters side by side that are given each batch.
struct Tee<A, B>(A, B);

impl<A: RecordProcessorFactory, B: RecordProcessorFactory> RecordProcessorFactory for Tee<A, B> {
    type Processor = Tee<A::Processor, B::Processor>;

    fn processor(&self, shard: &ShardRef) -> Self::Processor {
        Tee(self.0.processor(shard), self.1.processor(shard))
    }
}

impl<A: RecordProcessor, B: RecordProcessor> RecordProcessor for Tee<A, B> {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.0.process_records(input.clone()).await?;
        self.1.process_records(input).await
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.0.lease_lost(input.clone()).await;
        self.1.lease_lost(input).await;
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.0.shard_ended(input.clone()).await?;
        self.1.shard_ended(input).await
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        self.0.shutdown_requested(input.clone()).await;
        self.1.shutdown_requested(input).await;
    }
}

#[tokio::test]
async fn two_adapters_on_one_shard_store_nothing_and_are_told() {
    let (stream, shard, _) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let (quick, (slow, _gate)) = (Desk::new(|_, _| async { Ok(()) }), Desk::holding("0"));
    let run = Fleet::new(&stream, &table).process(Tee(in_order(quick), in_order(slow.clone())));
    let error = tokio::select! {
        ended = run.ended() => ended.unwrap_err(),
        _ = wait_for_lease(&table, &shard, |lease| lease.checkpoint != Checkpoint::TrimHorizon) => {
            panic!("what one of them has not done was passed")
        }
    };
    assert!(matches!(&error, RunError::Handler { .. }), "{error:?}");
    let source = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        source.contains("two processors") && source.contains("expected"),
        "{error}: {source}"
    );
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
    assert_eq!(slow.begun(), [""; 0]);
}

/// One processor for all shards.
struct Reused(Arc<Mutex<ByRecordProcessor<Desk>>>);

impl RecordProcessor for Reused {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.0.lock().await.process_records(input).await
    }
}

#[tokio::test]
async fn a_processor_that_is_given_two_shards_stops_the_worker() {
    let stream = MemoryStream::new("orders", 2);
    let shards = stream.open_shards();
    for shard in &shards {
        stream.put_to(shard, "k", "held").unwrap();
    }
    let table = MemoryLeaseTable::new();
    let (desk, _gate) = Desk::holding("held");
    let (adapter, only) = (in_order(desk), Arc::new(std::sync::Mutex::new(None)));
    let run = Fleet::new(&stream, &table).process(move |shard: &ShardRef| {
        let mut only = locked(&only);
        Reused(Arc::clone(only.get_or_insert_with(|| {
            Arc::new(Mutex::new(adapter.processor(shard)))
        })))
    });
    let error = run.ended().await.unwrap_err();
    let source = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        source.contains("records of another shard") && source.contains("expected"),
        "{error}: {source}"
    );
    for shard in shards {
        assert_eq!(
            lease_of(&table, &shard).await.checkpoint,
            Checkpoint::TrimHorizon
        );
    }
}
