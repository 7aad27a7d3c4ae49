//! What is logged: never the content of records, and nothing above debug while all is well.

use std::time::Duration;

use bytes::Bytes;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::LeaseKey;
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::Operation;
use kcl_core::worker::Event;
use kcl_core::{Failure, OnFailure};

use crate::support::{Fleet, Logged, Script, alone, at, lease_of, loud, one_shard, wait_for_lease};

const CANARY: &str = "canary-4711";

/// And never the content of a record.
#[tokio::test]
async fn a_healthy_worker_logs_nothing_above_debug() {
    if !alone(concat!(
        module_path!(),
        "::a_healthy_worker_logs_nothing_above_debug"
    )) {
        return;
    }
    let logged = Logged::in_this_process();
    let (stream, shard, _) = one_shard(0);
    let table = MemoryLeaseTable::new();
    let put = || {
        stream
            .put_to(&shard, &format!("key-{CANARY}"), format!("data-{CANARY}"))
            .unwrap()
    };
    let run = Fleet::new(&stream, &table).start(Script::default());
    let counter = lease_when_processed(&table, &shard, &put()).await;
    // Records, renewals and checkpoints, for some time.
    let mut last = put();
    while lease_of(&table, &shard).await.counter < counter + 8 {
        last = put();
        crate::support::next_millisecond().await;
    }
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    let calm = logged.take();
    assert!(calm.contains("DEBUG"), "something is logged: {calm}");
    // Its start and its end, and that is all.
    let said = [
        "acquired lease",
        "started:",
        "stopping:",
        "released lease",
        "the worker has stopped",
    ];
    let lines = loud(&calm);
    assert_eq!(lines.len(), said.len(), "{lines:#?}");
    for (line, said) in lines.iter().zip(said) {
        assert!(
            line.starts_with(" INFO") && line.contains(said),
            "{said}: {line}"
        );
    }
    assert!(!calm.contains(CANARY));

    // And a bad day: failures, a skipped record, what is prepared, a gap, a lost lease, a deleted
    // row.
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_failure(OnFailure::Skip).max_records(4))
        .start(Script::process(|input| async move {
            let state = Bytes::from(format!("state-{CANARY}"));
            input.checkpointer.prepare(Some(state)).await?;
            match input.attempt {
                1 => Err(Failure::new("the first time")),
                2 => Err(Failure::at(&input.records[0], "the second time")),
                _ => Ok(()),
            }
        }));
    stream.fail_next(Operation::Read, ErrorKind::Transient, 1);
    stream.fail_next(Operation::Read, ErrorKind::Throttled, 1);
    for _ in 0..8 {
        put();
    }
    run.heard
        .wait_for("a skipped record", |event| {
            matches!(event, Event::RecordSkipped { .. })
        })
        .await;
    table.edit(&LeaseKey::single(shard.clone()), |lease| {
        (lease.owner, lease.token) = (None, None);
        lease.counter += 1;
    });
    run.heard
        .wait_for("the loss", |event| matches!(event, Event::LeaseLost { .. }))
        .await;
    stream.expire_cursors();
    let last = put();
    wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
    run.stop().await.unwrap();
    let after = put();
    stream.trim(&shard, &after).unwrap();
    put();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.heard
        .wait_for("the gap", |event| matches!(event, Event::DataGap { .. }))
        .await;
    let _ = run.worker.shutdown(Duration::from_secs(5)).await;
    let bad = logged.take();
    assert!(
        bad.contains("RecordSkipped") && bad.contains("DataGap"),
        "the day was bad: {bad}"
    );
    // Without a listener too: once each, with the cause and what follows.
    for (kind, cause, follows) in [
        ("handler_failed", "the first time", "retrying in 5ms"),
        ("record_skipped", "skipped record", ""),
        (
            "lease_lost",
            "somebody has freed it",
            "resumes from the stored checkpoint",
        ),
        (
            "data_gap",
            "records may be lost",
            "reading continues after the gap",
        ),
    ] {
        let lines: Vec<_> = loud(&bad)
            .into_iter()
            .filter(|line| line.contains(&format!("event=\"{kind}\"")))
            .collect();
        let [line] = lines[..] else {
            panic!("{kind}: {lines:#?}")
        };
        assert!(
            line.starts_with(" WARN") && line.contains(cause) && line.contains(follows),
            "{line}"
        );
    }
    assert!(
        !bad.contains(CANARY),
        "{:?}",
        bad.lines().find(|line| line.contains(CANARY))
    );
}

/// The counter of the lease when this record is done and stored.
async fn lease_when_processed(
    table: &MemoryLeaseTable,
    shard: &kcl_core::model::ShardId,
    last: &kcl_core::model::SequenceNumber,
) -> u64 {
    wait_for_lease(table, shard, |lease| lease.checkpoint == at(last))
        .await
        .counter
}
