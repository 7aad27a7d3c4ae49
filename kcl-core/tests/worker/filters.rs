//! Records that a filter keeps from the handler: they are done, and the checkpoint passes them only
//! with what precedes them.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kcl_core::handler::{buffer, by_key};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Record};
use kcl_core::worker::Event;

use crate::support::{Basket, Desk, Fleet, at, lease_of, one_shard, wait_for_lease};

fn is_even(record: &Record) -> bool {
    std::str::from_utf8(&record.data)
        .is_ok_and(|text| text.parse::<u32>().is_ok_and(|number| number % 2 == 0))
}

#[tokio::test]
async fn what_is_filtered_away_is_done_with_what_precedes_it() {
    let (stream, shard, sequences) = one_shard(10);
    let table = MemoryLeaseTable::new();
    let (desk, gate) = Desk::gated();
    let run = Fleet::new(&stream, &table).process(by_key(4, desk.clone()).filter(is_even));
    Desk::wait(&desk.begun, "four", |begun| begun.len() == 4).await;
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
    gate.add_permits(5);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[9])
    })
    .await;
    // Nothing but what is filtered away.
    let last = stream.put_to(&shard, "k", "11").unwrap();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun(), ["0", "2", "4", "6", "8"]);
}

#[tokio::test]
async fn what_is_filtered_away_takes_no_place_in_a_buffer() {
    let (stream, shard, sequences) = one_shard(10);
    let (table, basket) = (MemoryLeaseTable::new(), Basket::open());
    let gathering = buffer(basket.clone())
        .records(5)
        .every(Duration::from_secs(3600));
    let run = Fleet::new(&stream, &table).process(gathering.filter(is_even));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[9])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(basket.done(), [["0", "2", "4", "6", "8"]]);
}

/// It is asked again after a pause: nothing is passed by it.
#[tokio::test]
async fn a_filter_that_panics_fails_the_batch_and_loses_nothing() {
    static PANICS: AtomicBool = AtomicBool::new(true);
    let (stream, shard, sequences) = one_shard(4);
    let table = MemoryLeaseTable::new();
    let desk = Desk::new(|_, _| async { Ok(()) });
    let wants = |record: &Record| {
        assert!(
            !(&record.data[..] == b"2" && PANICS.load(Ordering::SeqCst)),
            "not this one"
        );
        true
    };
    let run = Fleet::new(&stream, &table).process(by_key(4, desk.clone()).filter(wants));
    let failed = |event: &Event| matches!(event, Event::HandlerFailed { error, .. } if error.contains("the filter of the records panicked"));
    run.heard.wait_for("the panic", failed).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[1])
    })
    .await;
    PANICS.store(false, Ordering::SeqCst);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[3])
    })
    .await;
    run.stop().await.unwrap();
    let mut begun = desk.begun();
    begun.sort();
    assert_eq!(begun, ["0", "1", "2", "3"], "each once");
}
