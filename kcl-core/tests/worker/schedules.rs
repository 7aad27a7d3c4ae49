//! Schedules that once broke a promise: what happens between two steps of the worker.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::time::Duration;

use crate::support::{
    Call, Fault, Fleet, HookedStream, Script, UnrulyTable, lease_of, next_millisecond, one_shard,
};
use kcl_core::InitialPosition;
use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::Event;

#[tokio::test]
async fn a_look_does_not_take_a_lease_that_this_worker_is_just_making() {
    let (stream, shard, _) = one_shard(3);
    let table = UnrulyTable::new();
    // Another worker's lease, alive: so this worker looks at the table each 200 ms.
    let other = LeaseKey::single("shardId-999999999999");
    table
        .rows
        .create(
            &Lease::new(other.clone(), Checkpoint::TrimHorizon)
                .owned_by("other".into(), "t".into()),
        )
        .await
        .unwrap();
    let rows = table.rows.clone();
    tokio::spawn(async move {
        loop {
            rows.edit(&other, |row| row.counter += 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.seen.wait_for_records(3).await;
    table.set_rule(|_, change| {
        if change.is_none() {
            Fault::Slow(Duration::from_millis(170))
        } else {
            Fault::None
        }
    });
    let mut families = vec![shard];
    for _ in 0..3 {
        let parent = families.pop().unwrap();
        let children = stream.split_evenly(&parent).unwrap();
        for child in &children {
            run.seen
                .wait_for_call(child, "initialize", |call| {
                    matches!(call, Call::Initialize { .. })
                })
                .await;
        }
        families.extend(children);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        for child in &families {
            let calls = run.seen.calls_of(child);
            let begun = calls
                .iter()
                .filter(|call| matches!(call, Call::Initialize { .. }))
                .count();
            assert_eq!(begun, 1, "{child}: {calls:#?}");
        }
    }
}

#[tokio::test]
async fn records_aged_out_under_an_expired_iterator_are_reported() {
    let (memory, shard, _) = one_shard(3);
    let stream = HookedStream::new(&memory);
    let table = MemoryLeaseTable::new();
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    run.seen.wait_for_records(3).await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let (held, mut is_held) = tokio::sync::watch::channel(false);
    stream.before(move |operation, _| {
        let (mut gate, held) = (gate.clone(), held.clone());
        async move {
            if operation == Operation::Read {
                held.send_replace(true);
                let _ = gate.wait_for(|open| *open).await;
            }
        }
    });
    is_held.wait_for(|held| *held).await.unwrap();
    let more = memory
        .put_many_to(&shard, (3..6).map(|n| (format!("{n}"), format!("{n}"))))
        .unwrap();
    memory.trim(&shard, &more[1]).unwrap();
    memory.expire_cursors();
    open.send_replace(true);
    run.seen.wait_for_records(4).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        !run.seen.payloads().contains(&"4".to_owned())
            || !run.seen.payloads().contains(&"3".to_owned())
    );
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::DataGap { .. })),
        1,
        "{:?}",
        run.seen.payloads()
    );
}

#[tokio::test]
async fn a_stop_while_the_worker_begins_leaves_no_lease_in_its_name() {
    let stream = MemoryStream::new("orders", 40);
    let table = UnrulyTable::new();
    table.set_rule(|_, change| {
        if change.is_none() {
            Fault::Slow(Duration::from_millis(100))
        } else {
            Fault::None
        }
    });
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    let first = stream.open_shards().remove(0);
    while table
        .rows
        .get(&LeaseKey::single(first.clone()))
        .await
        .unwrap()
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = run.stop().await.unwrap();
    let row = lease_of(&table.rows, &first).await;
    assert_eq!(row.owner, None, "{report}: {row:?}");
}

/// A restart before the first checkpoint.
#[tokio::test]
async fn a_row_at_latest_without_a_time_loses_nothing_at_a_restart() {
    let (stream, shard, _) = one_shard(1);
    next_millisecond().await;
    let table = MemoryLeaseTable::new();
    // As the Java KCL makes it.
    table
        .create(&Lease::new(
            LeaseKey::single(shard.clone()),
            Checkpoint::Latest,
        ))
        .await
        .unwrap();
    let fleet =
        || Fleet::with_short_failover(&stream, &table).initial_position(InitialPosition::Latest);
    let run = fleet().start(Script::process(|_| async {
        Err(kcl_core::Failure::new("not yet"))
    }));
    run.seen.wait_for_initialized(1).await;
    crate::support::wait_for_lease(&table, &shard, |row| row.facts.start_at.is_some()).await;
    next_millisecond().await;
    stream.put_to(&shard, "k", "new").unwrap();
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
    next_millisecond().await;
    let run = fleet().start(Script::default());
    run.seen.wait_for_initialized(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(run.seen.payloads(), ["new"]);
}

#[tokio::test]
async fn a_shard_resumes_where_an_operator_resets_its_checkpoint() {
    let (stream, shard, _) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::with_short_failover(&stream, &table).start(Script::default());
    crate::support::wait_for_lease(&table, &shard, |row| {
        matches!(row.checkpoint, Checkpoint::At(_))
    })
    .await;
    run.seen.wait_for_records(3).await;
    table.edit(&LeaseKey::single(shard.clone()), |row| {
        row.checkpoint = Checkpoint::TrimHorizon;
    });
    // The shard is given up and taken again: all of it comes once more, from where the operator set
    // it.
    run.seen.wait_for_records(6).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(seen.payloads(), ["0", "1", "2", "0", "1", "2"]);
    assert!(seen.calls().iter().any(
        |(_, call)| matches!(call, Call::LeaseLost { reason } if reason == "CheckpointEdited")
    ));
}

#[tokio::test]
async fn latest_written_over_a_checkpoint_begins_now() {
    let (stream, shard, _) = one_shard(1);
    next_millisecond().await;
    let table = MemoryLeaseTable::new();
    let fleet =
        || Fleet::with_short_failover(&stream, &table).initial_position(InitialPosition::Latest);
    let run = fleet().start(Script::default());
    let begun =
        crate::support::wait_for_lease(&table, &shard, |row| row.facts.start_at.is_some()).await;
    run.seen.wait_for_initialized(1).await;
    next_millisecond().await;
    stream.put_to(&shard, "k", "done").unwrap();
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
    let done = lease_of(&table, &shard).await;
    assert!(matches!(done.checkpoint, Checkpoint::At(_)), "{done:?}");
    assert_eq!(
        (done.facts.start_at, done.facts.began_at),
        (None, begun.facts.start_at),
        "kept for what lineage needs"
    );
    for checkpoint in [Checkpoint::Latest, Checkpoint::AtTimestamp] {
        // It arrives while nothing runs, and the operator does not want it.
        stream.put_to(&shard, "k", "left out").unwrap();
        next_millisecond().await;
        table.edit(&LeaseKey::single(shard.clone()), |row| {
            row.checkpoint = checkpoint.clone();
        });
        let run = fleet().start(Script::process(|_| async {
            Err(kcl_core::Failure::new("not yet"))
        }));
        let set_back =
            crate::support::wait_for_lease(&table, &shard, |row| row.facts.start_at.is_some())
                .await;
        assert!(
            set_back.facts.start_at > begun.facts.start_at,
            "{set_back:?}"
        );
        assert_eq!(set_back.facts.began_at, begun.facts.start_at);
        next_millisecond().await;
        stream.put_to(&shard, "k", "new").unwrap();
        run.seen.wait_for_records(1).await;
        run.stop().await.unwrap();
        // The time is kept until there is a checkpoint: a restart skips nothing.
        let run = fleet().start(Script::default());
        run.seen.wait_for_records(1).await;
        let seen = run.seen.clone();
        run.stop().await.unwrap();
        assert_eq!(seen.payloads(), ["new"], "after {checkpoint}");
    }
}
