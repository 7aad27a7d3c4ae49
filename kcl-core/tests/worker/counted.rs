//! What adapters count: in the metrics and in the status.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use kcl_core::Failure;
use kcl_core::handler::{Permanent, Retries, bisect, buffer, by_key, unordered};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::LeaseKey;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::ShardStatus;
use kcl_core::{RecordProcessor, RecordProcessorFactory};

use crate::support::{Basket, Counters, Desk, Fleet, LetterBox, Run, locked, until};

/// A stream of this name with one shard.
struct Counted {
    name: &'static str,
    stream: MemoryStream,
    counters: &'static Counters,
}

impl Counted {
    fn new(name: &'static str, records: &[(&str, &str)]) -> Self {
        let stream = MemoryStream::new(name, 1);
        let shard = stream.open_shards().remove(0);
        let owned = |(key, data): &(&str, &str)| ((*key).to_owned(), (*data).to_owned());
        stream
            .put_many_to(&shard, records.iter().map(owned))
            .unwrap();
        Self {
            name,
            stream,
            counters: Counters::of_this_process(),
        }
    }

    fn process(&self, processors: impl RecordProcessorFactory) -> Run {
        Fleet::new(&self.stream, &MemoryLeaseTable::new())
            .with(|builder| builder.stream(self.name))
            .process(processors)
    }

    fn status(&self, run: &Run) -> ShardStatus {
        let shard = LeaseKey::single(self.stream.open_shards().remove(0));
        let status = run.worker.status();
        status.shards.get(&shard).cloned().expect("it is held")
    }

    /// Whether the shard is held, and its status is as wanted.
    fn shows(&self, run: &Run, wanted: impl Fn(&ShardStatus) -> bool) -> bool {
        run.worker.status().shards.values().any(wanted)
    }

    /// How often, for this cause.
    fn count(&self, name: &str, cause: &str) -> u64 {
        self.counters.by(name, self.name, cause)
    }

    fn gauge(&self, name: &str) -> f64 {
        let shown = self.counters.gauges(name, &[("stream", self.name)]);
        shown.first().copied().unwrap_or(f64::NAN)
    }
}

fn quick(attempts: u32) -> Retries {
    Retries::attempts(attempts).pause(Duration::from_millis(1), Duration::from_millis(4))
}

/// Fails at `bad`, and for good at `broken`.
fn strict() -> Desk {
    Desk::new(|text, _| async move {
        match &*text {
            "bad" => Err("no".into()),
            "broken" => Err(Permanent::new("never").into()),
            _ => Ok(()),
        }
    })
}

const RECORDS: [(&str, &str); 4] = [("a", "1"), ("a", "bad"), ("b", "broken"), ("c", "4")];

#[tokio::test]
async fn retries_and_dead_letters_are_counted_with_their_causes() {
    let scene = Counted::new("counted-letters", &RECORDS);
    let letters = LetterBox::default();
    *locked(&letters.refuses) = 1;
    let retries = quick(3).dead_letter(letters.clone());
    let run = scene.process(by_key(1, strict()).retries(retries));
    until("two letters", || {
        scene.shows(&run, |shard| shard.dead_letters == 2)
    })
    .await;
    let status = scene.status(&run);
    // Two of the attempts that were set, and one after the refusal: of the one or of the other.
    assert_eq!((status.retries, status.skipped), (3, 0), "{status:?}");
    assert_eq!(scene.count("kcl_handler_retries_total", ""), 3);
    let dead = |cause| scene.count("kcl_dead_letters_total", cause);
    assert_eq!((dead("attempts_exhausted"), dead("permanent")), (1, 1));
    assert_eq!(scene.count("kcl_dead_letters_refused_total", ""), 1);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_skipped_is_counted_by_lanes_and_by_the_worker() {
    let scene = Counted::new("counted-skips", &RECORDS);
    let run = scene.process(unordered(4, strict()).retries(quick(2).skip()));
    until("two skips", || {
        scene.shows(&run, |shard| shard.skipped == 2)
    })
    .await;
    let skipped = |cause| scene.count("kcl_records_skipped_total", cause);
    assert_eq!(
        (skipped("attempts_exhausted"), skipped("permanent")),
        (1, 1)
    );
    run.stop().await.unwrap();

    struct Batches;
    impl RecordProcessor for Batches {
        async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
            let bad = input
                .records
                .iter()
                .find(|record| &record.data[..] == b"bad");
            bad.map_or(Ok(()), |bad| Err(Failure::at(bad, "no")))
        }
    }
    let scene = Counted::new("counted-batches", &RECORDS);
    let run = Fleet::new(&scene.stream, &MemoryLeaseTable::new())
        .with(|builder| {
            builder
                .stream(scene.name)
                .on_failure(kcl_core::OnFailure::Skip)
        })
        .process(|_: &ShardRef| Batches);
    until("a skip", || scene.shows(&run, |shard| shard.skipped == 1)).await;
    assert_eq!(
        scene.count("kcl_records_skipped_total", "attempts_exhausted"),
        1
    );
    run.stop().await.unwrap();

    let scene = Counted::new("counted-halves", &RECORDS);
    let run = scene.process(bisect(|_: &ShardRef| Batches, quick(4).skip()));
    until("a skip", || scene.shows(&run, |shard| shard.skipped == 1)).await;
    assert_eq!(scene.status(&run).retries, 3, "four attempts");
    assert_eq!(scene.count("kcl_handler_retries_total", ""), 3);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn lanes_are_shown_while_they_have_records() {
    let keys = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "5")];
    for (name, by_keys, lanes) in [("lanes-by-key", true, 3), ("lanes-unordered", false, 5)] {
        let scene = Counted::new(name, &keys);
        let (desk, gate) = Desk::gated();
        let adapter = if by_keys {
            by_key(2, desk.clone())
        } else {
            unordered(2, desk.clone())
        };
        let run = scene.process(adapter);
        until("two at work", || {
            scene.shows(&run, |shard| shard.at_work == 2)
        })
        .await;
        assert_eq!(scene.status(&run).lanes, lanes, "{name}");
        until("the gauge", || {
            scene.gauge("kcl_handler_lanes").to_bits() == (lanes as f64).to_bits()
        })
        .await;
        gate.add_permits(5);
        until("the end of the work", || {
            scene.shows(&run, |shard| shard.lanes == 0)
        })
        .await;
        run.stop().await.unwrap();
        assert!(scene.gauge("kcl_handler_lanes").is_nan(), "{name}");
    }
}

#[tokio::test]
async fn flushes_are_counted_by_their_causes() {
    let scene = Counted::new("counted-flushes", &RECORDS);
    let gathering = buffer(Basket::open())
        .by_key(1)
        .records(2)
        .every(Duration::from_secs(3600));
    let run = scene.process(gathering);
    until("the full one", || {
        scene.count("kcl_buffer_flushes_total", "records") == 1
    })
    .await;
    until("the others", || scene.shows(&run, |shard| shard.lanes == 2)).await;
    run.stop().await.unwrap();
    assert_eq!(scene.count("kcl_buffer_flushes_total", "leaving"), 2);
}
