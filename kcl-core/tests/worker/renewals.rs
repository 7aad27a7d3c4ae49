//! Leases under strain: answers that are lost or late, a table out of reach, handlers that block or
//! take too long.
#![expect(
    clippy::disallowed_methods,
    reason = "waits in real time, and handlers that block their thread"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{
    Call, Fault, Fleet, Nth, Script, Seen, UnrulyTable, lease_of, locked, one_shard, until,
    wait_for_lease,
};
use kcl_core::Failure;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Change, LeaseTable};
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_core::processor::LossReason;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunError};

const F: Duration = Duration::from_secs(1);

fn distinct(seen: &Seen) -> BTreeSet<String> {
    seen.payloads().into_iter().collect()
}

/// They lose no record and take no checkpoint back.
#[tokio::test]
async fn lost_late_and_dropped_writes_lose_nothing() {
    for seed in [1, 2, 3] {
        random_answers(seed).await;
    }
}

/// Lets half of all writes go wrong, in an order that the seed gives, over a few hundred of them, a
/// reshard and a crash.
async fn random_answers(seed: u64) {
    let stream = MemoryStream::new("orders", 4);
    let table = UnrulyTable::new();
    let chance = Mutex::new(fastrand::Rng::with_seed(seed));
    table.set_rule(move |_, _| {
        let mut chance = locked(&chance);
        match chance.u32(..100) {
            0..20 => Fault::LoseAnswer,
            20..30 => Fault::LoseWrite,
            30..45 => Fault::Late(Duration::from_millis(chance.u64(1..400))),
            45..50 => Fault::Throttle,
            _ => Fault::None,
        }
    });
    let seen = Seen::default();
    let start = |name: &str| {
        Fleet::with_short_failover(&stream, &table)
            .with(|builder| {
                builder
                    .worker_id(name)
                    .checkpoint_every(Duration::from_millis(1))
            })
            .start_with(Script::default(), seen.clone())
    };
    let mut run = start("first");
    let (mut put, mut crashed, mut split) = (0, false, false);
    while table.written().len() < 250 {
        stream.put(&format!("{put}"), format!("{put}")).unwrap();
        put += 1;
        let written = table.written().len();
        if written > 80 && !split {
            split = true;
            stream.split_evenly(&stream.open_shards()[1]).unwrap();
        }
        if written > 150 && !crashed {
            crashed = true;
            run.crash().await;
            run = start("second");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen.wait_for(&format!("all {put} records of seed {seed}"), |_| {
        distinct(&seen).len() == put
    })
    .await;
    table.clear_rule();
    for shard in stream.shards() {
        // A late write may still free or end a lease; then it is read on.
        let last = seen.last_of(&shard.id).map(Checkpoint::At);
        wait_for_lease(&table, &shard.id, |lease| {
            lease.checkpoint.is_shard_end()
                || (!shard.closed && last.as_ref().is_none_or(|last| lease.checkpoint == *last))
        })
        .await;
    }
    seen.assert_parents_first(&stream);
    assert_eq!(table.regressions(), Vec::<String>::new(), "seed {seed}");
    run.stop().await.unwrap();
}

#[test]
fn handlers_that_block_the_whole_runtime_cost_no_lease() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = MemoryStream::new("orders", 8);
        for shard in stream.open_shards() {
            stream.put_to(&shard, "k", "x").unwrap();
        }
        let table = MemoryLeaseTable::new();
        let run = Fleet::with_short_failover(&stream, &table).start(Script::process(|_| async {
            std::thread::sleep(F * 3);
            Ok(())
        }));
        let mut before = Vec::new();
        for shard in stream.open_shards() {
            before.push(wait_for_lease(&table, &shard, |lease| lease.token.is_some()).await);
        }
        run.seen.wait_for_records(8).await;
        for (shard, before) in stream.open_shards().iter().zip(before) {
            let done =
                wait_for_lease(&table, shard, |lease| lease.checkpoint.position().is_some()).await;
            assert_eq!(
                (done.owner, done.token),
                (before.owner, before.token),
                "{shard}"
            );
        }
        assert_eq!(
            run.heard
                .count(|event| matches!(event, Event::LeaseLost { .. })),
            0
        );
        assert_eq!(run.seen.duplicates(), 0);
        run.stop().await.unwrap();
    });
}

/// It is taken again only when the handler has returned.
#[tokio::test]
async fn a_handler_beyond_its_budget_loses_the_lease() {
    let (stream, shard, _) = one_shard(1);
    let (table, calls) = (MemoryLeaseTable::new(), Nth::default());
    let returned = Arc::new(tokio::sync::Notify::new());
    let go = Arc::clone(&returned);
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.handler_budget(F))
        .start(Script::process(move |_| {
            let (call, go) = (calls.next(), Arc::clone(&go));
            async move {
                if call == 1 {
                    go.notified().await;
                }
                Ok::<(), Failure>(())
            }
        }));
    run.seen.wait_for_records(1).await;
    let freed = wait_for_lease(&table, &shard, |lease| lease.owner.is_none()).await;
    assert_eq!(freed.checkpoint, Checkpoint::TrimHorizon);
    // Free for others for longer than any scan takes, and left alone here.
    tokio::time::sleep(F * 3 / 2).await;
    assert_eq!(lease_of(&table, &shard).await.counter, freed.counter);
    returned.notify_one();
    run.seen.wait_for_records(2).await;
    let calls = run.seen.calls_of(&shard);
    let kinds = matches!(
        &calls[..],
        [
            Call::Initialize { .. },
            Call::Process { .. },
            Call::LeaseLost { .. },
            Call::Initialize { .. },
            Call::Process { attempt: 1, .. }
        ]
    );
    assert!(kinds, "{calls:?}");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_table_out_of_reach_for_long_costs_leases_that_come_back() {
    let (stream, shard, _) = one_shard(2);
    let table = UnrulyTable::new();
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.seen.wait_for_records(2).await;
    table.set_unreachable(true);
    table.set_rule(|_, _| Fault::Throttle);
    // Who lost it hears why, and so does who listens.
    let why =
        "it could not be renewed in time: the lease table is busy or out of reach: too many writes";
    run.seen
        .wait_for_call(
            &shard,
            "lease_lost",
            |call| matches!(call, Call::LeaseLost { reason } if reason.contains(why)),
        )
        .await;
    run.heard
        .wait_for(
            "the loss",
            |event| matches!(event, Event::LeaseLost { reason: LossReason::Lost(cause), .. } if **cause == *why),
        )
        .await;
    stream.put_to(&shard, "k", "2").unwrap();
    table.set_unreachable(false);
    table.clear_rule();
    run.seen
        .wait_for("the new record", |_| {
            run.seen.payloads().contains(&"2".to_owned())
        })
        .await;
    run.stop().await.unwrap();
    assert_eq!(table.regressions(), Vec::<String>::new());
}

#[tokio::test]
async fn a_broken_table_is_what_run_returns() {
    let (stream, _, _) = one_shard(2);
    let table = UnrulyTable::new();
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.seen.wait_for_records(2).await;
    table.set_rule(|_, change| {
        if matches!(change, Some(Change::Take { .. })) {
            Fault::None
        } else {
            Fault::Break
        }
    });
    let ended = run.ended().await;
    assert!(matches!(ended, Err(RunError::LeaseTable(_))), "{ended:?}");
}

/// For longer than a handler may take.
#[tokio::test]
async fn a_shard_that_waits_long_for_its_parent_keeps_its_lease() {
    let (stream, parent, _) = one_shard(1);
    let children = stream.split_evenly(&parent).unwrap();
    let table = MemoryLeaseTable::new();
    table
        .create(&Lease::new(
            LeaseKey::single(parent.clone()),
            Checkpoint::TrimHorizon,
        ))
        .await
        .unwrap();
    for child in &children {
        let mut row = Lease::new(LeaseKey::single(child.clone()), Checkpoint::TrimHorizon);
        row.parents = vec![parent.clone()];
        table.create(&row).await.unwrap();
    }
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let script = Script::process(move |_| {
        let done = gate.load(Ordering::SeqCst);
        async move {
            if done {
                Ok(())
            } else {
                Err(Failure::new("not yet"))
            }
        }
    });
    // Several readings of the parent's row long, which come with each scan.
    let short = Duration::from_secs(3);
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.handler_budget(short).call_limit(short / 6))
        .start(script);
    let acquired = |event: &Event| matches!(event, Event::LeaseAcquired { .. });
    until("all leases", || run.heard.count(acquired) == 3).await;
    tokio::time::sleep(short * 2).await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::LeaseLost { .. })),
        0
    );
    open.store(true, Ordering::SeqCst);
    for child in &children {
        run.seen
            .wait_for_call(child, "initialize", |call| {
                matches!(call, Call::Initialize { .. })
            })
            .await;
    }
    assert_eq!(run.heard.count(acquired), 3, "each was taken once");
    run.stop().await.unwrap();
}
