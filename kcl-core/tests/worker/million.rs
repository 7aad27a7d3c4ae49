//! A poison record among a million, and what lanes gain with a slow handler. Both take a while:
//!
//! ```text
//! cargo test --release -p kcl-core --no-default-features --test it million -- --ignored --nocapture --test-threads 1
//! ```
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kcl_core::handler::{RecordContext, RecordHandler, Retries, bisect, by_key};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Record, SequenceNumber};
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::Event;
use kcl_core::{BoxError, Failure, RecordProcessor, RecordProcessorFactory};

use crate::support::{Fleet, LetterBox, at, lease_of, locked, wait_for_lease};

const ALL: usize = 1_000_000;
const POISON: usize = 777_777;

/// Counts how often each record was done; does all of a batch or nothing, and never the poison.
#[derive(Clone)]
struct Tally {
    done: Arc<Vec<AtomicU8>>,
    poison: Arc<AtomicUsize>,
}

impl Tally {
    fn new() -> Self {
        Self {
            done: Arc::new((0..ALL).map(|_| AtomicU8::new(0)).collect()),
            poison: Arc::default(),
        }
    }

    fn number(record: &Record) -> usize {
        let digits = std::str::from_utf8(&record.data).unwrap();
        digits.parse().unwrap()
    }

    fn do_all(&self, records: &[Record]) -> Result<(), &'static str> {
        if records.iter().any(|record| Self::number(record) == POISON) {
            self.poison.fetch_add(1, Ordering::SeqCst);
            return Err("poison");
        }
        for record in records {
            self.done[Self::number(record)].fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// How many records were done so often.
    fn count(&self, wanted: impl Fn(u8) -> bool) -> usize {
        let times = self.done.iter().map(|times| times.load(Ordering::SeqCst));
        times.filter(|times| wanted(*times)).count()
    }
}

impl RecordHandler for Tally {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        Ok(self.do_all(std::slice::from_ref(record))?)
    }
}

impl RecordProcessor for Tally {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.do_all(&input.records).map_err(Failure::new)
    }
}

fn million() -> (MemoryStream, Vec<SequenceNumber>) {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let records = (0..ALL).map(|n| (format!("{}", n % 1_000), format!("{n}")));
    let put = stream.put_many_to(&shard, records).unwrap();
    (stream, put)
}

fn retries(letters: &LetterBox) -> Retries {
    Retries::attempts(3)
        .pause(Duration::from_millis(50), Duration::from_millis(100))
        .dead_letter(letters.clone())
}

async fn processed<P: RecordProcessorFactory>(
    name: &str,
    tally: &Tally,
    letters: &LetterBox,
    is_killed: bool,
    processors: impl Fn() -> P,
) {
    let (stream, put) = million();
    let shard = stream.open_shards().remove(0);
    let (table, begun) = (MemoryLeaseTable::new(), Instant::now());
    let mut run = Fleet::with_short_failover(&stream, &table).process(processors());
    let mut stored = 0;
    if is_killed {
        // By batch it is named only once it is alone, which is not at the first attempt.
        run.heard
            .wait_for("the poison", |event| {
                matches!(event, Event::HandlerFailed { at: Some(at), .. } if at.sequence == put[POISON])
            })
            .await;
        run.crash().await;
        let lease = lease_of(&table, &shard).await;
        stored = put.partition_point(|sequence| at(sequence) <= lease.checkpoint);
        run = Fleet::with_short_failover(&stream, &table).process(processors());
    }
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&put[ALL - 1])
    })
    .await;
    let took = begun.elapsed();
    run.stop().await.unwrap();
    let repeated = tally.count(|times| times > 1);
    println!("{name}: {took:?}, {repeated} records more than once, stored at the kill: {stored}");
    assert_eq!(tally.count(|times| times == 0), 1, "all but the poison");
    let again = |n: usize| tally.done[n].load(Ordering::SeqCst) > 1;
    assert!(!(0..stored).any(again), "what was stored comes no more");
    assert!(is_killed || repeated == 0, "each once");
    let letters = locked(&letters.told).clone();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((letters[0].0.as_str(), letters[0].2), ("777777", 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million records, four times: see the head of this file"]
async fn poison_among_a_million_is_given_up_alone() {
    for is_killed in [false, true] {
        let (tally, letters) = (Tally::new(), LetterBox::default());
        let name = format!("by lane, killed: {is_killed}");
        processed(&name, &tally, &letters, is_killed, || {
            by_key(256, tally.clone()).retries(retries(&letters))
        })
        .await;
        let attempts = tally.poison.load(Ordering::SeqCst);
        assert_eq!(attempts, if is_killed { 4 } else { 3 });

        let (tally, letters) = (Tally::new(), LetterBox::default());
        let name = format!("by batch, killed: {is_killed}");
        processed(&name, &tally, &letters, is_killed, || {
            let tally = tally.clone();
            bisect(move |_: &ShardRef| tally.clone(), retries(&letters))
        })
        .await;
    }
}

/// Calls another service that takes 20 ms.
#[derive(Clone, Default)]
struct SlowService(Arc<AtomicUsize>);

impl SlowService {
    async fn call(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl RecordHandler for SlowService {
    async fn handle(&self, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
        self.call().await;
        Ok(())
    }
}

impl RecordProcessor for SlowService {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for _ in &input.records {
            self.call().await;
        }
        Ok(())
    }
}

/// Records a second, from the first that is done to the last.
async fn rate<P: RecordProcessorFactory>(
    records: usize,
    slow: &SlowService,
    processors: impl Fn() -> P,
) -> f64 {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let kilobyte = vec![b'x'; 1_000];
    let all = (0..records).map(|n| (format!("{}", n % 1_000), kilobyte.clone()));
    stream.put_many_to(&shard, all).unwrap();
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).process(processors());
    let done = |wanted: usize| async move {
        while slow.0.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (slow.0.load(Ordering::SeqCst), Instant::now())
    };
    let (first, begun) = done(1).await;
    let (last, ended) = done(records).await;
    run.stop().await.unwrap();
    (last - first) as f64 / (ended - begun).as_secs_f64()
}

/// By lanes a shard does as many records as the handler allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: see the head of this file"]
async fn lanes_do_a_hundred_times_as_much_with_a_slow_handler() {
    let slow = SlowService::default();
    let one_by_one = rate(200, &slow, || {
        let slow = slow.clone();
        move |_: &ShardRef| slow.clone()
    })
    .await;
    for at_work in [16, 64, 256] {
        let slow = SlowService::default();
        let by_lane = rate(5_000, &slow, || by_key(at_work, slow.clone())).await;
        let ideal = at_work as f64 / 0.02;
        println!(
            "by_key({at_work}): {by_lane:.0} records a second, {:.1} % of the ideal; one by one {one_by_one:.1}, so {:.0} times",
            by_lane / ideal * 100.0,
            by_lane / one_by_one
        );
        if at_work == 256 {
            assert!(by_lane >= 100.0 * one_by_one);
        }
        assert!(by_lane >= 0.9 * ideal, "within a tenth of {ideal}");
    }
}
