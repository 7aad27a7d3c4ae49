//! Handlers that fail, panic and hang: no batch is lost, no shard is stuck, nothing is left behind.

use std::time::Duration;

use crate::support::{
    Call, Fleet, Nth, Script, at, lease_of, one_shard, payloads, script, soon, until,
    wait_for_lease,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, HandlerCall, RunError, Stopped};
use kcl_core::{Failure, OnFailure};

/// With the number of the attempt.
#[tokio::test]
async fn a_failed_batch_comes_again_and_the_lease_is_kept() {
    for panics in [false, true] {
        let (stream, shard, sequences) = one_shard(5);
        let (table, calls) = (MemoryLeaseTable::new(), Nth::default());
        let run = Fleet::new(&stream, &table).start(Script::process(move |_| {
            let call = calls.next();
            async move {
                assert!(!panics || call > 2, "a panic of a handler");
                if call > 2 {
                    Ok(())
                } else {
                    Err(Failure::new("not now"))
                }
            }
        }));
        run.seen.wait_for_records(15).await;
        let (seen, heard) = (run.seen.clone(), run.heard.clone());
        wait_for_lease(&table, &shard, |lease| {
            lease.checkpoint == at(&sequences[4])
        })
        .await;
        run.stop().await.unwrap();
        let all = payloads(0..5);
        assert_eq!(
            seen.batches_of(&shard),
            [(1, all.clone()), (2, all.clone()), (3, all)],
            "panics: {panics}"
        );
        assert_eq!(
            seen.count(&shard, |call| matches!(call, Call::Initialize { .. })),
            1,
            "the processor is kept, and the lease"
        );
        let failed = |event: &Event| {
            matches!(
                event,
                Event::HandlerFailed {
                    call: HandlerCall::ProcessRecords,
                    ..
                }
            )
        };
        assert_eq!(heard.count(failed), 2);
        let recovered = |event: &Event| {
            matches!(
                event,
                Event::HandlerRecovered {
                    call: HandlerCall::ProcessRecords,
                    at: None,
                    failures: 2,
                    ..
                }
            )
        };
        assert_eq!(heard.count(recovered), 1);
    }
}

#[tokio::test]
async fn the_checkpoint_never_passes_a_batch_that_fails() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoint_every(Duration::from_millis(1)))
        .start(Script::process(|input| async move {
            if input.records.iter().any(|record| &*record.data == b"bad") {
                Err(Failure::new("bad"))
            } else {
                Ok(())
            }
        }));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    stream.put_to(&shard, "k", "bad").unwrap();
    stream.put_to(&shard, "k", "behind it").unwrap();
    run.seen
        .wait_for("six attempts", |calls| {
            calls
                .iter()
                .any(|(_, call)| matches!(call, Call::Process { attempt: 6, .. }))
        })
        .await;
    let report = run.stop().await.unwrap();
    let lease = lease_of(&table, &shard).await;
    assert_eq!(
        lease.checkpoint,
        at(&sequences[2]),
        "the stop stores no more than what is done"
    );
    assert_eq!((lease.owner, report.count(Stopped::Drained)), (None, 1));
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_a_batch_that_fails_again_and_again() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.retry_pause(Duration::from_secs(60), Duration::from_secs(60)))
        .start(Script::process(|_| async { Err(Failure::new("bad")) }));
    run.heard
        .wait_for("a failure", |event| {
            matches!(event, Event::HandlerFailed { .. })
        })
        .await;
    soon("the stop", run.stop()).await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
}

#[tokio::test]
async fn a_failure_just_before_a_loss_is_followed_by_one_lease_lost() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.retry_pause(Duration::from_secs(60), Duration::from_secs(60)))
        .start(Script::process(|_| async { Err(Failure::new("bad")) }));
    run.heard
        .wait_for("a failure", |event| {
            matches!(event, Event::HandlerFailed { .. })
        })
        .await;
    table.edit(&LeaseKey::single(shard.clone()), |lease| {
        (lease.owner, lease.token) = (Some("another".into()), Some("its token".into()));
        lease.counter += 1;
    });
    run.seen
        .wait_for_call(&shard, "lease_lost", |call| {
            matches!(call, Call::LeaseLost { .. })
        })
        .await;
    until("the end of the consumer", || {
        run.worker.status().shards.is_empty()
    })
    .await;
    let calls = run.seen.calls_of(&shard);
    assert!(
        matches!(
            &calls[..],
            [
                Call::Initialize { .. },
                Call::Process { .. },
                Call::LeaseLost { .. }
            ]
        ),
        "no call is made twice: {calls:?}"
    );
    run.crash().await;
}

#[tokio::test]
async fn records_before_a_failure_are_stored_and_the_rest_repeated() {
    let (stream, shard, sequences) = one_shard(5);
    let (table, calls) = (MemoryLeaseTable::new(), Nth::default());
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.retry_pause(Duration::from_secs(60), Duration::from_secs(60)))
        .start(Script::process(move |input| {
            let call = calls.next();
            async move {
                if call == 1 {
                    Err(Failure::at(&input.records[3], "the fourth"))
                } else {
                    Ok(())
                }
            }
        }));
    run.heard
        .wait_for("the failure", |event| {
            matches!(event, Event::HandlerFailed { at: Some(_), .. })
        })
        .await;
    let report = run.stop().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[2]),
        "{report}"
    );
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(2).await;
    assert_eq!(run.seen.payloads(), ["3", "4"]);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_batch_repeats_after_the_later_of_checkpoint_and_failure() {
    let (stream, shard, _) = one_shard(5);
    let calls = Nth::default();
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script::process(move |input| {
        let call = calls.next();
        async move {
            match call {
                1 => {
                    input.checkpointer.checkpoint_at(&input.records[2]).await?;
                    Err(Failure::at(&input.records[1], "before what is stored"))
                }
                // 3 and 4 are left.
                2 => Err(Failure::at(&input.records[1], "behind what is stored")),
                _ => Ok(()),
            }
        }
    }));
    run.seen
        .wait_for("a third attempt", |calls| {
            calls
                .iter()
                .any(|(_, call)| matches!(call, Call::Process { attempt: 3, .. }))
        })
        .await;
    assert_eq!(
        run.seen.batches_of(&shard),
        [
            (1, payloads(0..5)),
            (2, payloads(3..5)),
            (3, payloads(4..5))
        ]
    );
    run.stop().await.unwrap();
}

/// The checkpoint does not pass it.
#[tokio::test]
async fn under_stop_run_returns_the_cause() {
    let (stream, shard, sequences) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(OnFailure::Stop))
        .start(Script::process(|input| async move {
            Err(Failure::at(
                &input.records[2],
                std::io::Error::other("the sink is full"),
            ))
        }));
    match run.ended().await {
        Err(RunError::Handler {
            shard: of,
            at,
            source,
        }) => {
            assert_eq!(
                (of.shard, at),
                (shard.clone(), Some(sequences[2].clone().into()))
            );
            assert_eq!(source.to_string(), "the sink is full");
            assert!(
                source.downcast_ref::<std::io::Error>().is_some(),
                "the cause itself"
            );
        }
        other => panic!("{other:?}"),
    }
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.checkpoint, lease.owner), (at(&sequences[1]), None));
}

#[tokio::test]
async fn the_cause_of_a_stop_is_returned_though_the_handler_hangs() {
    let stream = MemoryStream::new("orders", 2);
    for shard in stream.open_shards() {
        stream.put_to(&shard, "k", "x").unwrap();
    }
    let shutdown_requested = script(|_| std::future::pending());
    let script = Script {
        shutdown_requested,
        ..Script::process(|_| async { Err(Failure::new("bad")) })
    };
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.on_failure(OnFailure::Stop))
        .start(script);
    run.heard
        .wait_for("the stop", |event| matches!(event, Event::Stopping))
        .await;
    // A deadline that the user gives cuts the worker's own short.
    run.worker.shutdown(Duration::from_millis(200)).await;
    assert!(matches!(run.ended().await, Err(RunError::Handler { .. })));
}

/// An event names it.
#[tokio::test]
async fn under_skip_only_the_failed_record_is_passed() {
    let (stream, shard, sequences) = one_shard(5);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(OnFailure::Skip))
        .start(Script::process(|input| async move {
            match input.records.iter().find(|record| &*record.data == b"2") {
                Some(bad) => Err(Failure::at(bad, "bad")),
                None => Ok(()),
            }
        }));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    assert_eq!(
        run.seen.batches_of(&shard),
        [(1, payloads(0..5)), (2, payloads(3..5))]
    );
    let skipped: Vec<_> = run
        .heard
        .all()
        .into_iter()
        .filter_map(|event| {
            if let Event::RecordSkipped { at, .. } = event {
                Some(at)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(skipped, [sequences[2].clone().into()]);
    let heard = run.heard.clone();
    run.stop().await.unwrap();
    let recovered = |event: &Event| matches!(event, Event::HandlerRecovered { .. });
    assert_eq!(heard.count(recovered), 0, "it was passed");
}

#[tokio::test]
async fn under_skip_a_failure_that_names_no_record_passes_nothing() {
    let (stream, shard, _) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(OnFailure::Skip))
        .start(Script::process(|_| async {
            Err(Failure::new("somewhere"))
        }));
    run.seen
        .wait_for("a fifth attempt", |calls| {
            calls.iter().any(|(_, call)| matches!(call, Call::Process { attempt: 5, records } if records.len() == 2))
        })
        .await;
    let heard = run.heard.clone();
    run.stop().await.unwrap();
    assert_eq!(
        heard.count(|event| matches!(event, Event::RecordSkipped { .. })),
        0
    );
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
}

#[tokio::test]
async fn a_checkpoint_at_a_stop_leaves_the_failed_batch_out() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let shutdown_requested = script(
        |input: kcl_core::processor::ShutdownRequestedInput| async move {
            // What everybody writes who comes from the KCL.
            if let Some(checkpointer) = input.checkpointer {
                checkpointer.checkpoint().await?;
            }
            Ok(())
        },
    );
    let script = Script {
        shutdown_requested,
        ..Script::process(|input| async move {
            if input.records.iter().any(|record| &*record.data == b"bad") {
                Err(Failure::new("bad"))
            } else {
                Ok(())
            }
        })
    };
    let run = Fleet::new(&stream, &table).start(script);
    run.seen.wait_for_records(2).await;
    stream.put_to(&shard, "k", "bad").unwrap();
    run.heard
        .wait_for("a failure", |event| {
            matches!(event, Event::HandlerFailed { .. })
        })
        .await;
    run.stop().await.unwrap();
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[1]));
}
