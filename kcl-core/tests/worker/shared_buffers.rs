//! Records of several shards that are gathered together: what is flushed, what is stored of each
//! shard, and what becomes of them when one of the shards ends or is given up.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use kcl_core::handler::{FlushCause, SharedBuffered, shared_buffer};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{LeaseTable, Write};
use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, Stopped};
use kcl_core::{ByteBudget, Failure};

use super::fleet::wait_for;
use crate::support::{Fleet, Run, SharedBasket, at, lease_of, soon, until, wait_for_lease};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A stream of two shards, `a` and `b`, with so many records in each: `a0`, `a1`, ...
pub(super) struct Two {
    pub(super) stream: MemoryStream,
    pub(super) shards: [ShardId; 2],
    put: [Vec<SequenceNumber>; 2],
    pub(super) table: MemoryLeaseTable,
}

impl Two {
    pub(super) fn with(records: usize) -> Self {
        let stream = MemoryStream::new("orders", 2);
        let shards = <[ShardId; 2]>::try_from(stream.open_shards()).unwrap();
        let mut two = Self {
            stream,
            shards,
            put: [Vec::new(), Vec::new()],
            table: MemoryLeaseTable::new(),
        };
        for _ in 0..records {
            two.put(0);
            two.put(1);
        }
        two
    }

    /// Puts two records into each shard, those of the first shard first in the buffer.
    pub(super) async fn put_in_order(&mut self, run: &Run) {
        self.put(0);
        self.put(0);
        until("the first shard", || gathered(run) == 2).await;
        self.put(1);
        self.put(1);
    }

    fn put(&mut self, shard: usize) -> SequenceNumber {
        let payload = format!("{}{}", ["a", "b"][shard], self.put[shard].len());
        let put = self
            .stream
            .put_to(&self.shards[shard], &payload, payload.clone());
        self.put[shard].push(put.unwrap());
        self.put[shard].last().unwrap().clone()
    }

    pub(super) fn process(&self, gathering: SharedBuffered<SharedBasket>) -> Run {
        Fleet::new(&self.stream, &self.table).process(gathering)
    }

    pub(super) async fn checkpoint(&self, shard: usize) -> Checkpoint {
        lease_of(&self.table, &self.shards[shard]).await.checkpoint
    }

    pub(super) async fn is_stored(&self, shard: usize, record: usize) {
        let wanted = at(&self.put[shard][record]);
        wait_for_lease(&self.table, &self.shards[shard], |lease| {
            lease.checkpoint == wanted
        })
        .await;
    }
}

/// How many records are gathered, of all shards.
fn gathered(run: &Run) -> usize {
    let status = run.worker.status();
    status.shards.values().map(|shard| shard.gathered).sum()
}

#[tokio::test]
async fn shards_share_a_buffer_and_each_checkpoint_follows_it() {
    let mut two = Two::with(2);
    let (basket, gate) = SharedBasket::gated();
    let run = two.process(shared_buffer(basket.clone()).records(5).every(HOUR));
    until("both shards", || gathered(&run) == 4).await;
    assert!(basket.begun.borrow().is_empty(), "nothing is full");
    two.put(0);
    basket.until_begun(1).await;
    let first = basket.begun.borrow()[0].clone();
    assert_eq!(
        (first.payloads.len(), first.shards, first.attempt),
        (5, 2, 1)
    );
    assert_eq!(first.cause, FlushCause::Records);
    two.put(1);
    until("the next buffer", || gathered(&run) == 1).await;
    for shard in [0, 1] {
        assert_eq!(
            two.checkpoint(shard).await,
            Checkpoint::TrimHorizon,
            "never before the flush"
        );
    }
    gate.add_permits(1);
    two.is_stored(0, 2).await;
    two.is_stored(1, 1).await;
    gate.add_permits(1);
    let report = run.stop().await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 2, "{report}");
    assert_eq!(
        basket.done(),
        [vec!["a0", "a1", "a2", "b0", "b1"], vec!["b2"]]
    );
    assert_eq!(basket.done.borrow()[1].cause, FlushCause::Leaving);
    two.is_stored(1, 2).await;
}

#[tokio::test]
async fn a_shared_buffer_is_flushed_by_its_size_and_by_its_age() {
    let two = Two::with(3);
    let basket = SharedBasket::open();
    let gathering = shared_buffer(basket.clone()).bytes(8);
    let run = two.process(gathering.every(Duration::from_millis(300)));
    two.is_stored(0, 2).await;
    two.is_stored(1, 2).await;
    run.stop().await.unwrap();
    let calls = basket.done.borrow().clone();
    let told: Vec<_> = calls
        .iter()
        .map(|call| (call.payloads.len(), call.cause))
        .collect();
    assert_eq!(told, [(4, FlushCause::Bytes), (2, FlushCause::Age)]);
}

/// One flush for all of them, and none twice.
#[tokio::test]
async fn a_stop_flushes_the_buffer_of_all_shards_once() {
    let two = Two::with(3);
    let basket = SharedBasket::open();
    let run = two.process(shared_buffer(basket.clone()).every(HOUR));
    until("the records", || gathered(&run) == 6).await;
    let report = run.stop().await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 2, "{report}");
    assert_eq!(basket.done(), [["a0", "a1", "a2", "b0", "b1", "b2"]]);
    for shard in [0, 1] {
        two.is_stored(shard, 2).await;
    }
}

#[tokio::test]
async fn a_shard_that_is_handed_over_is_flushed_or_given_back() {
    for gives_back in [false, true] {
        let mut two = Two::with(2);
        let basket = SharedBasket::open();
        let gathering = || {
            let gathering = shared_buffer(basket.clone()).every(HOUR);
            if gives_back {
                gathering.give_back()
            } else {
                gathering
            }
        };
        let first = two.process(gathering());
        until("both shards", || gathered(&first) == 4).await;
        let second = two.process(gathering());
        first
            .heard
            .wait_for("the hand-over", |event| {
                matches!(event, Event::LeaseHandedOver { .. })
            })
            .await;
        if gives_back {
            assert_eq!(basket.done(), [[""; 0]; 0], "nothing of either");
            until("the rest", || gathered(&first) == 2).await;
            until("what comes again", || gathered(&second) == 2).await;
        } else {
            assert_eq!(basket.done(), [["a0", "a1", "b0", "b1"]], "all of it");
            two.put(0);
            two.put(1);
            until("one each", || {
                (gathered(&first), gathered(&second)) == (1, 1)
            })
            .await;
        }
        first.stop().await.unwrap();
        second.stop().await.unwrap();
        let flushed = basket.done().concat().len();
        assert_eq!(flushed, if gives_back { 0 } else { 6 }, "none twice");
    }
}

/// Its end is not stored before its records are, and others go on gathering.
#[tokio::test]
async fn at_the_end_of_a_shard_the_buffer_is_flushed() {
    let two = Two::with(2);
    two.stream.split_evenly(&two.shards[0]).unwrap();
    let (basket, gate) = SharedBasket::gated();
    let run = two.process(shared_buffer(basket.clone()).every(HOUR));
    basket.until_begun(1).await;
    assert_eq!(basket.begun.borrow()[0].cause, FlushCause::End);
    assert_ne!(two.checkpoint(0).await, Checkpoint::ShardEnd);
    gate.add_permits(10);
    wait_for_lease(&two.table, &two.shards[0], |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    run.stop().await.unwrap();
    let mut done = basket.done().concat();
    done.sort();
    assert_eq!(done, ["a0", "a1", "b0", "b1"], "each once");
}

/// The flush goes on for the other shard, and stores nothing of the one that is lost.
#[tokio::test]
async fn a_lost_lease_ends_no_flush_of_another_shard() {
    let two = Two::with(2);
    let (basket, gate) = SharedBasket::gated();
    let run = two.process(shared_buffer(basket.clone()).records(4).every(HOUR));
    basket.until_begun(1).await;
    loop {
        // Its owner may renew it in between.
        let held = lease_of(&two.table, &two.shards[0]).await;
        let stolen = Write::take(&held, "thief".into(), "its token".into());
        if two.table.update(&held.key, &stolen).await.is_ok() {
            break;
        }
    }
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    gate.add_permits(1);
    two.is_stored(1, 1).await;
    assert_eq!(two.checkpoint(0).await, Checkpoint::TrimHorizon);
    assert_eq!(basket.begun.borrow().len(), 1);
    gate.add_permits(100);
    run.stop().await.unwrap();
}

/// A target that is down keeps no lease: what it did not take comes again.
#[tokio::test]
async fn a_stop_gives_back_what_a_shared_buffer_cannot_flush() {
    let two = Two::with(2);
    let basket = SharedBasket::with(|_| Err(Failure::new("no")));
    let run = two.process(shared_buffer(basket.clone()).records(4).every(HOUR));
    basket.until_begun(3).await;
    let asked = Instant::now();
    let report = run.worker.shutdown(Duration::from_secs(90)).await;
    assert!(
        asked.elapsed() < Duration::from_secs(30),
        "it was tried again until the deadline"
    );
    assert_eq!(report.count(Stopped::Drained), 2, "{report}");
    run.ended().await.unwrap();
    for shard in [0, 1] {
        let lease = lease_of(&two.table, &two.shards[shard]).await;
        assert_eq!(
            (lease.checkpoint, lease.owner),
            (Checkpoint::TrimHorizon, None)
        );
    }
}

/// Less memory than a full buffer takes: the budget has it flushed, and never holds more.
#[tokio::test]
async fn the_budget_has_a_shared_buffer_flushed() {
    const MIB: usize = 1024 * 1024;
    let stream = MemoryStream::new("orders", 3);
    let data = Bytes::from(vec![b'x'; MIB / 2]);
    for shard in stream.open_shards() {
        stream
            .put_many_to(&shard, (0..30).map(|_| ("k", data.clone())))
            .unwrap();
    }
    let basket = SharedBasket::open();
    let gathering = shared_buffer(basket.clone()).bytes(u64::MAX).every(HOUR);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| {
            builder
                .byte_budget(ByteBudget::new(10 * MIB).unwrap())
                .until_caught_up()
        })
        .process(gathering);
    soon("the end of the stream", run.ended()).await.unwrap();
    assert_eq!(basket.done().concat().len(), 90);
    let calls = basket.done.borrow().clone();
    assert!(
        calls.iter().any(|call| call.cause == FlushCause::Room),
        "{:?}",
        calls.iter().map(|call| call.cause).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn after_a_crash_what_a_shared_buffer_held_comes_again() {
    let two = Two::with(2);
    let basket = SharedBasket::open();
    let run = two.process(shared_buffer(basket.clone()).records(3).every(HOUR));
    basket.until_done(3).await;
    until("the rest", || gathered(&run) == 1).await;
    // One shard is done; no checkpoint of the other one passes what is gathered.
    let ends = [&two.put[0][1], &two.put[1][1]].map(at);
    wait_for("checkpoints of what is flushed", async || {
        let stored = [two.checkpoint(0).await, two.checkpoint(1).await];
        let is_at = |checkpoint: &Checkpoint| matches!(checkpoint, Checkpoint::At(_));
        stored.iter().all(is_at) && (stored[0] == ends[0]) != (stored[1] == ends[1])
    })
    .await;
    run.crash().await;
    let run = Fleet::with_short_failover(&two.stream, &two.table)
        .process(shared_buffer(basket.clone()).records(1));
    for shard in [0, 1] {
        two.is_stored(shard, 1).await;
    }
    run.stop().await.unwrap();
    let mut done = basket.done().concat();
    done.sort();
    done.dedup();
    assert_eq!(done, ["a0", "a1", "b0", "b1"]);
}

#[tokio::test]
async fn a_shared_buffer_of_no_time_is_refused() {
    let two = Two::with(0);
    let refused = kcl_core::Worker::builder()
        .stream("orders")
        .source(two.stream)
        .application("tests")
        .lease_table(MemoryLeaseTable::new())
        .processor(shared_buffer(SharedBasket::open()).every(Duration::ZERO))
        .build()
        .map_err(|error| error.to_string());
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("`SharedBuffered::every` of no time"),
        "{refused}"
    );
}
