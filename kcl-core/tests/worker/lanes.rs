//! Records that are at work at the same time: what begins, what is stored, and what becomes of them
//! when the shard is given up.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::handler::{RecordContext, RecordHandler, by_key, in_order, unordered};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Record, SequenceNumber, ShardId};
use kcl_core::processor::{
    LeaseLostInput, ProcessRecordsInput, ShardEndedInput, ShardRef, ShutdownRequestedInput,
};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunError};
use kcl_core::{BoxError, Failure, OnFailure, RecordProcessor, RecordProcessorFactory};
use tokio::sync::watch;

use crate::support::{
    Desk, Fleet, at, lease_of, locked, one_shard, payloads, until, wait_for_lease,
};

/// A shard with these records, each as its key and payload.
fn shard_of(records: &[(&str, &str)]) -> (MemoryStream, ShardId, Vec<SequenceNumber>) {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let sequences = stream
        .put_many_to(
            &shard,
            records
                .iter()
                .map(|(key, data)| ((*key).to_owned(), (*data).to_owned())),
        )
        .unwrap();
    (stream, shard, sequences)
}

#[tokio::test]
async fn by_key_a_slow_key_holds_up_itself_alone_and_the_checkpoint() {
    let (stream, shard, sequences) = shard_of(&[
        ("a", "first"),
        ("slow", "slow 1"),
        ("slow", "slow 2"),
        ("b", "b 1"),
        ("b", "b 2"),
        ("c", "c 1"),
    ]);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("slow 1");
    let run = Fleet::new(&stream, &table).process(by_key(3, desk.clone()));
    desk.until_ended(4).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[0])
    })
    .await;
    // A further batch: the lanes are not those of one batch.
    let last = stream.put_to(&shard, "d", "d 1").unwrap();
    stream.put_to(&shard, "slow", "slow 3").unwrap();
    desk.until_ended(5).await;
    assert_eq!(desk.ended(), ["first", "b 1", "b 2", "c 1", "d 1"]);
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[0]),
        "never beyond a record at work"
    );
    assert!(
        run.heard
            .count(|event| matches!(event, Event::CaughtUp { .. }))
            == 0,
        "what is at work is not done"
    );
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| lease.checkpoint > at(&last)).await;
    assert_eq!(desk.ended()[5..], ["slow 1", "slow 2", "slow 3"]);
    run.heard
        .wait_for("the tip", |event| matches!(event, Event::CaughtUp { .. }))
        .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun().len(), 8, "each once");
}

#[tokio::test]
async fn unordered_as_many_as_set_are_at_work_and_no_more() {
    let (stream, shard, sequences) = one_shard(40);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::gated();
    let run = Fleet::new(&stream, &table).process(unordered(8, desk.clone()));
    Desk::wait(&desk.begun, "eight", |all| all.len() >= 8).await;
    for permits in 1..=20 {
        gate.add_permits(1);
        Desk::wait(&desk.begun, "the next", |all| all.len() >= 8 + permits).await;
        assert_eq!(desk.begun().len(), 8 + permits);
    }
    gate.add_permits(20);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[39])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun(), payloads(0..40));
}

/// A record that is slow bounds how far the others go on: by the window.
#[tokio::test]
async fn nothing_begins_beyond_the_window_of_a_slow_record() {
    let (stream, shard, sequences) = one_shard(100);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("3");
    let run = Fleet::new(&stream, &table).process(unordered(2, desk.clone()).window(10));
    desk.until_ended(12).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    assert_eq!(desk.begun(), payloads(0..13));
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[99])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun(), payloads(0..100));
}

#[tokio::test]
async fn retries_of_one_key_hold_up_only_that_key() {
    let (stream, shard, sequences) = shard_of(&[
        ("bad", "bad"),
        ("bad", "behind it"),
        ("a", "a 1"),
        ("a", "a 2"),
    ]);
    let table = MemoryLeaseTable::new();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let desk = Desk::new(move |text, attempt| {
        let seen = Arc::clone(&seen);
        async move {
            if text != "bad" {
                return Ok(());
            }
            locked(&seen).push(attempt);
            assert!(attempt != 2, "a panic of a handler");
            if attempt < 5 {
                Err("a bad record".into())
            } else {
                Ok(())
            }
        }
    });
    // One at work: a record that waits to be tried again takes no place.
    let run = Fleet::new(&stream, &table).process(by_key(1, desk.clone()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[3])
    })
    .await;
    assert_eq!(desk.ended(), ["a 1", "a 2", "bad", "behind it"]);
    assert_eq!(*locked(&attempts), [1, 2, 3, 4, 5]);
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::HandlerFailed { at: Some(_), .. })),
        4
    );
    let recovered = |event: &Event| {
        let at = at(&sequences[0]);
        matches!(event, Event::HandlerRecovered { at: Some(bad), failures: 4, .. } if at == Checkpoint::At(bad.clone()))
    };
    assert_eq!(run.heard.count(recovered), 1);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn in_order_a_retry_holds_up_the_whole_shard() {
    let (stream, shard, sequences) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|text, attempt| async move {
        if text == "1" && attempt < 4 {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    let run = Fleet::new(&stream, &table).process(in_order(desk.clone()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun(), ["0", "1", "1", "1", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn under_stop_run_returns_the_record_that_failed() {
    let (stream, shard, sequences) = one_shard(6);
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|text, _| async move {
        if text == "2" {
            Err("a bad record".into())
        } else {
            Ok(())
        }
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(OnFailure::Stop))
        .process(in_order(desk.clone()));
    let error = run.ended().await.unwrap_err();
    let RunError::Handler {
        at: Some(position), ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*position, sequences[2].clone().into());
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[1]));
    assert_eq!(desk.begun(), payloads(0..3));
}

#[tokio::test]
async fn a_record_beyond_the_handler_budget_costs_the_lease() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("1");
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .process(unordered(3, desk.clone()));
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[0]));
    gate.add_permits(10);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    run.stop().await.unwrap();
}

/// The memory of a batch is given back when the last of its records is done.
#[tokio::test]
async fn records_at_work_count_in_the_byte_budget() {
    let (stream, shard, sequences) = one_shard(10);
    let table = MemoryLeaseTable::new();
    let budget = kcl_core::ByteBudget::new(kcl_core::ByteBudget::DEFAULT).unwrap();
    let (desk, gate) = Desk::holding("9");
    let shared = budget.clone();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.byte_budget(shared))
        .process(by_key(16, desk.clone()));
    desk.until_ended(9).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[8])
    })
    .await;
    assert!(
        run.worker
            .status()
            .shards
            .values()
            .all(|shard| shard.in_flight == 10 && shard.records == 0)
    );
    assert!(budget.used() > 0);
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[9])
    })
    .await;
    until("the count of what is done", || {
        run.worker
            .status()
            .shards
            .values()
            .all(|shard| shard.records == 10)
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(budget.used(), 0);
}

/// A record that fails for longer than a handler may take holds up what is behind it, and does not
/// cost the lease: no work hangs.
#[tokio::test]
async fn waiting_for_room_is_not_a_handler_that_hangs() {
    let (stream, shard, sequences) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let since = std::time::Instant::now();
    let desk = Desk::new(move |text, _| async move {
        if text == "0" && since.elapsed() < Duration::from_secs(4) {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .process(by_key(1, desk.clone()).window(2));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::LeaseLost { .. })),
        0
    );
    run.stop().await.unwrap();
}

/// Panics before it has made a future.
struct Hasty;

impl RecordHandler for Hasty {
    fn handle(
        &self,
        _: &Record,
        context: &RecordContext,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        assert!(context.attempt > 1, "a panic without a future");
        std::future::ready(Ok(()))
    }
}

#[tokio::test]
async fn a_panic_before_the_future_of_a_handler_is_an_error() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).process(in_order(Hasty));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::HandlerFailed { at: Some(_), .. })),
        3
    );
    run.stop().await.unwrap();
}

/// A processor around lanes. It passes batches by itself whose first record says so, and may fail
/// after its first batch was accepted.
struct Around<P> {
    inner: P,
    passed: Arc<watch::Sender<Vec<String>>>,
    fails: bool,
}

impl<F: RecordProcessorFactory> RecordProcessorFactory for Around<F> {
    type Processor = Around<F::Processor>;

    fn processor(&self, shard: &ShardRef) -> Self::Processor {
        Around {
            inner: self.inner.processor(shard),
            passed: Arc::clone(&self.passed),
            fails: self.fails,
        }
    }
}

impl<P: RecordProcessor> RecordProcessor for Around<P> {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let first = String::from_utf8(input.records[0].data.to_vec())?;
        if first.starts_with("pass") {
            self.passed.send_modify(|passed| passed.push(first));
            return Ok(());
        }
        self.inner.process_records(input).await?;
        if std::mem::take(&mut self.fails) {
            Err(std::io::Error::other("what comes after the lanes"))?
        } else {
            Ok(())
        }
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.inner.lease_lost(input).await;
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.inner.shard_ended(input).await
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        self.inner.shutdown_requested(input).await;
    }
}

#[tokio::test]
async fn what_a_call_passes_waits_for_the_work_before_it() {
    let (stream, shard, _) = shard_of(&[("a", "slow")]);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::holding("slow");
    let passed = Arc::new(watch::Sender::new(Vec::new()));
    let around = || Around {
        inner: by_key(2, desk.clone()),
        passed: Arc::clone(&passed),
        fails: false,
    };
    let run = Fleet::new(&stream, &table).process(around());
    desk.until_begun("slow").await;
    let last = stream.put_to(&shard, "b", "pass this").unwrap();
    Desk::wait(&passed, "the next batch", |all| !all.is_empty()).await;
    run.worker.shutdown(Duration::from_secs(1)).await;
    run.ended().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon,
        "never beyond a record at work"
    );
    let run = Fleet::new(&stream, &table).process(around());
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    assert_eq!(desk.ended()[..1], ["slow"]);
}

#[tokio::test]
async fn a_failure_around_lanes_gives_nothing_twice() {
    let (stream, shard, sequences) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|_, _| async { Ok(()) });
    let around = Around {
        inner: in_order(desk.clone()),
        passed: Arc::new(watch::Sender::new(Vec::new())),
        fails: true,
    };
    let run = Fleet::new(&stream, &table).process(around);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    run.heard
        .wait_for("the failure", |event| {
            matches!(event, Event::HandlerFailed { .. })
        })
        .await;
    run.heard
        .wait_for("the tip", |event| matches!(event, Event::CaughtUp { .. }))
        .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun(), payloads(0..5));
}
