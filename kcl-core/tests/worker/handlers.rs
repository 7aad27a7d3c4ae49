//! Handlers of single records: in order, and when they fail.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::sync::Arc;
use std::time::Duration;

use kcl_core::handler::{RecordContext, RecordHandler, in_order};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Record;
use kcl_core::worker::Event;
use kcl_core::{BoxError, OnFailure};
use tokio::sync::watch;

use crate::support::{Fleet, PATIENCE, at, lease_of, one_shard, payloads, wait_for_lease};

/// Writes down the payload and the attempt of each record. `bad` fails, `panic` panics, both
/// always.
#[derive(Clone)]
struct Notes(Arc<watch::Sender<Vec<(String, u32)>>>);

impl Notes {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    fn all(&self) -> Vec<(String, u32)> {
        self.0.borrow().clone()
    }

    async fn wait_for(&self, what: &str, wanted: impl Fn(&[(String, u32)]) -> bool) {
        let mut notes = self.0.subscribe();
        let waited = tokio::time::timeout(PATIENCE, notes.wait_for(|notes| wanted(notes))).await;
        assert!(
            waited.is_ok(),
            "still waiting for {what}; noted: {:?}",
            self.all()
        );
    }
}

impl RecordHandler for Notes {
    async fn handle(&self, record: &Record, context: &RecordContext) -> Result<(), BoxError> {
        let text = String::from_utf8(record.data.to_vec())?;
        self.0
            .send_modify(|notes| notes.push((text.clone(), context.attempt)));
        assert!(text != "panic", "a panic of a handler");
        if text == "bad" {
            Err("a bad record".into())
        } else {
            Ok(())
        }
    }
}

#[tokio::test]
async fn in_order_each_record_is_handled_once_and_checkpointed() {
    let (stream, shard, sequences) = one_shard(50);
    let (table, notes) = (MemoryLeaseTable::new(), Notes::new());
    let run = Fleet::new(&stream, &table).process(in_order(notes.clone()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[49])
    })
    .await;
    run.stop().await.unwrap();
    let expected: Vec<_> = payloads(0..50)
        .into_iter()
        .map(|payload| (payload, 1))
        .collect();
    assert_eq!(notes.all(), expected);
}

/// What precedes it is done, what follows waits; its attempts are counted by record.
#[tokio::test]
async fn in_order_a_record_that_fails_holds_up_those_behind_it() {
    for poison in ["bad", "panic"] {
        let (stream, shard, sequences) = one_shard(2);
        stream.put_to(&shard, "k", poison).unwrap();
        stream.put_to(&shard, "k", "behind it").unwrap();
        let (table, notes) = (MemoryLeaseTable::new(), Notes::new());
        let run = Fleet::new(&stream, &table).process(in_order(notes.clone()));
        notes
            .wait_for("the third attempt", |notes| {
                notes.contains(&(poison.to_owned(), 3))
            })
            .await;
        run.stop().await.unwrap();
        assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[1]));
        let notes = notes.all();
        let expected = [("0", 1), ("1", 1), (poison, 1), (poison, 2), (poison, 3)];
        assert_eq!(
            notes[..5],
            expected.map(|(text, attempt)| (text.to_owned(), attempt))
        );
        assert!(
            notes.iter().all(|(text, _)| text != "behind it"),
            "{notes:?}"
        );
    }
}

#[tokio::test]
async fn in_order_a_worker_that_skips_passes_only_the_poison() {
    let (stream, shard, _) = one_shard(1);
    stream.put_to(&shard, "k", "bad").unwrap();
    let last = stream.put_to(&shard, "k", "behind it").unwrap();
    let (table, notes) = (MemoryLeaseTable::new(), Notes::new());
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .on_failure(OnFailure::Skip)
                .checkpoint_every(Duration::from_millis(1))
        })
        .process(in_order(notes.clone()));
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::RecordSkipped { .. })),
        1
    );
    run.stop().await.unwrap();
    assert_eq!(
        notes.all(),
        [
            ("0".to_owned(), 1),
            ("bad".to_owned(), 1),
            ("behind it".to_owned(), 1)
        ]
    );
}
