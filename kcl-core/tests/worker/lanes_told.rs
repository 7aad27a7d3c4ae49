//! What is told of records that are at work beside the calls of their shard: the status, events,
//! and logs.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kcl_core::handler::{ByRecord, Retries, by_key, in_order, unordered};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{LeaseKey, SequenceNumber, ShardId};
use kcl_core::stream::memory::Operation;
use kcl_core::worker::{CoordinationOn, Event};
use tokio::sync::Semaphore;

use crate::support::{Desk, Fleet, Logged, one_shard, until, wait_for_lease};

/// Whatever others do meanwhile.
#[tokio::test]
async fn the_status_says_that_a_record_fails_as_long_as_it_does() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let desk = Desk::new(move |text, _| {
        let fails = text == "0" && !is_mended.load(Ordering::SeqCst);
        async move { if fails { Err("not yet".into()) } else { Ok(()) } }
    });
    let run = Fleet::new(&stream, &table).process(by_key(2, desk.clone()));
    let status = || {
        run.worker
            .status()
            .shards
            .get(&LeaseKey::single(shard.clone()))
            .cloned()
            .unwrap()
    };
    run.heard
        .wait_for("two failures", |event| {
            matches!(event, Event::HandlerFailed { attempt: 2, .. })
        })
        .await;
    for number in 1..=5 {
        stream
            .put_to(&shard, "another", number.to_string())
            .unwrap();
        desk.until_ended(number).await;
        let told = status();
        assert!(told.failures >= 2, "after {number}: {told:?}");
    }
    assert_eq!(
        (status().in_flight, status().records),
        (6, 0),
        "none of their batches is done"
    );
    mended.store(true, Ordering::SeqCst);
    until("the end of it", || {
        status().failures == 0 && status().in_flight == 0
    })
    .await;
    assert_eq!(status().records, 6);
    run.stop().await.unwrap();
}

/// A record that fails no more is told of before its batch is done.
#[tokio::test]
async fn the_status_says_at_once_that_no_record_fails() {
    let (stream, shard, _) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let desk = Desk::new(move |text, attempt| {
        let open = Arc::clone(&open);
        async move {
            match (&*text, attempt) {
                ("0", _) => open.acquire().await?.forget(),
                (_, 1..=3) => return Err("not yet".into()),
                _ => {}
            }
            Ok(())
        }
    });
    let run = Fleet::new(&stream, &table).process(unordered(2, desk.clone()));
    desk.until_ended(1).await;
    let failures = || run.worker.status().shards[&LeaseKey::single(shard.clone())].failures;
    until("the news", || failures() == 0).await;
    gate.add_permits(1);
    run.stop().await.unwrap();
}

/// It need not be idle for that.
#[tokio::test]
async fn a_busy_shard_has_caught_up_when_what_was_there_is_done() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let gates = [Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0))];
    let opens = gates.clone();
    let desk = Desk::new(move |text, _| {
        let open = Arc::clone(&opens[usize::from(text != "0")]);
        async move {
            open.acquire().await?.forget();
            Ok(())
        }
    });
    let run = Fleet::new(&stream, &table).process(by_key(4, desk.clone()));
    desk.until_begun("0").await;
    let reads = || stream.call_count(Operation::Read, Some(&shard));
    let before = reads();
    until("the tip", || reads() > before + 3).await;
    stream.put_to(&shard, "another", "1").unwrap();
    desk.until_begun("1").await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::CaughtUp { .. })),
        0,
        "the first record is not done"
    );
    gates[0].add_permits(1);
    run.heard
        .wait_for("the tip", |event| matches!(event, Event::CaughtUp { .. }))
        .await;
    assert_eq!(desk.ended(), ["0"]);
    gates[1].add_permits(1);
    run.stop().await.unwrap();
}

/// What is logged while the first record of a shard fails once, by the worker `me`.
async fn log_of_one_failure(
    handler: impl FnOnce(Desk) -> ByRecord<Desk>,
) -> (String, ShardId, SequenceNumber) {
    let (stream, shard, mut sequences) = one_shard(1);
    let (table, logged) = (MemoryLeaseTable::new(), Logged::default());
    let guard = logged.on_this_thread();
    let desk = Desk::new(|_, attempt| async move {
        tracing::info!("attempt {attempt}");
        if attempt == 1 {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .worker_id("me")
                .coordination_on(CoordinationOn::CallersRuntime)
        })
        .process(handler(desk));
    let first = sequences.remove(0);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == crate::support::at(&first)
    })
    .await;
    run.stop().await.unwrap();
    drop(guard);
    (logged.take(), shard, first)
}

/// Also at a further attempt.
#[tokio::test]
async fn what_a_handler_logs_stands_in_the_span_of_its_shard() {
    let (lines, shard, _) = log_of_one_failure(in_order).await;
    for attempt in ["attempt 1", "attempt 2"] {
        let line = lines
            .lines()
            .find(|line| line.ends_with(attempt))
            .unwrap_or_else(|| panic!("no `{attempt}` in {lines}"));
        let wanted = [
            "stream=orders".to_owned(),
            format!("shard={shard}"),
            "worker=me".to_owned(),
        ];
        assert!(wanted.iter().all(|field| line.contains(field)), "{line}");
    }
}

/// The pauses and the policy of the worker do not apply to it.
#[tokio::test]
async fn the_log_leaves_to_a_handler_what_follows_its_failure() {
    let handler = |desk| in_order(desk).retries(Retries::attempts(3));
    let (lines, shard, first) = log_of_one_failure(handler).await;
    let said = format!(
        "the handler of orders/{shard} failed at record {first} (attempt 1): not yet; it is retried \
         or given up, as its `Retries` say"
    );
    assert!(lines.contains(&said), "no `{said}` in {lines}");
}

#[tokio::test]
async fn pauses_of_nothing_are_refused_by_the_builder() {
    let (stream, _, _) = one_shard(0);
    let retries = Retries::attempts(3).pause(std::time::Duration::ZERO, std::time::Duration::ZERO);
    let builder = kcl_core::Worker::builder()
        .stream("orders")
        .source(stream)
        .application("tests");
    let builder = builder.lease_table(MemoryLeaseTable::new());
    let error = builder
        .processor(in_order(Desk::new(|_, _| async { Ok(()) })).retries(retries))
        .build()
        .unwrap_err();
    assert_eq!(error.setting, "processor");
    assert!(
        error
            .to_string()
            .contains("`Retries::pause` from 0ns to 0ns"),
        "{error}"
    );
}
