//! Batches that fail: they are taken apart until the record that fails is alone.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::checkpoint::CheckpointError;
use kcl_core::handler::{Retries, bisect, by_key};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey};
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::worker::{Checkpoints, Event, RunError};
use kcl_core::{Failure, RecordProcessor};
use tokio::sync::Notify;

use crate::support::{Desk, Fleet, LetterBox, at, lease_of, locked, one_shard, wait_for_lease};

/// Does a batch whole, or fails at the first of these that is in it; says which, or not.
#[derive(Clone)]
struct Inserts {
    bad: &'static [&'static str],
    says_which: bool,
    stores: bool,
    calls: Arc<Mutex<u32>>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Inserts {
    fn failing_at(bad: &'static [&'static str], says_which: bool) -> Self {
        Self {
            bad,
            says_which,
            stores: false,
            calls: Arc::default(),
            done: Arc::default(),
        }
    }
}

impl RecordProcessor for Inserts {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        *locked(&self.calls) += 1;
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let texts: Vec<String> = input
            .records
            .iter()
            .map(|record| text(&record.data))
            .collect();
        let bad = texts
            .iter()
            .position(|text| self.bad.contains(&text.as_str()));
        match bad {
            Some(bad) if self.says_which => {
                locked(&self.done).extend_from_slice(&texts[..bad]);
                Err(Failure::at(&input.records[bad], "cannot read it"))
            }
            Some(_) => Err(Failure::new("cannot read it")),
            None => {
                locked(&self.done).extend(texts);
                if self.stores {
                    input.checkpointer.checkpoint().await?;
                }
                Ok(())
            }
        }
    }
}

fn quick(attempts: u32) -> Retries {
    Retries::attempts(attempts).pause(Duration::from_millis(1), Duration::from_millis(4))
}

fn of(inserts: &Inserts, retries: Retries) -> impl kcl_core::RecordProcessorFactory + use<> {
    let inserts = inserts.clone();
    bisect(move |_: &ShardRef| inserts.clone(), retries)
}

#[tokio::test]
async fn poison_in_a_batch_is_alone_in_the_dead_letters() {
    for says_which in [false, true] {
        let (stream, shard, sequences) = one_shard(1_000);
        let table = MemoryLeaseTable::new();
        let (inserts, letters) = (
            Inserts::failing_at(&["500", "999"], says_which),
            LetterBox::default(),
        );
        let processors = of(&inserts, quick(3).dead_letter(letters.clone()));
        let run = Fleet::new(&stream, &table).process(processors);
        wait_for_lease(&table, &shard, |lease| {
            lease.checkpoint == at(&sequences[999])
        })
        .await;
        run.heard
            .wait_for("the letter", |event| {
                matches!(event, Event::DeadLettered { attempts: 3, .. })
            })
            .await;
        run.stop().await.unwrap();
        assert_eq!(locked(&letters.kept).clone(), ["500", "999"]);
        let done: Vec<u32> = locked(&inserts.done)
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let others: Vec<u32> = (0..1_000).filter(|n| *n != 500 && *n != 999).collect();
        assert_eq!(done, others, "all others once, in order");
        assert!(*locked(&inserts.calls) < 60, "{}", locked(&inserts.calls));
    }
}

#[tokio::test]
async fn a_batch_stops_the_worker_at_the_record_that_fails() {
    let (stream, shard, sequences) = one_shard(20);
    let table = MemoryLeaseTable::new();
    let inserts = Inserts::failing_at(&["13"], false);
    let run = Fleet::new(&stream, &table).process(of(&inserts, quick(2).stop()));
    let error = run.ended().await.unwrap_err();
    assert!(
        matches!(&error, RunError::Handler { at: Some(position), .. } if position.sequence == sequences[13]),
        "{error}"
    );
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[12])
    );
}

/// The worker's own word on failures counts no more: nothing but the poison is skipped.
#[tokio::test]
async fn a_batch_taken_apart_skips_nothing_but_poison() {
    let (stream, shard, sequences) = one_shard(20);
    let table = MemoryLeaseTable::new();
    let inserts = Inserts::failing_at(&["13"], false);
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(kcl_core::OnFailure::Skip))
        .process(of(&inserts, quick(2).skip()));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[19])
    })
    .await;
    let skipped = |event: &Event| matches!(event, Event::RecordSkipped { .. });
    run.heard.wait_for("the skip", skipped).await;
    assert_eq!(run.heard.count(skipped), 1);
    run.stop().await.unwrap();
    assert_eq!(locked(&inserts.done).len(), 19);
}

/// Each part has a checkpointer up to its end.
#[tokio::test]
async fn a_batch_taken_apart_stores_its_own_checkpoints() {
    let (stream, shard, sequences) = one_shard(20);
    let table = MemoryLeaseTable::new();
    let mut inserts = Inserts::failing_at(&["13"], false);
    inserts.stores = true;
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual))
        .process(of(
            &inserts,
            Retries::unlimited().pause(Duration::from_millis(1), Duration::from_millis(4)),
        ));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[12])
    })
    .await;
    run.heard
        .wait_for("more failures", |event| {
            matches!(event, Event::HandlerFailed { at: Some(position), .. } if position.sequence == sequences[13])
        })
        .await;
    run.crash().await;
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[12])
    );
    assert_eq!(locked(&inserts.done).len(), 13, "each once");
}

/// Fails first, and holds its second call until the lease is stolen.
#[derive(Clone, Default)]
struct Halting {
    calls: Arc<Mutex<Vec<usize>>>,
    is_held: Arc<Notify>,
    is_stolen: Arc<Notify>,
}

impl RecordProcessor for Halting {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let call = {
            let mut calls = locked(&self.calls);
            calls.push(input.records.len());
            calls.len()
        };
        match call {
            1 => Err(Failure::new("busy")),
            2 => {
                self.is_held.notify_one();
                self.is_stolen.notified().await;
                let refused = input.checkpointer.checkpoint().await;
                assert!(
                    matches!(refused, Err(CheckpointError::LeaseLost { .. })),
                    "{refused:?}"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What the part before it took may have cost the lease.
#[tokio::test]
async fn no_part_is_handed_out_after_the_lease_is_lost() {
    let (stream, shard, _) = one_shard(8);
    let table = MemoryLeaseTable::new();
    let halting = Halting::default();
    let inserts = halting.clone();
    let run = Fleet::new(&stream, &table)
        .process(bisect(move |_: &ShardRef| inserts.clone(), quick(3).skip()));
    halting.is_held.notified().await;
    table.edit(&LeaseKey::single(shard.clone()), |lease| {
        (lease.owner, lease.token) = (Some("another".into()), Some("its token".into()));
        lease.counter += 1;
    });
    halting.is_stolen.notify_one();
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    assert_eq!(*locked(&halting.calls), [8, 4]);
    let stored = lease_of(&table, &shard).await.checkpoint;
    assert_eq!(stored, Checkpoint::TrimHorizon);
    run.crash().await;
}

#[tokio::test]
async fn bisecting_what_works_beside_its_calls_is_refused() {
    let (stream, _, _) = one_shard(1);
    let desk = Desk::new(|_, _| async { Ok(()) });
    let run =
        Fleet::new(&stream, &MemoryLeaseTable::new()).process(bisect(by_key(2, desk), quick(2)));
    let error = run.ended().await.unwrap_err().to_string();
    assert!(error.contains("`bisect` was put around"), "{error}");
}
