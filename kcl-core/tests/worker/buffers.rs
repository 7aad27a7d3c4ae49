//! Records that are gathered: when they are flushed, what is stored, and what becomes of them when
//! the shard ends or is given up.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use bytes::Bytes;
use kcl_core::ByteBudget;
use kcl_core::handler::{FlushCause, buffer};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Checkpoint;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunError, Stopped};

use crate::support::{
    Basket, Fleet, Run, at, lease_of, one_shard, payloads, soon, until, wait_for_lease,
};

/// How many records the buffers of a worker hold.
fn gathered(run: &Run) -> usize {
    let status = run.worker.status();
    status.shards.values().map(|shard| shard.gathered).sum()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_buffer_spans_batches_and_the_checkpoint_follows_it() {
    let (stream, shard, mut sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let (basket, gate) = Basket::gated();
    let run = Fleet::new(&stream, &table).process(buffer(basket.clone()).records(5).every(HOUR));
    // The first batch alone fills nothing.
    until("the first batch", || gathered(&run) == 3).await;
    assert!(basket.begun.borrow().is_empty());
    for n in 3..7 {
        sequences.push(
            stream
                .put_to(&shard, &format!("{n}"), format!("{n}"))
                .unwrap(),
        );
    }
    basket.until_begun(1).await;
    let first = basket.begun.borrow()[0].clone();
    assert_eq!(
        (first.payloads, first.cause, first.attempt, first.key),
        (payloads(0..5), FlushCause::Records, 1, None)
    );
    until("the records behind it", || gathered(&run) == 2).await;
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon,
        "never before the flush"
    );
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    assert_eq!(basket.begun.borrow().len(), 1, "two records wait for more");
    gate.add_permits(1);
    let report = run.stop().await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 1, "{report}");
    assert_eq!(basket.done(), [payloads(0..5), payloads(5..7)]);
    assert_eq!(basket.done.borrow()[1].cause, FlushCause::Leaving);
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[6]));
}

#[tokio::test]
async fn a_buffer_is_flushed_by_its_size_and_by_its_age() {
    let (stream, shard, sequences) = one_shard(7);
    let table = MemoryLeaseTable::new();
    let basket = Basket::open();
    let by_size = buffer(basket.clone()).bytes(3);
    let run = Fleet::new(&stream, &table).process(by_size.every(Duration::from_millis(200)));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[6])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(
        basket.done(),
        [payloads(0..3), payloads(3..6), payloads(6..7)]
    );
    let causes: Vec<_> = basket.done.borrow().iter().map(|done| done.cause).collect();
    assert_eq!(
        causes,
        [FlushCause::Bytes, FlushCause::Bytes, FlushCause::Age]
    );
}

/// A key that is slow to flush holds up no other, and the checkpoint.
#[tokio::test]
async fn by_key_each_has_a_buffer_of_its_own() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let records = [
        ("a", "a1"),
        ("b", "b1"),
        ("b", "b2"),
        ("c", "c1"),
        ("a", "a2"),
        ("c", "c2"),
    ];
    let sequences = stream.put_many_to(&shard, records).unwrap();
    let table = MemoryLeaseTable::new();
    let (basket, gate) = Basket::gated();
    let by_key = buffer(basket.clone()).by_key(2).records(2).every(HOUR);
    let run = Fleet::new(&stream, &table).process(by_key);
    basket.until_begun(2).await;
    let begun = basket.begun.borrow().clone();
    let keys: Vec<_> = begun.iter().map(|begun| begun.key.clone()).collect();
    assert_eq!(
        keys,
        [Some("a".to_owned()), Some("b".to_owned())],
        "the two that were full first, and no third at the same time"
    );
    gate.add_permits(3);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[5])
    })
    .await;
    run.stop().await.unwrap();
    let mut done = basket.done();
    done.sort();
    assert_eq!(done, [["a1", "a2"], ["b1", "b2"], ["c1", "c2"]]);
}

#[tokio::test]
async fn at_a_shard_end_what_is_gathered_is_flushed_at_once() {
    let (stream, shard, _) = one_shard(3);
    stream.split_evenly(&shard).unwrap();
    let table = MemoryLeaseTable::new();
    let (basket, gate) = Basket::gated();
    let run = Fleet::new(&stream, &table).process(buffer(basket.clone()).every(HOUR));
    basket.until_begun(1).await;
    assert_ne!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::ShardEnd
    );
    gate.add_permits(1);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == Checkpoint::ShardEnd
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(basket.done(), [payloads(0..3)]);
    assert_eq!(basket.done.borrow()[0].cause, FlushCause::End);
}

#[tokio::test]
async fn a_reading_that_ends_flushes_what_is_gathered() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, basket) = (MemoryLeaseTable::new(), Basket::open());
    let run = Fleet::new(&stream, &table)
        .with(kcl_core::worker::Builder::until_caught_up)
        .process(buffer(basket.clone()).every(HOUR));
    run.ended().await.unwrap();
    assert_eq!(basket.done(), [payloads(0..3)]);
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
}

#[tokio::test]
async fn given_back_records_come_again_at_the_next_owner() {
    let (stream, shard, sequences) = one_shard(5);
    let (table, basket) = (MemoryLeaseTable::new(), Basket::open());
    let gathering = || buffer(basket.clone()).records(3).every(HOUR).give_back();
    let run = Fleet::new(&stream, &table).process(gathering());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    until("the rest", || gathered(&run) == 2).await;
    run.stop().await.unwrap();
    let lease = lease_of(&table, &shard).await;
    assert_eq!((lease.checkpoint, lease.owner), (at(&sequences[2]), None));
    stream.put_to(&shard, "5", "5").unwrap();
    let run = Fleet::new(&stream, &table).process(gathering());
    basket.until_done(6).await;
    run.stop().await.unwrap();
    assert_eq!(basket.done(), [payloads(0..3), payloads(3..6)]);
}

#[tokio::test]
async fn a_hand_over_flushes_what_is_gathered() {
    let stream = MemoryStream::new("orders", 2);
    for shard in stream.open_shards() {
        stream.put_to(&shard, "k", "gathered").unwrap();
    }
    let (table, basket) = (MemoryLeaseTable::new(), Basket::open());
    let worker = || Fleet::new(&stream, &table).process(buffer(basket.clone()).every(HOUR));
    let first = worker();
    until("both shards", || gathered(&first) == 2).await;
    let second = worker();
    first
        .heard
        .wait_for("the hand-over", |event| {
            matches!(event, Event::LeaseHandedOver { .. })
        })
        .await;
    assert_eq!(basket.payloads(), ["gathered"], "that of one of them");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    assert_eq!(basket.payloads(), ["gathered"; 2], "and none twice");
}

/// A flush that fails in a stop is not tried again, and frees its lease.
#[tokio::test]
async fn a_stop_gives_back_what_cannot_be_flushed() {
    let (stream, shard, _) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let basket = Basket::with(|_, _| Err(kcl_core::Failure::new("no")));
    let run = Fleet::new(&stream, &table).process(buffer(basket.clone()).every(HOUR));
    until("the records", || gathered(&run) == 3).await;
    let report = run.stop().await.unwrap();
    assert_eq!(report.count(Stopped::Drained), 1, "{report}");
    assert_eq!(basket.begun.borrow().len(), 1, "tried once");
    let lease = lease_of(&table, &shard).await;
    assert_eq!(
        (lease.checkpoint, lease.owner),
        (Checkpoint::TrimHorizon, None)
    );
}

/// Buffers that never fill, in less memory than their records take: the budget has them flushed, and
/// never holds more.
#[tokio::test]
async fn a_buffer_is_flushed_when_the_budget_has_no_room() {
    const MIB: usize = 1024 * 1024;
    let stream = MemoryStream::new("orders", 2);
    let data = Bytes::from(vec![b'x'; MIB / 2]);
    for shard in stream.open_shards() {
        stream
            .put_many_to(&shard, (0..40).map(|_| ("k", data.clone())))
            .unwrap();
    }
    for by_key in [false, true] {
        let (table, basket) = (MemoryLeaseTable::new(), Basket::open());
        let mut gathering = buffer(basket.clone()).bytes(u64::MAX).every(HOUR);
        if by_key {
            gathering = gathering.by_key(4);
        }
        let run = Fleet::new(&stream, &table)
            .with(|builder| {
                builder
                    .byte_budget(ByteBudget::new(10 * MIB).unwrap())
                    .until_caught_up()
            })
            .process(gathering);
        soon("the end of the stream", run.ended()).await.unwrap();
        assert_eq!(basket.payloads().len(), 80);
        let done = basket.done.borrow().clone();
        assert!(
            done.iter().any(|flush| flush.cause == FlushCause::Room),
            "{:?}",
            done.iter().map(|flush| flush.cause).collect::<Vec<_>>()
        );
    }
}

/// What is not flushed within the window is flushed, however little a key has.
#[tokio::test]
async fn the_window_bounds_what_waits_for_rare_keys() {
    let (stream, shard, sequences) = one_shard(100);
    let (table, basket) = (MemoryLeaseTable::new(), Basket::open());
    let by_key = buffer(basket.clone()).by_key(8).records(5).window(10);
    let run = Fleet::new(&stream, &table).process(by_key.every(HOUR));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint >= at(&sequences[89])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(basket.payloads().len(), 100, "each once");
}

#[tokio::test]
async fn a_flush_beyond_the_budget_of_a_handler_costs_the_lease() {
    let (stream, _, _) = one_shard(1);
    let (basket, gate) = Basket::gated();
    let run = Fleet::with_short_failover(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .process(buffer(basket.clone()).records(1));
    basket.until_begun(1).await;
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    gate.add_permits(10);
    basket.until_begun(2).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn settings_of_buffers_that_make_no_sense_are_refused() {
    let (stream, _, _) = one_shard(0);
    let build = |every| {
        kcl_core::Worker::builder()
            .stream("orders")
            .source(stream.clone())
            .application("tests")
            .lease_table(MemoryLeaseTable::new())
            .processor(buffer(Basket::open()).every(every))
            .build()
            .map_err(|error| error.to_string())
    };
    let refused = build(Duration::ZERO).unwrap_err();
    assert!(
        refused.contains("`Buffered::every` of no time"),
        "{refused}"
    );
    build(Duration::from_millis(1)).unwrap();
}

#[tokio::test]
async fn the_first_failed_flush_stops_a_worker_that_is_to_stop() {
    let (stream, shard, sequences) = one_shard(4);
    let table = MemoryLeaseTable::new();
    let basket = Basket::with(|payloads, records| {
        let bad = payloads.iter().position(|payload| payload == "2");
        match bad {
            Some(bad) => Err(kcl_core::Failure::at(&records[bad], "no")),
            None => Ok(()),
        }
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(kcl_core::OnFailure::Stop))
        .process(buffer(basket.clone()).records(4));
    let error = run.ended().await.unwrap_err();
    assert!(
        matches!(&error, RunError::Handler { at: Some(position), .. } if position.sequence == sequences[2]),
        "{error}"
    );
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[1]),
        "what precedes it is done"
    );
    assert_eq!(basket.begun.borrow().len(), 1);
}
