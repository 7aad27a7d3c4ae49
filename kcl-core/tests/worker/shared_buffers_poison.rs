//! Flushes of a shared buffer that fail: what each shard is told, and what is given up.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kcl_core::handler::{Discarded, Retries, shared_buffer};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Checkpoint;
use kcl_core::processor::LossReason;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunError, StreamConfig};
use kcl_core::{Failure, OnFailure};

use crate::support::{
    Fleet, LetterBox, Run, SharedBasket, ToldLetter, locked, next_millisecond, until,
};

use super::shared_buffers::{HOUR, Two};

/// The failing record is found among those of all shards, and given up alone.
#[tokio::test]
async fn poison_in_a_shared_buffer_is_alone_in_the_dead_letters() {
    for says_which in [false, true] {
        let two = Two::with(40);
        let basket = SharedBasket::with(move |records| {
            let bad = records
                .iter()
                .find(|one| [&b"a7"[..], b"b30"].contains(&&one.record.data[..]));
            match bad {
                Some(bad) if says_which => Err(bad.failed("cannot read it")),
                Some(_) => Err(Failure::new("cannot read it")),
                None => Ok(()),
            }
        });
        let letters = LetterBox::default();
        let retries = Retries::attempts(3)
            .pause(Duration::from_millis(1), Duration::from_millis(4))
            .dead_letter(letters.clone());
        let gathering = shared_buffer(basket.clone()).records(80).retries(retries);
        let run = two.process(gathering.every(HOUR));
        two.is_stored(0, 39).await;
        two.is_stored(1, 39).await;
        run.stop().await.unwrap();
        let mut dead = locked(&letters.kept).clone();
        dead.sort();
        assert_eq!(dead, ["a7", "b30"]);
        assert!(locked(&letters.told).iter().all(|letter| letter.2 == 3));
        if !says_which {
            let mut done = basket.done().concat();
            done.sort();
            done.dedup();
            assert_eq!((done.len(), basket.done().concat().len()), (78, 78));
        }
    }
}

/// It was told of each of them, and each half ends it for its own.
#[tokio::test]
async fn a_failure_of_several_shards_is_over_in_each() {
    let mut two = Two::with(0);
    let calls = AtomicU32::new(0);
    let basket = SharedBasket::with(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Failure::new("busy")),
        _ => Ok(()),
    });
    let run = two.process(shared_buffer(basket.clone()).records(4).every(HOUR));
    two.put_in_order(&run).await;
    for shard in [0, 1] {
        two.is_stored(shard, 1).await;
    }
    let halves = [vec!["a0", "a1"], vec!["b0", "b1"]];
    assert_eq!(basket.done(), halves, "one shard each");
    let failures = |run: &Run| -> Vec<u32> {
        let shards = run.worker.status().shards;
        shards.values().map(|shard| shard.failures).collect()
    };
    assert_eq!(failures(&run), [0, 0]);
    let has_recovered =
        |event: &Event| matches!(event, Event::HandlerRecovered { failures: 1, .. });
    until("both", || run.heard.count(has_recovered) == 2).await;
    let heard = run.heard.clone();
    run.stop().await.unwrap();
    let has_failed = |event: &Event| matches!(event, Event::HandlerFailed { attempt: 1, .. });
    let told = (heard.count(has_failed), heard.count(has_recovered));
    assert_eq!(told, (2, 2), "once a shard");
}

/// The other shards wait no longer than for the lease of its own.
#[tokio::test]
async fn a_dead_letter_that_hangs_costs_the_lease_of_its_shard() {
    let mut two = Two::with(0);
    let basket = SharedBasket::with(|records| {
        let bad = records.iter().find(|one| &one.record.data[..] == b"a0");
        bad.map_or(Ok(()), |bad| Err(bad.failed("cannot read it")))
    });
    let retries = Retries::attempts(1).dead_letter(LetterBox::hanging_once());
    let gathering = shared_buffer(basket.clone()).records(4).every(HOUR);
    let run = Fleet::new(&two.stream, &two.table)
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .process(gathering.retries(retries));
    two.put_in_order(&run).await;
    let mine = two.shards[0].clone();
    run.heard
        .wait_for("the loss", |event| {
            let no_progress = LossReason::NoProgress;
            matches!(event, Event::LeaseLost { lease, reason }
                if lease.shard == mine && *reason == no_progress)
        })
        .await;
    two.is_stored(1, 1).await;
    assert_eq!(two.checkpoint(0).await, Checkpoint::TrimHorizon);
    assert_eq!(basket.done(), [["b0", "b1"]]);
    let lost = |event: &Event| matches!(event, Event::LeaseLost { .. });
    assert_eq!(run.heard.count(lost), 1);
    run.stop().await.unwrap();
}

/// Two streams may have records with the same position.
#[tokio::test]
async fn a_failed_record_is_known_by_its_shard_as_well() {
    let table = MemoryLeaseTable::new();
    let (basket, letters) = (
        SharedBasket::with(|records| {
            let bad = records.iter().find(|one| &one.record.data[..] == b"us 1");
            bad.map_or(Ok(()), |bad| Err(bad.failed("no")))
        }),
        LetterBox::default(),
    );
    let streams = ["eu", "us"].map(|name| {
        let stream = MemoryStream::new(name, 1);
        let shard = stream.open_shards().remove(0);
        let put = [0, 1, 2].map(|number| {
            let payload = format!("{name} {number}");
            stream.put_to(&shard, "k", payload).unwrap()
        });
        (put, StreamConfig::new(name).source(stream))
    });
    assert_eq!(streams[0].0, streams[1].0, "the same positions");
    let streams = streams.map(|(_, stream)| stream);
    let retries = Retries::attempts(1).dead_letter(letters.clone());
    let gathering = shared_buffer(basket.clone()).records(6).retries(retries);
    let run = Fleet::of_streams(&table, streams.into()).process(gathering.every(HOUR));
    basket.until_begun(2).await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&letters.kept), ["us 1"]);
    assert_eq!(basket.begun.borrow().len(), 2, "no halves");
}

#[tokio::test]
async fn what_is_too_old_is_not_flushed() {
    let two = Two::with(2);
    next_millisecond().await;
    let (basket, letters) = (SharedBasket::open(), LetterBox::default());
    let retries = Retries::attempts(3)
        .max_age(Duration::ZERO)
        .dead_letter(letters.clone());
    let gathering = shared_buffer(basket.clone()).records(4).retries(retries);
    let run = two.process(gathering.every(HOUR));
    for shard in [0, 1] {
        two.is_stored(shard, 1).await;
    }
    run.stop().await.unwrap();
    assert!(basket.begun.borrow().is_empty());
    let told = locked(&letters.told).clone();
    assert_eq!(told.len(), 4);
    let is_old = |letter: &ToldLetter| (letter.1, letter.2) == (Discarded::TooOld, 0);
    assert!(told.iter().all(is_old), "{told:?}");
}

#[tokio::test]
async fn a_failed_shared_flush_stops_a_worker_that_is_to_stop() {
    for says_which in [true, false] {
        let two = Two::with(2);
        let basket = SharedBasket::with(move |records| {
            Err(if says_which {
                records[0].failed("no")
            } else {
                Failure::new("no")
            })
        });
        let run = Fleet::new(&two.stream, &two.table)
            .with(|builder| builder.on_failure(OnFailure::Stop))
            .process(shared_buffer(basket.clone()).records(4));
        let error = run.ended().await.unwrap_err();
        let RunError::Handler { at, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(at.is_some(), says_which, "{error}");
        assert_eq!(basket.begun.borrow().len(), 1, "the first failure");
    }
}
