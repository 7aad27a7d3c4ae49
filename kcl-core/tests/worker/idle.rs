//! The call on a shard that is quiet.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Checkpoint;
use kcl_core::processor::{IdleInput, ProcessRecordsInput, ShardRef};
use kcl_core::worker::{Checkpoints, Event, HandlerCall};
use kcl_core::{BoxError, Failure, RecordProcessor};

use crate::support::{Fleet, at, lease_of, locked, one_shard, until, wait_for_lease};

const EVERY: Duration = Duration::from_millis(40);

/// Keeps what it is given, and stores how far it is when its shard is quiet.
#[derive(Clone, Default)]
struct Gatherer {
    records: Arc<Mutex<usize>>,
    idle: Arc<Mutex<Vec<Duration>>>,
    fails: bool,
}

impl RecordProcessor for Gatherer {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        *locked(&self.records) += input.records.len();
        Ok(())
    }

    async fn idle(&mut self, input: IdleInput) -> Result<(), BoxError> {
        locked(&self.idle).push(input.quiet_for);
        if self.fails {
            return Err("nothing to do".into());
        }
        if let Some(checkpointer) = input.checkpointer {
            checkpointer.checkpoint().await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_quiet_shard_is_told_at_the_interval_and_may_store() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let gatherer = Gatherer::default();
    let processors = gatherer.clone();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual).idle_every(EVERY))
        .process(move |_: &ShardRef| processors.clone());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    until("three calls", || locked(&gatherer.idle).len() >= 3).await;
    assert!(locked(&gatherer.idle).iter().all(|quiet| *quiet >= EVERY));
    let last = stream.put_to(&shard, "k", "more").unwrap();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&gatherer.records), 4);
}

#[tokio::test]
async fn without_the_setting_no_shard_is_told_that_it_is_quiet() {
    let (stream, shard, sequences) = one_shard(1);
    let (table, gatherer) = (MemoryLeaseTable::new(), Gatherer::default());
    let processors = gatherer.clone();
    let run = Fleet::new(&stream, &table).process(move |_: &ShardRef| processors.clone());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[0])
    })
    .await;
    run.stop().await.unwrap();
    assert!(locked(&gatherer.idle).is_empty());
}

/// It is told, changes nothing, and comes again at the next interval.
#[tokio::test]
async fn an_idle_call_that_fails_stops_nothing() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let gatherer = Gatherer {
        fails: true,
        ..Gatherer::default()
    };
    let processors = gatherer.clone();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual).idle_every(EVERY))
        .process(move |_: &ShardRef| processors.clone());
    run.heard
        .wait_for("the failure", |event| {
            matches!(
                event,
                Event::HandlerFailed {
                    call: HandlerCall::Idle,
                    ..
                }
            )
        })
        .await;
    until("the next call", || locked(&gatherer.idle).len() >= 2).await;
    stream.put_to(&shard, "k", "more").unwrap();
    until("the next record", || *locked(&gatherer.records) == 2).await;
    run.stop().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
}
