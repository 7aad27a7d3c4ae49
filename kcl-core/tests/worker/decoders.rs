//! Handlers behind a decoder, and what becomes of records that it makes nothing of.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::handler::{
    DecodedBufferHandler, DecodedHandler, Discarded, FlushContext, Permanent, RecordContext,
    Retries, bisect, buffer, by_key, decode, decode_buffer, in_order,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Record};
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunError};
use kcl_core::{BoxError, Failure, RecordProcessor};

use crate::support::{
    Desk, Fleet, LetterBox, at, lease_of, locked, one_shard, until, wait_for_lease,
};

/// Writes down the numbers that it is given, each call in a list.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<Vec<Vec<u64>>>>);

impl DecodedHandler for Numbers {
    type Value = u64;

    async fn handle(&self, number: u64, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
        locked(&self.0).push(vec![number]);
        Ok(())
    }
}

impl DecodedBufferHandler for Numbers {
    type Value = u64;

    async fn flush(
        &self,
        numbers: Vec<u64>,
        records: &[Record],
        _: &FlushContext,
    ) -> Result<(), Failure> {
        assert_eq!(numbers.len(), records.len());
        locked(&self.0).push(numbers);
        Ok(())
    }
}

fn number(record: &Record) -> Result<u64, BoxError> {
    assert!(&record.data[..] != b"panic", "no number at all");
    Ok(std::str::from_utf8(&record.data)?.parse()?)
}

fn quick(attempts: u32) -> Retries {
    Retries::attempts(attempts).pause(Duration::from_millis(1), Duration::from_millis(4))
}

/// What a record that is not a number says of itself as a dead letter.
fn no_number(payload: &str) -> (String, Discarded, u32, String) {
    let why = match payload {
        "panic" => "it panicked: no number at all",
        _ => "invalid digit found in string",
    };
    let error = format!("the record cannot be decoded: {why}");
    (payload.to_owned(), Discarded::Permanent, 1, error)
}

#[tokio::test]
async fn what_cannot_be_decoded_has_no_second_attempt() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let records = ["1", "two", "3", "panic", "5"].map(|text| ("k", text));
    let sequences = stream.put_many_to(&shard, records).unwrap();
    let (table, numbers, letters) = (
        MemoryLeaseTable::new(),
        Numbers::default(),
        LetterBox::default(),
    );
    let handler = decode(number, numbers.clone());
    let run = Fleet::new(&stream, &table)
        .process(by_key(4, handler).retries(quick(5).dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[4])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&numbers.0), [[1], [3], [5]]);
    assert_eq!(
        *locked(&letters.told),
        [no_number("two"), no_number("panic")]
    );
}

/// It is tried again, as any record is, while its dead letter is not taken.
#[tokio::test]
async fn what_cannot_be_decoded_stays_until_its_letter_is_taken() {
    let (stream, shard, _) = one_shard(0);
    let bad = stream.put_to(&shard, "k", "two").unwrap();
    let (table, letters) = (MemoryLeaseTable::new(), LetterBox::default());
    *locked(&letters.refuses) = 3;
    let handler = decode(number, Numbers::default());
    let run = Fleet::new(&stream, &table)
        .process(in_order(handler).retries(quick(1).dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&bad)).await;
    let refused =
        |event: &Event| matches!(event, Event::DeadLetterRefused { at, .. } if at.sequence == bad);
    until("the refusals to be told", || run.heard.count(refused) == 3).await;
    run.stop().await.unwrap();
    assert_eq!(locked(&letters.told).len(), 1);
    assert_eq!(locked(&letters.told)[0].2, 4, "once for each refusal");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_skipped_or_stops_the_worker() {
    for skips in [true, false] {
        let (stream, shard, sequences) = one_shard(2);
        let bad = stream.put_to(&shard, "k", "two").unwrap();
        let last = stream.put_to(&shard, "k", "3").unwrap();
        let table = MemoryLeaseTable::new();
        let retries = if skips { quick(9).skip() } else { quick(9) };
        let handler = decode(number, Numbers::default());
        let run = Fleet::new(&stream, &table).process(in_order(handler).retries(retries));
        if skips {
            wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
            let skipped = |event: &Event| matches!(event, Event::RecordSkipped { .. });
            assert_eq!(run.heard.count(skipped), 1);
            run.stop().await.unwrap();
        } else {
            let heard = run.heard.clone();
            let error = run.ended().await.unwrap_err();
            assert!(
                matches!(&error, RunError::Handler { at: Some(at), .. } if *at == bad.clone().into()),
                "{error}"
            );
            assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[1]));
            let failed = |event: &Event| matches!(event, Event::HandlerFailed { .. });
            assert_eq!(heard.count(failed), 1, "one attempt");
        }
    }
}

/// Nothing says what else could become of it.
#[tokio::test]
async fn without_retries_what_cannot_be_decoded_is_tried_for_ever() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let records = [("bad", "two"), ("bad", "behind it"), ("good", "3")];
    stream.put_many_to(&shard, records).unwrap();
    let (table, numbers) = (MemoryLeaseTable::new(), Numbers::default());
    let run = Fleet::new(&stream, &table).process(by_key(4, decode(number, numbers.clone())));
    run.heard
        .wait_for("a third attempt", |event| {
            matches!(event, Event::HandlerFailed { attempt: 3, .. })
        })
        .await;
    until("the other key", || *locked(&numbers.0) == [[3]]).await;
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
    run.stop().await.unwrap();
}

/// Those around it are flushed, each once.
#[tokio::test]
async fn a_buffer_is_flushed_without_what_cannot_be_decoded() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let texts = ["bad", "1", "2", "worse", "4", "5", "6", "worst"];
    let sequences = stream
        .put_many_to(&shard, texts.map(|text| ("k", text)))
        .unwrap();
    let (table, numbers, letters) = (
        MemoryLeaseTable::new(),
        Numbers::default(),
        LetterBox::default(),
    );
    let gathering = buffer(decode_buffer(number, numbers.clone()))
        .records(8)
        .every(Duration::from_secs(3600))
        .retries(quick(5).dead_letter(letters.clone()));
    let run = Fleet::new(&stream, &table).process(gathering);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[7])
    })
    .await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&numbers.0), [vec![1, 2], vec![4, 5, 6]]);
    assert_eq!(
        *locked(&letters.told),
        ["bad", "worse", "worst"].map(no_number)
    );
}

/// An error of the application with [`Permanent`] as its cause.
#[derive(Debug)]
struct Wrapped(Permanent);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an order that makes no sense")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn a_handler_may_say_that_no_retry_helps() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, letters) = (MemoryLeaseTable::new(), LetterBox::default());
    let desk = Desk::new(|text, attempt| async move {
        match (&*text, attempt) {
            ("0", 1) => Err("it passes".into()),
            ("1", _) => Err(Wrapped(Permanent::new("of no customer")).into()),
            _ => Ok(()),
        }
    });
    let run = Fleet::new(&stream, &table)
        .process(by_key(4, desk.clone()).retries(quick(5).dead_letter(letters.clone())));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    run.stop().await.unwrap();
    let error = "an order that makes no sense: of no customer".to_owned();
    assert_eq!(
        *locked(&letters.told),
        [("1".to_owned(), Discarded::Permanent, 1, error)]
    );
    let mut ended = desk.ended();
    ended.sort();
    assert_eq!(ended, ["0", "2"]);
}

/// Fails at a batch with a `3`, without saying which record it is.
#[derive(Clone, Default)]
struct NoThrees(Arc<AtomicU32>);

impl RecordProcessor for NoThrees {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        if input.records.iter().any(|record| &record.data[..] == b"3") {
            self.0.fetch_add(1, Ordering::SeqCst);
            return Err(Failure::new(Permanent::new("no three")));
        }
        Ok(())
    }
}

/// The record is known only when it is alone: until then, that no retry helps says nothing.
#[tokio::test]
async fn of_a_batch_the_record_that_no_retry_helps_is_found_first() {
    let (stream, shard, sequences) = one_shard(8);
    let (table, letters, batches) = (
        MemoryLeaseTable::new(),
        LetterBox::default(),
        NoThrees::default(),
    );
    let seen = batches.clone();
    let processors = bisect(
        move |_: &ShardRef| batches.clone(),
        quick(9).dead_letter(letters.clone()),
    );
    let run = Fleet::new(&stream, &table).process(processors);
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[7])
    })
    .await;
    run.stop().await.unwrap();
    let dead = (
        "3".to_owned(),
        Discarded::Permanent,
        1,
        "no three".to_owned(),
    );
    assert_eq!(*locked(&letters.told), [dead]);
    assert_eq!(
        seen.0.load(Ordering::SeqCst),
        4,
        "eight, four, two and one, and no attempt more"
    );
}
