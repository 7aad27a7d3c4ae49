//! How a worker starts and ends, and what it says of itself.
#![expect(
    clippy::disallowed_methods,
    reason = "waits in real time, and handlers that block their thread"
)]

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::{
    Call, Fleet, PATIENCE, Script, UnrulyTable, at, lease_of, one_shard, soon, until,
    wait_for_lease,
};
use kcl_core::Failure;
use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Timestamp};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunEnd, RunError, ShardState, Stopped};

#[tokio::test]
async fn a_worker_runs_once() {
    let (stream, _, _) = one_shard(1);
    let run =
        Fleet::with_short_failover(&stream, &MemoryLeaseTable::new()).start(Script::default());
    run.seen.wait_for_records(1).await;
    let worker = run.worker.clone();
    assert!(
        matches!(worker.run().await, Err(RunError::AlreadyRun)),
        "while it runs"
    );
    run.stop().await.unwrap();
    assert!(
        matches!(worker.run().await, Err(RunError::AlreadyRun)),
        "after it has run"
    );
}

#[tokio::test]
async fn a_stop_that_was_asked_for_before_the_run_ends_it_at_once() {
    let (stream, _, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let worker = kcl_core::Worker::builder()
        .stream("orders")
        .application("tests")
        .source(stream.clone())
        .lease_table(table)
        .processor(|_: &kcl_core::processor::ShardRef| crate::support::Scribe {
            seen: crate::support::Seen::default(),
            script: Script::default(),
        })
        .build()
        .unwrap();
    assert!(worker.shutdown(PATIENCE).await.shards.is_empty());
    let report = soon("the end", worker.run()).await.unwrap();
    assert!(report.shards.is_empty());
    assert!(
        soon("another stop", worker.shutdown(PATIENCE))
            .await
            .shards
            .is_empty()
    );
}

#[tokio::test]
async fn a_stop_while_the_table_is_out_of_reach_is_immediate() {
    let (stream, _, _) = one_shard(1);
    let table = UnrulyTable::new();
    table.set_unreachable(true);
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.heard
        .wait_for("the table's trouble", |event| {
            matches!(event, Event::StepFailed { .. })
        })
        .await;
    let asked = Instant::now();
    let report = run.stop().await.unwrap();
    assert!(
        report.shards.is_empty() && asked.elapsed() < Duration::from_secs(1),
        "{report} {:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_table_that_comes_into_reach_is_begun_with() {
    let (stream, _, _) = one_shard(1);
    let table = UnrulyTable::new();
    table.set_unreachable(true);
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.heard
        .wait_for("the table's trouble", |event| {
            matches!(event, Event::StepFailed { .. })
        })
        .await;
    table.set_unreachable(false);
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_of_a_worker_whose_run_was_dropped_returns() {
    let (stream, _, _) = one_shard(1);
    let run =
        Fleet::with_short_failover(&stream, &MemoryLeaseTable::new()).start(Script::default());
    run.seen.wait_for_records(1).await;
    let worker = run.worker.clone();
    let waiting = tokio::spawn({
        let worker = worker.clone();
        async move {
            // Asked for in time, but the run is dropped before it could answer.
            worker.shutdown(PATIENCE).await
        }
    });
    run.crash().await;
    soon("the stop that waits", waiting).await.unwrap();
    soon("a stop afterwards", worker.shutdown(PATIENCE)).await;
}

#[tokio::test]
async fn a_stop_after_run_was_dropped_says_so() {
    let (stream, shard, _) = one_shard(1);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script::default());
    run.seen.wait_for_records(1).await;
    let worker = run.worker.clone();
    // As `select!` does it when a signal is first.
    run.crash().await;
    let report = soon("the report", worker.shutdown(PATIENCE)).await;
    assert_eq!(report.run, RunEnd::Dropped);
    assert_eq!(
        report.shards[&LeaseKey::single(shard)].stopped,
        Stopped::Abandoned
    );
    let said = report.to_string();
    assert!(
        said.contains("`run` was dropped")
            && said.contains("0 drained, 0 released unread, 1 abandoned"),
        "{said}"
    );
    assert!(
        worker.status().shards.is_empty(),
        "it holds nothing any more"
    );
}

#[tokio::test]
async fn a_stop_of_a_worker_that_failed_or_never_ran_says_so() {
    let (stream, shard, _) = one_shard(1);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.on_failure(kcl_core::OnFailure::Stop))
        .start(Script::process(|_| async { Err(Failure::new("bad")) }));
    let worker = run.worker.clone();
    assert!(matches!(run.ended().await, Err(RunError::Handler { .. })));
    let report = soon("the report", worker.shutdown(PATIENCE)).await;
    assert_eq!(
        (report.run, report.shards.len()),
        (RunEnd::Failed, 1),
        "{report}"
    );
    assert_eq!(
        report.shards[&LeaseKey::single(shard)].stopped,
        Stopped::Drained
    );
    assert!(
        report.to_string().starts_with("`run` ended with an error"),
        "{report}"
    );
    assert_eq!(
        kcl_core::worker::ShutdownReport::default().run,
        RunEnd::NotRun
    );
}

/// Also where the shard has been given up before the worker hears that it has to stop.
#[test]
fn the_shard_that_ends_a_worker_is_in_its_report() {
    // What another thread wakes is polled before what waits its turn here, and a task that takes its
    // time leaves the other thread enough of it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .global_queue_interval(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let slow = tokio::spawn(poll_fn(|context| {
            std::thread::sleep(Duration::from_millis(2));
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let (stream, shard, _) = one_shard(1);
        let run = Fleet::new(&stream, &MemoryLeaseTable::new())
            .with(|builder| builder.on_failure(kcl_core::OnFailure::Stop))
            .start(Script::process(|_| async { Err(Failure::new("bad")) }));
        let worker = run.worker.clone();
        assert!(matches!(run.ended().await, Err(RunError::Handler { .. })));
        let report = soon("the report", worker.shutdown(PATIENCE)).await;
        assert_eq!(
            report.shards[&LeaseKey::single(shard)].stopped,
            Stopped::Drained
        );
        slow.abort();
    });
}

#[tokio::test]
async fn run_until_stops_in_good_order_when_its_signal_comes() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::with_short_failover(&stream, &table).run_until(
        Script::default(),
        |seen| async move { seen.wait_for_records(3).await },
        PATIENCE,
    );
    let seen = run.seen.clone();
    let report = run.ended().await.unwrap();
    assert_eq!(
        (report.run, report.to_string().as_str()),
        (
            RunEnd::Finished,
            "1 drained, 0 released unread, 0 abandoned"
        )
    );
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.owner, lease.checkpoint), (None, at(&sequences[2])));
    let calls = seen.calls_of(&shard);
    assert!(
        matches!(
            calls[calls.len() - 2..],
            [Call::ShutdownRequested, Call::LeaseLost { .. }]
        ),
        "{calls:?}"
    );
}

#[tokio::test]
async fn run_until_gives_up_what_is_not_done_by_its_deadline() {
    let (stream, _, _) = one_shard(1);
    let run = Fleet::with_short_failover(&stream, &MemoryLeaseTable::new()).run_until(
        Script::process(|_| std::future::pending()),
        |seen| async move { seen.wait_for_records(1).await },
        Duration::from_millis(100),
    );
    assert_eq!(run.ended().await.unwrap().count(Stopped::Abandoned), 1);
}

#[tokio::test]
async fn who_cannot_start_in_time_ends_with_what_kept_it() {
    let (stream, _, _) = one_shard(1);
    let table = UnrulyTable::new();
    table.set_unreachable(true);
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.start_within(Duration::from_millis(300)))
        .start(Script::default());
    let error = run.ended().await.unwrap_err();
    let RunError::NotStarted { within, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*within, Duration::from_millis(300));
    let cause = source.as_ref().expect("what kept it").to_string();
    assert!(
        error.to_string().contains("within 300ms") && error.to_string().contains(&cause),
        "{error}"
    );
}

#[tokio::test]
async fn who_has_started_in_time_goes_on_without_a_bound() {
    let (stream, shard, _) = one_shard(1);
    let run = Fleet::with_short_failover(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.start_within(Duration::from_millis(500)))
        .start(Script::default());
    run.seen.wait_for_records(1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    stream.put_to(&shard, "k", "x").unwrap();
    run.seen.wait_for_records(2).await;
    run.stop().await.unwrap();
}

#[test]
fn a_crash_frees_leases_by_time_though_a_handler_blocks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (stream, shard, _) = one_shard(1);
        let table = MemoryLeaseTable::new();
        let run = Fleet::with_short_failover(&stream, &table).start(Script::process(|_| async {
            std::thread::sleep(Duration::from_secs(4));
            Ok(())
        }));
        run.seen.wait_for_records(1).await;
        let before = lease_of(&table, &shard).await;
        run.crash().await;
        let next = Fleet::with_short_failover(&stream, &table).start(Script::default());
        let crashed = Instant::now();
        next.seen.wait_for_records(1).await;
        assert!(
            crashed.elapsed() < Duration::from_secs(3),
            "{:?}",
            crashed.elapsed()
        );
        assert_ne!(lease_of(&table, &shard).await.token, before.token);
        next.stop().await.unwrap();
    });
}

#[tokio::test]
async fn a_stop_tells_of_each_shard_how_it_was_given_up() {
    let stream = MemoryStream::new("orders", 3);
    let [read, empty, stuck] = stream.open_shards().try_into().unwrap();
    let last = stream.put_to(&read, "k", "x").unwrap();
    stream.put_to(&stuck, "k", "x").unwrap();
    let hangs = stuck.clone();
    let run = Fleet::with_short_failover(&stream, &MemoryLeaseTable::new()).start(Script::process(
        move |input| {
            let hangs = input.shard.shard == hangs;
            async move {
                if hangs {
                    std::future::pending().await
                } else {
                    Ok(())
                }
            }
        },
    ));
    run.seen.wait_for_records(2).await;
    run.seen.wait_for_initialized(3).await;
    let report = run.worker.shutdown(Duration::from_millis(300)).await;
    let of = |shard| report.shards[&LeaseKey::single(shard)].clone();
    assert_eq!(
        (of(read.clone()).stopped, of(read).checkpoint),
        (Stopped::Drained, at(&last))
    );
    assert_eq!(
        (of(empty.clone()).stopped, of(empty).checkpoint),
        (Stopped::Released, Checkpoint::TrimHorizon)
    );
    assert_eq!(
        (of(stuck.clone()).stopped, of(stuck).checkpoint),
        (Stopped::Abandoned, Checkpoint::TrimHorizon)
    );
    assert_eq!(
        report.to_string(),
        "1 drained, 1 released unread, 1 abandoned"
    );
    run.ended().await.unwrap();
}

#[tokio::test]
async fn a_reader_of_events_that_is_slow_is_told_how_many_it_missed() {
    let (stream, _, _) = one_shard(1);
    let run = Fleet::with_short_failover(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.retry_pause(Duration::from_millis(1), Duration::from_millis(1)))
        .start(Script::process(|_| async { Err(Failure::new("bad")) }));
    let mut slow = run.worker.events();
    // The worker is not held up by a reader that does not read.
    run.seen.wait_for_records(1300).await;
    let Some(Event::Missed(missed)) = soon("an event", slow.next()).await else {
        panic!("nothing is said of what is gone")
    };
    assert!(missed >= 200, "{missed}");
    assert!(matches!(
        soon("an event", slow.next()).await,
        Some(Event::HandlerFailed { .. })
    ));
    run.stop().await.unwrap();
}

/// And its state, and what is in flight.
#[tokio::test]
async fn status_shows_each_shard_with_owner_position_and_lag() {
    let (stream, shard, sequences) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let go = Arc::new(tokio::sync::Semaphore::new(0));
    let gate = Arc::clone(&go);
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.worker_id("me").max_records(3))
        .start(Script::process(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        }));
    let status = || {
        run.worker
            .status()
            .shards
            .get(&LeaseKey::single(shard.clone()))
            .cloned()
    };
    run.seen
        .wait_for("a batch", |_| run.seen.records() > 0)
        .await;
    let first = run.seen.records();
    let busy = status().unwrap();
    assert_eq!(
        (busy.state, busy.owner.as_str(), busy.position, busy.records),
        (ShardState::Processing, "me", None, 0)
    );
    assert_eq!(busy.in_flight, first);
    assert!(busy.millis_behind_latest.is_some());
    assert!(
        run.worker.status().budget_used > 0,
        "what is in flight is counted"
    );
    go.add_permits(10);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    until("the checkpoint in the status", || {
        status().is_some_and(|shard| shard.checkpoint == at(&sequences[4]))
    })
    .await;
    let done = status().unwrap();
    assert_eq!(
        (done.position, done.records, done.in_flight),
        (Some(sequences[4].clone().into()), 5, 0)
    );
    assert_eq!(done.millis_behind_latest, Some(0));
    let worker = run.worker.clone();
    run.stop().await.unwrap();
    assert!(worker.status().shards.is_empty());
    assert_eq!(worker.status().budget_used, 0);
}

/// The worker's end on a table with a row that somebody made of this stream, changed like this.
async fn ended_with(change: impl FnOnce(&mut Lease)) -> RunError {
    let (stream, _, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
    let shard = stream.open_shards().remove(0);
    let before = lease_of(&table, &shard).await;
    table.edit(&before.key.clone(), change);
    let edited = table.get(&before.key).await.unwrap();
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    let seen = run.seen.clone();
    let error = run.ended().await.unwrap_err();
    assert_eq!(seen.calls(), [], "nothing is handed out");
    assert_eq!(
        table.get(&before.key).await.unwrap(),
        edited,
        "the row stays as it is"
    );
    error
}

#[tokio::test]
async fn leases_of_another_stream_are_left_alone_and_reported() {
    let other = "arn:aws:kinesis:us-east-1:000000000000:stream/payments";
    let error = ended_with(|lease| lease.facts.stream_arn = Some(other.into())).await;
    assert!(matches!(error, RunError::OtherStream { .. }), "{error}");
    assert!(
        error.to_string().contains(other) && error.to_string().contains("stream/orders"),
        "{error}"
    );
}

#[tokio::test]
async fn leases_of_a_stream_that_was_made_again_are_not_touched() {
    let error =
        ended_with(|lease| lease.facts.stream_created_at = Some(Timestamp::from_millis(1))).await;
    assert!(matches!(error, RunError::StreamReplaced { .. }), "{error}");
    assert!(error.to_string().contains("stream/orders"), "{error}");
}
