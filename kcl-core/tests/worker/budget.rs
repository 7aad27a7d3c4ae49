//! Memory: the byte budget holds whatever the number of shards, and a handler that is stopped stops
//! no other shard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Fleet, HookedStream, Script};
use bytes::Bytes;
use kcl_core::ByteBudget;
use kcl_core::Worker;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::ShardId;
use kcl_core::stream::memory::{MemoryStream, Operation};

const MIB: usize = 1024 * 1024;

fn stream_of(shards: u32, records: usize, size: usize) -> MemoryStream {
    let (stream, data) = (
        MemoryStream::new("orders", shards),
        Bytes::from(vec![b'x'; size]),
    );
    for shard in stream.open_shards() {
        stream
            .put_many_to(&shard, (0..records).map(|_| ("k", data.clone())))
            .unwrap();
    }
    stream
}

#[tokio::test]
async fn a_handler_that_is_stopped_stops_no_other_shard() {
    let stream = stream_of(4, 60, MIB / 2);
    let stuck = stream.open_shards().remove(0);
    let hangs = stuck.clone();
    let processed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&processed);
    let budget = ByteBudget::new(10 * MIB).unwrap();
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| {
            builder
                .byte_budget(budget)
                .failover(Duration::from_secs(30))
        })
        .start(Script::process(move |input| {
            let hangs = input.shard.shard == hangs;
            let records = if hangs { 0 } else { input.records.len() };
            let count = Arc::clone(&count);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                count.fetch_add(records, Ordering::SeqCst);
                Ok(())
            }
        }));
    crate::support::until("the records of the other shards", || {
        processed.load(Ordering::SeqCst) >= 3 * 60
    })
    .await;
    assert!(!run.seen.calls_of(&stuck).is_empty());
    run.crash().await;
}

/// The most of the budget that was held at any hand-out.
async fn most_held(stream: &MemoryStream, records: usize, budget: ByteBudget) -> usize {
    let most = Arc::new(AtomicUsize::new(0));
    let (held, of) = (Arc::clone(&most), budget.clone());
    let processed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&processed);
    // Every handler is at work at the same time at least once, while as much as can be is fetched
    // ahead.
    let all = Arc::new(tokio::sync::Barrier::new(stream.open_shards().len()));
    let calls: Mutex<BTreeMap<ShardId, u32>> = Mutex::default();
    // Nothing is fetched before every shard has its place at the budget: one that comes later gets
    // its part though the rest is taken.
    let (shards, begun) = (
        stream.open_shards().len(),
        Arc::new(tokio::sync::watch::Sender::new(0)),
    );
    let hooked = HookedStream::new(stream);
    hooked.before(move |operation, _| {
        let begun = Arc::clone(&begun);
        async move {
            if operation == Operation::Open {
                begun.send_modify(|count| *count += 1);
                begun
                    .subscribe()
                    .wait_for(|count| *count >= shards)
                    .await
                    .expect("the sender is here");
            }
        }
    });
    let run = Fleet::new(&hooked, &MemoryLeaseTable::new())
        .with(|builder| {
            builder
                .byte_budget(budget)
                .failover(Duration::from_secs(30))
        })
        .start(Script::process(move |input| {
            let (held, of, count, all) = (
                Arc::clone(&held),
                of.clone(),
                Arc::clone(&count),
                Arc::clone(&all),
            );
            let mut calls = crate::support::locked(&calls);
            let call = calls.entry(input.shard.shard.clone()).or_default();
            *call += 1;
            let meets = *call == 1;
            async move {
                if meets {
                    all.wait().await;
                }
                for _ in 0..300 {
                    held.fetch_max(of.used(), Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
                count.fetch_add(input.records.len(), Ordering::SeqCst);
                Ok(())
            }
        }));
    let worker: &Worker = &run.worker;
    crate::support::until("every record", || {
        assert!(
            worker.status().budget_used <= worker.status().budget_total,
            "{}",
            worker.status().budget_used
        );
        processed.load(Ordering::SeqCst) >= records
    })
    .await;
    run.stop().await.unwrap();
    most.load(Ordering::SeqCst)
}

#[tokio::test]
async fn the_budget_holds_for_many_shards_of_the_largest_records() {
    let (stream, budget) = (
        stream_of(64, 6, MIB),
        ByteBudget::new(ByteBudget::DEFAULT).unwrap(),
    );
    let most = most_held(&stream, 64 * 6, budget).await;
    assert!(
        most <= ByteBudget::DEFAULT,
        "{most} of {}",
        ByteBudget::DEFAULT
    );
}

#[tokio::test]
async fn the_smallest_budget_holds_for_many_shards_of_usual_records() {
    let (stream, budget) = (stream_of(64, 500, 1000), ByteBudget::new(10 * MIB).unwrap());
    let most = most_held(&stream, 64 * 500, budget).await;
    assert!(most <= 10 * MIB, "{most}");
    assert!(most > 0);
}

#[tokio::test]
async fn workers_may_share_a_budget() {
    let budget = ByteBudget::new(10 * MIB).unwrap();
    let streams = [stream_of(2, 40, MIB / 2), stream_of(2, 40, MIB / 2)];
    let runs = streams.map(|stream| {
        let run = Fleet::new(&stream, &MemoryLeaseTable::new()).with(|builder| {
            builder
                .byte_budget(budget.clone())
                .failover(Duration::from_secs(30))
        });
        run.start(Script::default())
    });
    for run in runs {
        run.seen.wait_for_records(80).await;
        assert_eq!(run.worker.status().budget_total, 10 * MIB);
        run.stop().await.unwrap();
    }
    assert_eq!(budget.used(), 0);
}
