//! Records that fail for good: how often they are tried, and what becomes of them then.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::handler::{
    DeadLetter, Discarded, JsonLines, Letter, RecordContext, RecordHandler, Retries, by_key,
    in_order, unordered,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Record;
use kcl_core::worker::{Event, RunError};

use crate::support::{
    Desk, Fleet, Run, at, lease_of, locked, next_millisecond, one_shard, until, wait_for_lease,
};

/// Fails for ever at what begins with `bad`, and counts the attempts of everything.
#[derive(Clone, Default)]
struct Strict(Arc<Mutex<Vec<String>>>);

impl Strict {
    fn attempts(&self, payload: &str) -> usize {
        locked(&self.0)
            .iter()
            .filter(|seen| *seen == payload)
            .count()
    }
}

impl RecordHandler for Strict {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        let text = String::from_utf8(record.data.to_vec())?;
        locked(&self.0).push(text.clone());
        if text.starts_with("bad") {
            Err(format!("cannot read `{text}`").into())
        } else {
            Ok(())
        }
    }
}

/// The payload, why it is given up, its attempts, and what the last one said.
type KeptLetter = (String, Discarded, u32, Option<String>);

/// Keeps letters once its gate is open.
#[derive(Clone)]
struct Letters {
    open: Arc<Mutex<bool>>,
    refused: Arc<Mutex<u32>>,
    kept: Arc<Mutex<Vec<KeptLetter>>>,
}

impl Letters {
    fn new(open: bool) -> Self {
        Self {
            open: Arc::new(Mutex::new(open)),
            refused: Arc::default(),
            kept: Arc::default(),
        }
    }
}

impl DeadLetter for Letters {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        if !*locked(&self.open) {
            *locked(&self.refused) += 1;
            return Err("no room".into());
        }
        let data = String::from_utf8(letter.record.data.to_vec())?;
        locked(&self.kept).push((
            data,
            letter.why,
            letter.attempts,
            letter.error.map(str::to_owned),
        ));
        Ok(())
    }
}

fn quick(attempts: u32) -> Retries {
    Retries::attempts(attempts).pause(Duration::from_millis(1), Duration::from_millis(4))
}

#[tokio::test]
async fn a_poison_record_is_alone_in_the_dead_letters() {
    let (stream, shard, _) = one_shard(5_000);
    stream.put_to(&shard, "7", "bad").unwrap();
    let behind = stream
        .put_many_to(
            &shard,
            (5_000..10_000).map(|n| (format!("{}", n % 50), format!("{n}"))),
        )
        .unwrap();
    let (table, strict, letters) = (
        MemoryLeaseTable::new(),
        Strict::default(),
        Letters::new(true),
    );
    let run = Fleet::new(&stream, &table)
        .process(by_key(64, strict.clone()).retries(quick(3).dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&behind[4_999])
    })
    .await;
    run.heard
        .wait_for("the dead letter", |event| {
            matches!(event, Event::DeadLettered { attempts: 3, .. })
        })
        .await;
    run.stop().await.unwrap();
    let expected = (
        "bad".to_owned(),
        Discarded::AttemptsExhausted,
        3,
        Some("cannot read `bad`".to_owned()),
    );
    assert_eq!(*locked(&letters.kept), [expected]);
    let mut seen = locked(&strict.0).clone();
    seen.retain(|text| text != "bad");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        (seen.len(), locked(&strict.0).len()),
        (10_000, 10_003),
        "all others once"
    );
}

/// The record is tried again while nobody takes it.
#[tokio::test]
async fn the_checkpoint_passes_only_after_the_dead_letter_was_taken() {
    let (stream, shard, sequences) = one_shard(3);
    stream.put_to(&shard, "k", "bad").unwrap();
    let last = stream.put_to(&shard, "k", "behind it").unwrap();
    let (table, strict, letters) = (
        MemoryLeaseTable::new(),
        Strict::default(),
        Letters::new(false),
    );
    let run = Fleet::new(&stream, &table)
        .process(in_order(strict.clone()).retries(quick(2).dead_letter(letters.clone())));
    until("two refusals", || *locked(&letters.refused) >= 2).await;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    assert!(strict.attempts("bad") >= 3 && strict.attempts("behind it") == 0);
    // What a crash leaves of it is not lost either.
    run.crash().await;
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
    *locked(&letters.open) = true;
    let run: Run = Fleet::with_short_failover(&stream, &table)
        .process(in_order(strict.clone()).retries(quick(2).dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    assert_eq!(
        locked(&letters.kept)
            .iter()
            .map(|(data, ..)| &**data)
            .collect::<Vec<_>>(),
        ["bad"]
    );
    assert_eq!(strict.attempts("behind it"), 1);
}

#[tokio::test]
async fn after_its_attempts_a_record_is_skipped_or_stops_the_worker() {
    for skips in [true, false] {
        let (stream, shard, sequences) = one_shard(2);
        let bad = stream.put_to(&shard, "k", "bad").unwrap();
        let last = stream.put_to(&shard, "k", "behind it").unwrap();
        let (table, strict) = (MemoryLeaseTable::new(), Strict::default());
        let retries = if skips { quick(4).skip() } else { quick(4) };
        let run =
            Fleet::new(&stream, &table).process(unordered(1, strict.clone()).retries(retries));
        if skips {
            wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
            assert_eq!(
                run.heard
                    .count(|event| matches!(event, Event::RecordSkipped { .. })),
                1
            );
            run.stop().await.unwrap();
        } else {
            let error = run.ended().await.unwrap_err();
            assert!(
                matches!(&error, RunError::Handler { at: Some(at), .. } if *at == bad.clone().into()),
                "{error}"
            );
            assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[1]));
        }
        assert_eq!(strict.attempts("bad"), 4);
    }
}

#[tokio::test]
async fn a_record_that_is_too_old_is_not_tried() {
    let (stream, shard, _) = one_shard(3);
    let last = stream.put_to(&shard, "k", "bad").unwrap();
    next_millisecond().await;
    let (table, strict, letters) = (
        MemoryLeaseTable::new(),
        Strict::default(),
        Letters::new(true),
    );
    let retries = Retries::unlimited()
        .max_age(Duration::from_millis(1))
        .dead_letter(letters.clone());
    let run = Fleet::new(&stream, &table).process(in_order(strict.clone()).retries(retries));
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    let letter = |data: &str| (data.to_owned(), Discarded::TooOld, 0, None);
    assert_eq!(*locked(&letters.kept), ["0", "1", "2", "bad"].map(letter));
    assert!(locked(&strict.0).is_empty());
}

/// The handler was never called, however often the letter was refused.
#[tokio::test]
async fn a_record_too_old_has_no_attempt_however_often_refused() {
    let (stream, shard, sequences) = one_shard(1);
    next_millisecond().await;
    let (table, strict, letters) = (
        MemoryLeaseTable::new(),
        Strict::default(),
        Letters::new(false),
    );
    let retries = quick(5)
        .max_age(Duration::from_millis(1))
        .dead_letter(letters.clone());
    let run = Fleet::new(&stream, &table).process(in_order(strict.clone()).retries(retries));
    until("three refusals", || *locked(&letters.refused) >= 3).await;
    *locked(&letters.open) = true;
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[0])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(
        *locked(&letters.kept),
        [("0".to_owned(), Discarded::TooOld, 0, None)]
    );
    assert!(locked(&strict.0).is_empty());
}

/// An error, or what a panic is raised with, that panics itself.
#[derive(Debug)]
struct Nasty {
    when_asked: bool,
    when_dropped: bool,
}

impl std::fmt::Display for Nasty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert!(!self.when_asked, "a panic of the text");
        f.write_str("nasty")
    }
}

impl std::error::Error for Nasty {}

impl Drop for Nasty {
    fn drop(&mut self) {
        assert!(!self.when_dropped, "a panic of the drop");
    }
}

/// Fails once at each record, each time with an error that is nasty in another way.
struct Careless;

impl RecordHandler for Careless {
    async fn handle(&self, record: &Record, context: &RecordContext) -> Result<(), BoxError> {
        if context.attempt > 1 {
            return Ok(());
        }
        Err(match &record.data[..] {
            b"0" => Nasty {
                when_asked: true,
                when_dropped: false,
            },
            b"1" => Nasty {
                when_asked: false,
                when_dropped: true,
            },
            b"2" => Nasty {
                when_asked: true,
                when_dropped: true,
            },
            _ => std::panic::panic_any(Nasty {
                when_asked: false,
                when_dropped: true,
            }),
        }
        .into())
    }
}

#[tokio::test]
async fn an_error_that_panics_itself_is_a_failure_like_any() {
    let (stream, shard, sequences) = one_shard(4);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).process(by_key(1, Careless));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[3])
    })
    .await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::HandlerFailed { at: Some(_), .. })),
        4
    );
    let told = |text: &str| {
        run.heard.count(
            |event| matches!(event, Event::HandlerFailed { error, .. } if error.contains(text)),
        )
    };
    assert_eq!((told("a panic of the text"), told("nasty")), (2, 1));
    run.stop().await.unwrap();
}

/// Panics at the first letter, with what panics when it is dropped, and refuses the second one with
/// an error without a text.
#[derive(Clone, Default)]
struct NastyLetters(Arc<Mutex<u32>>);

impl DeadLetter for NastyLetters {
    async fn deliver(&self, _: Letter<'_>) -> Result<(), BoxError> {
        let delivered = {
            let mut delivered = locked(&self.0);
            *delivered += 1;
            *delivered
        };
        match delivered {
            1 => std::panic::panic_any(Nasty {
                when_asked: false,
                when_dropped: true,
            }),
            2 => Err(Nasty {
                when_asked: true,
                when_dropped: true,
            }
            .into()),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_dead_letter_refused_with_a_panic_comes_again() {
    let (stream, shard, _) = one_shard(1);
    let last = stream.put_to(&shard, "k", "bad").unwrap();
    let (table, letters) = (MemoryLeaseTable::new(), NastyLetters::default());
    let run = Fleet::new(&stream, &table)
        .process(in_order(Strict::default()).retries(quick(1).dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&letters.0), 3);
}

#[tokio::test]
async fn dead_letters_stand_in_a_file_before_the_checkpoint_passes() {
    let (stream, shard, _) = one_shard(20);
    let last = stream.put_to(&shard, "k", "bad \"one\"").unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("dead-{}.jsonl", std::process::id()));
    let (table, strict) = (MemoryLeaseTable::new(), Strict::default());
    let retries = quick(2).dead_letter(JsonLines::append(&path).unwrap());
    let run = Fleet::new(&stream, &table).process(by_key(8, strict.clone()).retries(retries));
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    let lines = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    run.stop().await.unwrap();
    let line: serde_json::Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!(
        (&line["attempts"], &line["stream"]),
        (&2.into(), &"orders".into())
    );
    assert_eq!(line["error"], "cannot read `bad \"one\"`");
}

/// An attempt that hangs has failed, and its future is dropped.
#[tokio::test]
async fn an_attempt_beyond_its_limit_has_failed() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let (desk, _gate) = Desk::holding("0");
    let letters = Letters::new(true);
    let retries = quick(2)
        .attempt_limit(Duration::from_millis(50))
        .dead_letter(letters.clone());
    let run = Fleet::new(&stream, &table).process(in_order(desk.clone()).retries(retries));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[1])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(desk.begun(), ["0", "0", "1"]);
    let said = "it took longer than the 50ms that an attempt may take, and was ended";
    let letter = (
        "0".to_owned(),
        Discarded::AttemptsExhausted,
        2,
        Some(said.to_owned()),
    );
    assert_eq!(*locked(&letters.kept), [letter]);
}

#[tokio::test]
async fn a_limit_of_no_time_for_an_attempt_is_refused() {
    let (stream, _, _) = one_shard(0);
    let refused = kcl_core::Worker::builder()
        .stream("orders")
        .source(stream)
        .application("tests")
        .lease_table(MemoryLeaseTable::new())
        .processor(
            in_order(Strict::default()).retries(quick(1).attempt_limit(Duration::from_micros(999))),
        )
        .build()
        .map_err(|error| error.to_string())
        .unwrap_err();
    assert!(
        refused.contains("`Retries::attempt_limit` of 999µs (at least 1ms is allowed)"),
        "{refused}"
    );
}
