//! What `initialize` may say: where to begin, and that what was prepared is done.

use crate::support::{
    Call, Fleet, Script, at, lease_of, one_shard, payloads, script, wait_for_lease,
};
use bytes::Bytes;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey, Pending, Position, SequenceNumber, ShardId};
use kcl_core::processor::{Failure, InitializeInput, ProcessRecordsInput, Start};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Checkpoints, Event};

/// A stream of which everything is done, and its table.
async fn all_done(
    records: usize,
) -> (MemoryStream, MemoryLeaseTable, ShardId, Vec<SequenceNumber>) {
    let (stream, shard, sequences) = one_shard(records);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(records).await;
    run.stop().await.unwrap();
    assert_eq!(
        lease_of(&table, &shard).await.checkpoint,
        at(sequences.last().unwrap())
    );
    (stream, table, shard, sequences)
}

fn beginning(
    start: impl Fn() -> Start + Send + Sync + 'static,
    script_of_batches: Script,
) -> Script {
    let initialize = script(move |input: InitializeInput| {
        let begun = input.begin(start());
        async move { Ok(begun?) }
    });
    Script {
        initialize,
        ..script_of_batches
    }
}

#[tokio::test]
async fn a_sink_behind_its_checkpoint_is_given_again_what_it_lacks() {
    let (stream, table, shard, sequences) = all_done(5).await;
    let last = Position::from(sequences[1].clone());
    for mode in [Checkpoints::Automatic, Checkpoints::Manual] {
        // Somebody prepared a checkpoint where the stored one is, and has not committed it.
        let stored = at(&sequences[4]);
        let pending = Pending {
            at: stored.clone(),
            state: None,
        };
        table.edit(&LeaseKey::single(shard.clone()), |row| {
            row.pending = Some(pending.clone());
        });
        // Handlers that fail on the way, and that store what is done and lies before the stored
        // one, and then what is stored already.
        let start = last.clone();
        let script = beginning(
            move || Start::After(start.clone()),
            Script::process(|input: ProcessRecordsInput| async move {
                if input.attempt == 1 {
                    input.checkpointer.checkpoint_at(&input.records[0]).await?;
                    return Err(Failure::at(
                        &input.records[input.records.len() - 1],
                        "not yet",
                    ));
                }
                input.checkpointer.prepare(None).await?.commit().await?;
                input.checkpointer.checkpoint().await?;
                Ok(())
            }),
        );
        let run = Fleet::new(&stream, &table)
            .with(|builder| builder.checkpoints(mode))
            .start(script);
        run.seen
            .wait_for("the last record twice", |_| {
                run.seen
                    .payloads()
                    .iter()
                    .filter(|text| **text == "4")
                    .count()
                    == 2
            })
            .await;
        assert_eq!(
            lease_of(&table, &shard).await.checkpoint,
            at(&sequences[4]),
            "it has not gone back"
        );
        let seen = run.seen.clone();
        run.stop().await.unwrap();
        // Nothing is missed by the failure: what failed came again.
        assert_eq!(seen.payloads(), ["2", "3", "4", "4"]);
        let lease = lease_of(&table, &shard).await;
        assert_eq!((lease.checkpoint, lease.pending), (stored, None));
    }
    // Past the old checkpoint it moves again.
    let manual = Script::process(|input: ProcessRecordsInput| async move {
        Ok(input.checkpointer.checkpoint().await?)
    });
    for (records, mode, batches) in [
        (6, Checkpoints::Manual, manual),
        (7, Checkpoints::Automatic, Script::default()),
    ] {
        let before = lease_of(&table, &shard).await.checkpoint;
        stream
            .put_to(&shard, "k", (records - 1).to_string())
            .unwrap();
        let start = last.clone();
        let script = beginning(move || Start::After(start.clone()), batches);
        let run = Fleet::new(&stream, &table)
            .with(|builder| builder.checkpoints(mode))
            .start(script);
        wait_for_lease(&table, &shard, |lease| lease.checkpoint > before).await;
        assert_eq!(run.seen.payloads(), payloads(2..records));
        run.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_sink_that_has_nothing_is_given_all_that_is_retained() {
    let (stream, table, shard, sequences) = all_done(3).await;
    let run =
        Fleet::new(&stream, &table).start(beginning(|| Start::TrimHorizon, Script::default()));
    run.seen.wait_for_records(3).await;
    assert_eq!(run.seen.payloads(), payloads(0..3));
    run.stop().await.unwrap();
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
}

#[tokio::test]
async fn records_are_left_out_only_when_initialize_says_so() {
    let (stream, shard, sequences) = one_shard(4);
    let table = MemoryLeaseTable::new();
    let ahead = Position::from(sequences[2].clone());
    let start = ahead.clone();
    let run = Fleet::new(&stream, &table).start(beginning(
        move || Start::After(start.clone()),
        Script::default(),
    ));
    run.heard
        .wait_for(
            "the refusal",
            |event| matches!(event, Event::HandlerFailed { error, .. } if error.contains("SkipTo")),
        )
        .await;
    assert!(run.seen.payloads().is_empty(), "nothing is handed out");
    run.stop().await.unwrap();
    let run = Fleet::new(&stream, &table).start(beginning(
        move || Start::SkipTo(ahead.clone()),
        Script::default(),
    ));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[3])
    })
    .await;
    assert_eq!(run.seen.payloads(), payloads(3..4));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_prepared_and_published_is_committed_by_initialize() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual).max_records(2))
        .start(Script::process(|input: ProcessRecordsInput| async move {
            input
                .checkpointer
                .prepare(Some(Bytes::from_static(b"file")))
                .await?;
            std::future::pending().await
        }));
    wait_for_lease(&table, &shard, |lease| lease.pending.is_some()).await;
    let prepared = lease_of(&table, &shard).await.pending.unwrap().at;
    run.crash().await;
    let done = sequences
        .iter()
        .position(|sequence| at(sequence) == prepared)
        .unwrap()
        + 1;

    // The first call fails after the commit: the second one finds it done.
    let initialize = script(|input: InitializeInput| async move {
        match (&input.checkpointer, input.attempt) {
            (Some(checkpointer), 1) => {
                checkpointer.checkpoint().await?;
                Err("after the commit".into())
            }
            (None, 2) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    });
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual))
        .start(Script {
            initialize,
            ..Script::default()
        });
    let calls = || run.seen.calls_of(&shard);
    run.seen
        .wait_for("the second call", |_| {
            matches!(calls().get(1), Some(Call::Initialize { attempt: 2, .. }))
        })
        .await;
    let lease = lease_of(&table, &shard).await;
    assert_eq!(
        (lease.checkpoint.clone(), lease.pending),
        (prepared.clone(), None)
    );
    assert!(
        matches!(&calls()[1], Call::Initialize { checkpoint, pending: None, .. } if *checkpoint == prepared.to_string())
    );
    stream.put_to(&shard, "k", "3").unwrap();
    run.seen.wait_for_records(4 - done).await;
    assert_eq!(run.seen.payloads(), payloads(done..4));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_pending_checkpoint_there_is_nothing_to_commit() {
    let (stream, _, _) = one_shard(1);
    let initialize = script(|input: InitializeInput| async move {
        assert!(input.checkpointer.is_none() && input.checkpoint == Checkpoint::TrimHorizon);
        Ok(())
    });
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script {
        initialize,
        ..Script::default()
    });
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
}
