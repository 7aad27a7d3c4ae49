//! Flushes that fail: the record that fails is found by halving, and given up alone.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::Failure;
use kcl_core::handler::{DeadLetter, Letter, Retries, buffer};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::processor::LossReason;
use kcl_core::worker::{Event, RunError};

use crate::support::{
    Basket, Fleet, LetterBox, at, lease_of, locked, one_shard, until, wait_for_lease,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Keeps the payload and the attempts of letters, once it may.
#[derive(Clone, Default)]
struct KeptLetters {
    refuses: Arc<Mutex<u32>>,
    kept: Arc<Mutex<Vec<(String, u32, String)>>>,
}

impl DeadLetter for KeptLetters {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let left = locked(&self.refuses).checked_sub(1);
        if let Some(left) = left {
            *locked(&self.refuses) = left;
            return Err("no room".into());
        }
        let data = String::from_utf8(letter.record.data.to_vec())?;
        let error = letter.error.unwrap_or_default().to_owned();
        locked(&self.kept).push((data, letter.attempts, error));
        Ok(())
    }
}

/// Fails whenever one of these is among the records; says which, or not.
fn poisoned(bad: &'static [&'static str], says_which: bool) -> Basket {
    Basket::with(move |payloads, records| {
        let found = payloads
            .iter()
            .position(|payload| bad.contains(&payload.as_str()));
        match found {
            Some(index) if says_which => Err(Failure::at(&records[index], "cannot read it")),
            Some(_) => Err(Failure::new("cannot read it")),
            None => Ok(()),
        }
    })
}

fn quick(attempts: u32) -> Retries {
    Retries::attempts(attempts).pause(Duration::from_millis(1), Duration::from_millis(4))
}

#[tokio::test]
async fn poison_in_a_buffer_is_alone_in_the_dead_letters() {
    for says_which in [false, true] {
        let (stream, shard, sequences) = one_shard(2_000);
        let table = MemoryLeaseTable::new();
        let (basket, letters) = (
            poisoned(&["700", "1999"], says_which),
            KeptLetters::default(),
        );
        let gathering = buffer(basket.clone()).records(500).every(HOUR);
        let run = Fleet::new(&stream, &table)
            .process(gathering.retries(quick(3).dead_letter(letters.clone())));
        wait_for_lease(&table, &shard, |lease| {
            lease.checkpoint == at(&sequences[1_999])
        })
        .await;
        run.stop().await.unwrap();
        let letter = |text: &str| (text.to_owned(), 3, "cannot read it".to_owned());
        assert_eq!(*locked(&letters.kept), [letter("700"), letter("1999")]);
        let mut done = basket.payloads();
        if says_which {
            // The call that failed at a record has done those before it, and says so by its error.
            assert_eq!(done.len() + 200 + 499, 1_998, "{}", done.len());
        } else {
            assert_eq!(done.len(), 1_998, "all others once");
            done.dedup();
            let numbers: Vec<u32> = done.iter().map(|text| text.parse().unwrap()).collect();
            assert!(numbers.is_sorted(), "in order");
        }
        let most = 4 + 2 * (10 + 3 + 10);
        assert!(
            basket.begun.borrow().len() <= most,
            "{} calls",
            basket.begun.borrow().len()
        );
    }
}

#[tokio::test]
async fn a_buffer_passes_poison_only_when_its_letter_was_taken() {
    let (stream, shard, sequences) = one_shard(4);
    let table = MemoryLeaseTable::new();
    let (basket, letters) = (poisoned(&["2"], false), KeptLetters::default());
    *locked(&letters.refuses) = u32::MAX;
    let gathering = buffer(basket.clone()).records(4).every(HOUR);
    let run = Fleet::new(&stream, &table)
        .process(gathering.retries(quick(1).dead_letter(letters.clone())));
    until("refusals", || u32::MAX - *locked(&letters.refuses) >= 3).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[1])
    })
    .await;
    assert_eq!(basket.payloads(), ["0", "1"], "in order");
    *locked(&letters.refuses) = 0;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[3])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(locked(&letters.kept).len(), 1);
    assert_eq!(basket.payloads(), ["0", "1", "3"]);
}

#[tokio::test]
async fn a_buffer_stops_or_skips_at_the_record_that_fails() {
    let (stream, shard, sequences) = one_shard(8);
    let table = MemoryLeaseTable::new();
    let basket = poisoned(&["5"], false);
    let gathering = || buffer(basket.clone()).records(8).every(HOUR);
    let run = Fleet::new(&stream, &table).process(gathering().retries(quick(2).stop()));
    let error = run.ended().await.unwrap_err();
    assert!(
        matches!(&error, RunError::Handler { at: Some(position), .. } if position.sequence == sequences[5]),
        "{error}"
    );
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[4]));
    let run = Fleet::new(&stream, &table).process(
        gathering()
            .every(Duration::from_millis(20))
            .retries(quick(2).skip()),
    );
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[7])
    })
    .await;
    run.heard
        .wait_for("the skip", |event| {
            matches!(event, Event::RecordSkipped { .. })
        })
        .await;
    run.stop().await.unwrap();
}

/// A flush that hangs is an attempt that failed, and its future is dropped.
#[tokio::test]
async fn a_flush_beyond_the_limit_of_an_attempt_has_failed() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let (basket, _gate) = Basket::gated();
    let letters = KeptLetters::default();
    let retries = quick(1).attempt_limit(Duration::from_millis(50));
    let gathering = buffer(basket.clone()).records(2).every(HOUR);
    let run = Fleet::new(&stream, &table)
        .process(gathering.retries(retries.dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[1])
    })
    .await;
    run.stop().await.unwrap();
    let kept = locked(&letters.kept).clone();
    assert_eq!(kept.len(), 2);
    assert_eq!(
        kept[0].2,
        "it took longer than the 50ms that an attempt may take, and was ended"
    );
}

/// No call of the handler is running then.
#[tokio::test]
async fn a_dead_letter_beyond_the_budget_costs_a_buffer_its_lease() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let (basket, letters) = (poisoned(&["1"], false), LetterBox::hanging_once());
    let gathering = buffer(basket).records(1).every(HOUR);
    let run = Fleet::with_short_failover(&stream, &table)
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .process(gathering.retries(quick(1).dead_letter(letters.clone())));
    run.heard
        .wait_for("the loss", |event| {
            let no_progress = LossReason::NoProgress;
            matches!(event, Event::LeaseLost { reason, .. } if *reason == no_progress)
        })
        .await;
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[0]));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[1])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&letters.kept), ["1"], "at the next owner");
}

#[tokio::test]
async fn a_record_too_old_is_given_up_without_a_flush() {
    let (stream, shard, _) = one_shard(2);
    crate::support::next_millisecond().await;
    let table = MemoryLeaseTable::new();
    let (basket, letters) = (Basket::open(), KeptLetters::default());
    let retries = quick(3)
        .max_age(Duration::ZERO)
        .dead_letter(letters.clone());
    let gathering = buffer(basket.clone()).records(2).every(HOUR);
    let run = Fleet::new(&stream, &table).process(gathering.retries(retries));
    until("the letters", || locked(&letters.kept).len() == 2).await;
    run.stop().await.unwrap();
    assert!(basket.begun.borrow().is_empty());
    assert_eq!(locked(&letters.kept)[0].1, 0);
    let _ = shard;
}
