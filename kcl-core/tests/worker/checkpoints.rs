//! Checkpoints: what an application may store, when the worker stores by itself, and what is
//! believed when a write fails.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{
    Call, Fault, Fleet, PATIENCE, Script, UnrulyTable, at, lease_of, locked, one_shard, payloads,
    soon, wait_for_lease,
};
use kcl_core::checkpoint::Refused;
use kcl_core::checkpoint::{CheckpointError, Checkpointer};
use kcl_core::lease::Change;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey, Position};
use kcl_core::processor::ProcessRecordsInput;
use kcl_core::worker::{Checkpoints, Liveness};

/// The batches that processors were given, kept beyond the call.
type Kept = Arc<Mutex<Vec<ProcessRecordsInput>>>;

/// Processors that return at once and keep what they are given for work in the background.
pub(super) fn pipelined() -> (Kept, Script) {
    let kept = Kept::default();
    let keep = Arc::clone(&kept);
    let script = Script::process(move |input| {
        locked(&keep).push(input);
        async { Ok(()) }
    });
    (kept, script)
}

pub(super) fn checkpointers(kept: &Kept) -> Vec<Checkpointer> {
    locked(kept)
        .iter()
        .map(|input| input.checkpointer.clone())
        .collect()
}

pub(super) fn manual(builder: kcl_core::worker::Builder) -> kcl_core::worker::Builder {
    builder.checkpoints(Checkpoints::Manual).max_records(1)
}

pub(super) fn is_behind(result: &Result<(), CheckpointError>) -> bool {
    matches!(
        result,
        Err(CheckpointError::OutOfRange(Refused::BehindStored { .. }))
    )
}

/// One that is older than the stored one is out of range.
#[tokio::test]
async fn a_late_checkpoint_means_the_end_of_its_own_batch() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(3).await;
    let [first, second, third] = checkpointers(&kept).try_into().unwrap();
    first.checkpoint().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[0]),
        "not what was handed out since"
    );
    // Work in the background finishes out of order.
    tokio::spawn(async move { third.checkpoint().await })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
    let late = second.checkpoint().await;
    assert!(is_behind(&late), "{late:?}");
    assert!(
        late.unwrap_err()
            .to_string()
            .contains(&sequences[2].to_string()),
        "says what is stored"
    );
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_at_a_record_means_that_record() {
    for mode in [Checkpoints::Manual, Checkpoints::Automatic] {
        let (stream, shard, sequences) = one_shard(5);
        let table = MemoryLeaseTable::new();
        let stored = Arc::new(tokio::sync::Notify::new());
        let notify = Arc::clone(&stored);
        let run = Fleet::new(&stream, &table)
            .with(|builder| builder.checkpoints(mode))
            .start(Script::process(move |input| {
                let notify = Arc::clone(&notify);
                async move {
                    input.checkpointer.checkpoint_at(&input.records[1]).await?;
                    notify.notify_one();
                    std::future::pending().await
                }
            }));
        soon("the checkpoint", stored.notified()).await;
        assert_eq!(
            lease_of(&table, &shard).await.checkpoint,
            at(&sequences[1]),
            "{mode:?}"
        );
        run.crash().await;
        // A restart goes on behind it.
        let run = Fleet::new(&stream, &table).start(Script::default());
        run.seen.wait_for_records(3).await;
        assert_eq!(run.seen.payloads(), payloads(2..5));
        run.stop().await.unwrap();
    }
}

/// Nothing moves by itself.
#[tokio::test]
async fn in_manual_mode_a_restart_delivers_again() {
    let (stream, shard, _) = one_shard(4);
    let table = MemoryLeaseTable::new();
    for _ in 0..2 {
        let run = Fleet::new(&stream, &table)
            .with(manual)
            .start(Script::default());
        run.seen.wait_for_records(4).await;
        let seen = run.seen.clone();
        run.stop().await.unwrap();
        assert_eq!(seen.payloads(), payloads(0..4));
        let lease = lease_of(&table, &shard).await;
        assert_eq!(
            (lease.checkpoint, lease.owner),
            (Checkpoint::TrimHorizon, None)
        );
    }
}

#[tokio::test]
async fn in_manual_mode_the_worker_still_writes_the_shards_end() {
    let (stream, shard, _) = one_shard(4);
    let children = stream.split_evenly(&shard).unwrap();
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(manual)
        .start(Script::default());
    for child in &children {
        run.seen
            .wait_for_call(child, "initialize", |call| {
                matches!(call, Call::Initialize { .. })
            })
            .await;
    }
    assert!(lease_of(&table, &shard).await.checkpoint.is_shard_end());
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_ahead_of_what_was_delivered_is_out_of_range() {
    let (stream, shard, sequences) = one_shard(2);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(2).await;
    let checkpointer = checkpointers(&kept).remove(0);
    let ahead = Position::new(sequences[1].clone(), 1);
    let refused = checkpointer.checkpoint_at_position(&ahead).await;
    assert!(
        matches!(
            refused,
            Err(CheckpointError::OutOfRange(
                Refused::AheadOfDelivered { .. }
            ))
        ),
        "{refused:?}"
    );
    let refused = checkpointer.prepare_at_position(&ahead, None).await;
    assert!(
        matches!(
            refused,
            Err(CheckpointError::OutOfRange(
                Refused::AheadOfDelivered { .. }
            ))
        ),
        "{refused:?}"
    );
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::TrimHorizon
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_after_the_lease_was_lost_or_given_up_is_refused() {
    for taken in [true, false] {
        let (stream, shard, _) = one_shard(1);
        let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
        let run = Fleet::new(&stream, &table).with(manual).start(script);
        run.seen.wait_for_records(1).await;
        let checkpointer = checkpointers(&kept).remove(0);
        if taken {
            table.edit(&LeaseKey::single(shard.clone()), |lease| {
                (lease.owner, lease.token) = (Some("another".into()), Some("its token".into()));
                lease.counter += 1;
            });
        } else {
            run.worker.shutdown(PATIENCE).await;
        }
        // The first one of a worker that does not know yet, and one that comes when it does.
        for _ in 0..2 {
            let refused = checkpointer.checkpoint().await;
            assert!(
                matches!(refused, Err(CheckpointError::LeaseLost { .. })),
                "{refused:?}"
            );
        }
        assert!(matches!(
            checkpointer.prepare(None).await,
            Err(CheckpointError::LeaseLost { .. })
        ));
        assert_eq!(
            lease_of(&table, &shard).await.checkpoint,
            Checkpoint::TrimHorizon
        );
        run.crash().await;
    }
}

/// It is not believed to be stored, though its value is the same.
#[tokio::test]
async fn a_throttled_checkpoint_is_written_again_by_a_retry() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, (kept, script)) = (UnrulyTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(3).await;
    let [first, second, third] = checkpointers(&kept).try_into().unwrap();
    first.checkpoint().await.unwrap();
    table.set_rule(|_, change| {
        if matches!(change, Some(Change::Checkpoint { .. })) {
            Fault::Throttle
        } else {
            Fault::None
        }
    });
    let throttled = third.checkpoint().await;
    assert!(
        matches!(throttled, Err(CheckpointError::Throttled { .. })),
        "{throttled:?}"
    );
    let key = LeaseKey::single(shard.clone());
    assert_eq!(
        run.worker.status().shards[&key].checkpoint,
        at(&sequences[0]),
        "what the table has acknowledged"
    );
    table.clear_rule();
    // What failed is no bound for what follows.
    second.checkpoint().await.unwrap();
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[1]));
    third.checkpoint().await.unwrap();
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_whose_answer_was_lost_is_confirmed_by_its_retry() {
    for fault in [Fault::LoseAnswer, Fault::LoseWrite] {
        let (stream, shard, sequences) = one_shard(1);
        let (table, (kept, script)) = (UnrulyTable::new(), pipelined());
        let run = Fleet::new(&stream, &table).with(manual).start(script);
        run.seen.wait_for_records(1).await;
        let first = crate::support::Nth::default();
        table.set_rule(move |_, change| match change {
            Some(Change::Checkpoint { .. }) if first.next() == 1 => fault,
            _ => Fault::None,
        });
        checkpointers(&kept)[0].checkpoint().await.unwrap();
        assert_eq!(
            lease_of(&table, &shard).await.checkpoint,
            at(&sequences[0]),
            "{fault:?}"
        );
        run.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_checkpointer_that_is_kept_keeps_no_lease() {
    let (stream, shard, sequences) = one_shard(1);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table)
        .with(|builder| manual(builder).worker_id("first"))
        .start(script);
    run.seen.wait_for_records(1).await;
    run.crash().await;
    let next = Fleet::new(&stream, &table)
        .with(|builder| builder.worker_id("second"))
        .start(Script::default());
    next.seen.wait_for_records(1).await;
    let late = checkpointers(&kept)[0].checkpoint().await;
    assert!(
        matches!(late, Err(CheckpointError::LeaseLost { .. })),
        "{late:?}"
    );
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[0])
    })
    .await;
    next.stop().await.unwrap();
}

/// The moments of the checkpoint writes that came.
fn checkpoint_writes(table: &UnrulyTable) -> Vec<std::time::Instant> {
    let written = table.written();
    written
        .iter()
        .filter(|write| matches!(write.change, Change::Checkpoint { .. }))
        .map(|write| write.at)
        .collect()
}

#[tokio::test]
async fn automatic_checkpoints_keep_their_interval_and_are_newest() {
    let (stream, shard, _) = one_shard(0);
    let table = UnrulyTable::new();
    // Shorter than it takes until a renewal is due: that would take along what is done.
    let every = Duration::from_millis(700);
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            let builder = builder.checkpoint_every(every);
            builder.liveness(Liveness::Kcl)
        })
        .start(Script::default());
    let mut last = None;
    let mut put = 0;
    while checkpoint_writes(&table).len() < 4 {
        last = Some(stream.put_to(&shard, "k", "x").unwrap());
        put += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(put < 4000, "no checkpoint is written");
    }
    let writes = checkpoint_writes(&table);
    for pair in writes.windows(2) {
        assert!(
            pair[1] - pair[0] >= every - Duration::from_millis(2),
            "{:?}",
            pair[1] - pair[0]
        );
    }
    let last = last.unwrap();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_quiet_shard_is_only_renewed() {
    let (stream, shard, sequences) = one_shard(3);
    let table = UnrulyTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            let builder = builder.checkpoint_every(Duration::from_millis(1));
            builder.liveness(Liveness::Kcl)
        })
        .start(Script::default());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[2])
    })
    .await;
    let stored = checkpoint_writes(&table).len();
    let counter = lease_of(&table, &shard).await.counter;
    wait_for_lease(&table, &shard, |lease| lease.counter >= counter + 3).await;
    assert_eq!(
        checkpoint_writes(&table).len(),
        stored,
        "the same checkpoint is not written twice"
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_table_delays_no_batch() {
    let (stream, shard, sequences) = one_shard(100);
    let table = UnrulyTable::new();
    table.set_rule(|_, change| match change {
        Some(Change::Checkpoint { .. }) => Fault::Slow(Duration::from_secs(1)),
        _ => Fault::None,
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .failover(Duration::from_secs(10))
                .checkpoint_every(Duration::from_millis(1))
                .max_records(1)
        })
        .start(Script::default());
    run.seen.wait_for_records(100).await;
    let answered = table.written().iter().filter(|write| write.stored).count();
    assert!(answered <= 2, "{answered} slow writes were waited for");
    run.stop().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(&sequences[99]),
        "the stop stores the last"
    );
}

#[tokio::test]
async fn a_restart_within_an_aggregate_opens_the_shard_there() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(3).await;
    let within = Position::new(sequences[1].clone(), 3);
    checkpointers(&kept)[0]
        .checkpoint_at_position(&within)
        .await
        .unwrap();
    run.stop().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        Checkpoint::At(within)
    );
    let hooked = crate::support::HookedStream::new(&stream);
    let run = Fleet::new(&hooked, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    assert_eq!(
        hooked.opened(&shard),
        [kcl_core::stream::StartAt::Sequence(sequences[1].clone())]
    );
    assert_eq!(run.seen.payloads(), payloads(2..3));
    run.stop().await.unwrap();
}
