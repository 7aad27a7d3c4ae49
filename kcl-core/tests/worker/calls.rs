//! The calls of a processor beside its batches: their order, and what happens when they fail, panic
//! or hang.
#![expect(
    clippy::disallowed_methods,
    reason = "handlers that wait, and waits in real time"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{
    Call, Fleet, Heard, Nth, PATIENCE, Scribe, Script, Seen, lease_of, one_shard, script,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::processor::ShardRef;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Stopped};
use kcl_core::{Failure, Worker};

#[tokio::test]
async fn a_failed_initialize_is_repeated_while_other_shards_go_on() {
    for panics in [false, true] {
        let stream = MemoryStream::new("orders", 3);
        let [bad, good, other] = stream.open_shards().try_into().unwrap();
        for shard in [&bad, &good, &other] {
            stream.put_to(shard, "k", "x").unwrap();
        }
        let (release, gate) = (Arc::new(AtomicBool::new(false)), bad.clone());
        let released = Arc::clone(&release);
        let initialize = script(move |input: kcl_core::processor::InitializeInput| {
            let fails = input.shard.shard == gate && !released.load(Ordering::SeqCst);
            async move {
                assert!(!(fails && panics), "a panic of initialize");
                if fails { Err("not now".into()) } else { Ok(()) }
            }
        });
        let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script {
            initialize,
            ..Script::default()
        });
        for shard in [&good, &other] {
            run.seen
                .wait_for_call(shard, "a batch", |call| {
                    matches!(call, Call::Process { .. })
                })
                .await;
        }
        run.seen
            .wait_for_call(&bad, "a fourth attempt", |call| {
                matches!(call, Call::Initialize { attempt: 4, .. })
            })
            .await;
        assert!(
            run.seen.batches_of(&bad).is_empty(),
            "nothing before initialize succeeded"
        );
        release.store(true, Ordering::SeqCst);
        run.seen
            .wait_for_call(&bad, "a batch", |call| matches!(call, Call::Process { .. }))
            .await;
        run.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_uninitialized_processor_gets_no_other_call() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let initialize = script(|_| async { Err("never".into()) });
    let run = Fleet::new(&stream, &table).start(Script {
        initialize,
        ..Script::default()
    });
    run.seen.wait_for_initialized(2).await;
    let seen = run.seen.clone();
    let report = run.stop().await.unwrap();
    assert!(
        seen.calls()
            .iter()
            .all(|(_, call)| matches!(call, Call::Initialize { .. })),
        "{:?}",
        seen.calls()
    );
    assert_eq!(report.count(Stopped::Released), 1, "{report}");
    assert_eq!(lease_of(&table, &shard).await.owner, None);
}

#[tokio::test]
async fn a_factory_that_panics_is_asked_again_and_other_shards_go_on() {
    let stream = MemoryStream::new("orders", 2);
    let [bad, good] = stream.open_shards().try_into().unwrap();
    stream.put_to(&bad, "k", "x").unwrap();
    stream.put_to(&good, "k", "x").unwrap();
    let (seen, calls, of) = (Seen::default(), Nth::default(), bad.clone());
    let scribes = seen.clone();
    let worker = Worker::builder()
        .stream("orders")
        .application("tests")
        .source(stream.clone())
        .lease_table(MemoryLeaseTable::new())
        .retry_pause(Duration::from_millis(5), Duration::from_millis(50))
        .processor(move |shard: &ShardRef| {
            assert!(
                shard.shard != of || calls.next() > 3,
                "a panic of the factory"
            );
            Scribe {
                seen: scribes.clone(),
                script: Script::default(),
            }
        })
        .build()
        .unwrap();
    let heard = Heard::of(&worker);
    let running = worker.clone();
    let task = tokio::spawn(async move { running.run().await });
    for shard in [&bad, &good] {
        seen.wait_for_call(shard, "a batch", |call| {
            matches!(call, Call::Process { .. })
        })
        .await;
    }
    assert_eq!(
        heard.count(
            |event| matches!(event, Event::HandlerFailed { shard, .. } if shard.shard == bad)
        ),
        3
    );
    worker.shutdown(PATIENCE).await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn children_start_only_after_shard_ended_succeeded() {
    for panics in [false, true] {
        let (stream, shard, _) = one_shard(3);
        let children = stream.split_evenly(&shard).unwrap();
        for child in &children {
            stream.put_to(child, "k", "child").unwrap();
        }
        let (table, release) = (MemoryLeaseTable::new(), Arc::new(AtomicBool::new(false)));
        let released = Arc::clone(&release);
        let shard_ended = script(move |_| {
            let fails = !released.load(Ordering::SeqCst);
            async move {
                assert!(!(fails && panics), "a panic of shard_ended");
                if fails { Err("not yet".into()) } else { Ok(()) }
            }
        });
        let run = Fleet::new(&stream, &table).start(Script {
            shard_ended,
            ..Script::default()
        });
        run.seen
            .wait_for_call(&shard, "a third attempt", |call| {
                *call == Call::ShardEnded { attempt: 3 }
            })
            .await;
        let lease = lease_of(&table, &shard).await;
        assert!(
            !lease.checkpoint.is_shard_end() && lease.owner.is_some(),
            "{lease:?}"
        );
        assert!(
            children
                .iter()
                .all(|child| run.seen.calls_of(child).is_empty()),
            "children wait"
        );
        release.store(true, Ordering::SeqCst);
        run.seen.wait_for_records(5).await;
        let lease = lease_of(&table, &shard).await;
        assert!(
            lease.checkpoint.is_shard_end() && lease.owner.is_none(),
            "{lease:?}"
        );
        assert_eq!(lease.children, children);
        let seen = run.seen.clone();
        run.stop().await.unwrap();
        assert_eq!(
            seen.count(&shard, |call| matches!(call, Call::LeaseLost { .. })),
            0,
            "its end is no loss"
        );
        seen.assert_parents_first(&stream);
    }
}

#[tokio::test]
async fn the_calls_of_a_shard_come_in_order_and_never_overlap() {
    let stream = MemoryStream::new("orders", 4);
    stream
        .put_many((0..400).map(|n| (format!("{n}"), format!("{n}"))))
        .unwrap();
    let first = stream.open_shards().remove(0);
    stream.split_evenly(&first).unwrap();
    let busy: Arc<std::sync::Mutex<std::collections::BTreeSet<_>>> = Arc::default();
    let enter = move |shard: ShardRef| {
        let busy = Arc::clone(&busy);
        async move {
            assert!(
                crate::support::locked(&busy).insert(shard.shard.clone()),
                "two calls of {shard} at once"
            );
            tokio::time::sleep(Duration::from_millis(3)).await;
            crate::support::locked(&busy).remove(&shard.shard);
        }
    };
    let calls = Nth::default();
    let (a, b, c, d, e) = (
        enter.clone(),
        enter.clone(),
        enter.clone(),
        enter.clone(),
        enter,
    );
    let script = Script {
        initialize: script(move |input: kcl_core::processor::InitializeInput| {
            let (call, fails) = (a(input.shard), input.attempt == 1);
            async move {
                call.await;
                if fails {
                    Err("not at once".into())
                } else {
                    Ok(())
                }
            }
        }),
        shutdown_requested: script(move |input: kcl_core::processor::ShutdownRequestedInput| {
            let call = b(input.shard);
            async move {
                call.await;
                Ok(())
            }
        }),
        lease_lost: script(move |input: kcl_core::processor::LeaseLostInput| {
            let call = c(input.shard);
            async move {
                call.await;
                Ok(())
            }
        }),
        shard_ended: script(move |input: kcl_core::processor::ShardEndedInput| {
            let call = d(input.shard);
            async move {
                call.await;
                Ok(())
            }
        }),
        ..Script::process(move |input| {
            let (call, fails) = (e(input.shard), calls.next() % 3 == 0);
            async move {
                call.await;
                if fails {
                    Err(Failure::new("now and then"))
                } else {
                    Ok(())
                }
            }
        })
    };
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.max_records(20))
        .start(script);
    let seen = run.seen.clone();
    seen.wait_for("every record", |_| {
        seen.payloads()
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            == 400
    })
    .await;
    seen.wait_for_call(&first, "its end", |call| {
        matches!(call, Call::ShardEnded { .. })
    })
    .await;
    // Each of the six twice.
    seen.wait_for_initialized(12).await;
    run.stop().await.unwrap();
    for shard in stream.shards() {
        let mut calls = seen.calls_of(&shard.id).into_iter().peekable();
        while calls
            .next_if(|call| matches!(call, Call::Initialize { .. }))
            .is_some()
        {}
        while calls
            .next_if(|call| matches!(call, Call::Process { .. }))
            .is_some()
        {}
        let rest: Vec<_> = calls.collect();
        let in_order = match &rest[..] {
            [Call::ShardEnded { attempt: 1 }] => shard.id == first,
            [Call::ShutdownRequested, Call::LeaseLost { .. }] => shard.id != first,
            _ => false,
        };
        assert!(in_order, "{}: {rest:?}", shard.id);
    }
}
