//! Shards that end, that are not found, that have left the stream, and records that aged out before
//! they were read.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{
    Call, Fleet, HookedStream, Script, at, lease_of, one_shard, payloads, until, wait_for_lease,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, ShardId};
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{Event, OnDataGap, RunError};

fn gaps(heard: &crate::support::Heard) -> Vec<kcl_core::worker::DataGap> {
    let gap = |event| {
        if let Event::DataGap { gap, .. } = event {
            Some(gap)
        } else {
            None
        }
    };
    heard.all().into_iter().filter_map(gap).collect()
}

#[tokio::test]
async fn a_shard_that_is_not_found_but_listed_is_read_on() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    stream.fail_next_of(&shard, Operation::Read, ErrorKind::Gone, 1);
    stream.fail_next_of(&shard, Operation::Open, ErrorKind::Gone, 2);
    until("three refusals", || {
        stream.call_count(Operation::Open, Some(&shard)) >= 3
    })
    .await;
    stream.put_to(&shard, "k", "1").unwrap();
    run.seen.wait_for_records(2).await;
    assert_eq!(gaps(&run.heard), []);
    assert_eq!(run.seen.payloads(), payloads(0..2));
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::ShardEnded { .. })),
        0
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_listed_shard_that_is_not_found_is_retried_with_pauses() {
    let (stream, shard, _) = one_shard(1);
    stream.fail_next_of(&shard, Operation::Open, ErrorKind::Gone, u32::MAX);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script::default());
    until("four refusals", || {
        stream.call_count(Operation::Open, Some(&shard)) >= 4
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (opens, lists) = (
        stream.call_count(Operation::Open, Some(&shard)),
        stream.call_count(Operation::ListShards, None),
    );
    assert!(opens < 30 && lists < 30, "{opens} opens, {lists} listings");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_lookup_of_a_missing_shard_does_not_delay_a_stop() {
    let (stream, shard, _) = one_shard(1);
    let (hooked, hangs) = (HookedStream::new(&stream), Arc::new(AtomicBool::new(false)));
    let hang = Arc::clone(&hangs);
    hooked.before(move |operation, _| {
        let hangs = operation == Operation::ListShards && hang.load(Ordering::SeqCst);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
    });
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&hooked, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    hangs.store(true, Ordering::SeqCst);
    let opens = stream.call_count(Operation::Open, Some(&shard));
    stream.fail_next_of(&shard, Operation::Read, ErrorKind::Gone, 1);
    stream.fail_next_of(&shard, Operation::Open, ErrorKind::Gone, u32::MAX);
    until("a refusal", || {
        stream.call_count(Operation::Open, Some(&shard)) > opens
    })
    .await;
    let worker = run.worker.clone();
    let asked = std::time::Instant::now();
    worker.shutdown(Duration::from_secs(20)).await;
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(lease_of(&table, &shard).await.owner, None);
    run.ended().await.unwrap();
}

/// A run that has processed two records of a shard, which then is split, written to no more, and
/// leaves the stream.
async fn left_behind(table: &MemoryLeaseTable) -> (MemoryStream, ShardId, Checkpoint) {
    let (stream, shard, sequences) = one_shard(2);
    let run = Fleet::new(&stream, table).start(Script::default());
    run.seen.wait_for_records(2).await;
    run.stop().await.unwrap();
    stream.put_to(&shard, "k", "never read").unwrap();
    for child in stream.split_evenly(&shard).unwrap() {
        stream.put_to(&child, "k", format!("of {child}")).unwrap();
    }
    stream.drop_shard(&shard).unwrap();
    (stream, shard, at(&sequences[1]))
}

/// Its row ends.
#[tokio::test]
async fn a_shard_that_left_is_a_certain_gap_and_its_children_start() {
    let table = MemoryLeaseTable::new();
    let (stream, shard, checkpoint) = left_behind(&table).await;
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(2).await;
    let gaps = gaps(&run.heard);
    assert!(
        matches!(&gaps[..], [gap] if gap.certain && gap.after == checkpoint && gap.before.is_none()),
        "{gaps:?}"
    );
    let row = lease_of(&table, &shard).await;
    assert!(
        row.checkpoint.is_shard_end() && row.owner.is_none(),
        "{row:?}"
    );
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::ShardEnded { .. })),
        1
    );
    for child in stream.open_shards() {
        assert_eq!(
            run.seen.batches_of(&child),
            [(1, vec![format!("of {child}")])]
        );
    }
    run.stop().await.unwrap();
}

#[tokio::test]
async fn with_losses_forbidden_a_shard_that_left_stops_the_worker() {
    let table = MemoryLeaseTable::new();
    let (stream, shard, checkpoint) = left_behind(&table).await;
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.on_data_gap(OnDataGap::Fail))
        .start(Script::default());
    let seen = run.seen.clone();
    match run.ended().await {
        Err(RunError::DataGap { shard: of, gap }) => {
            assert!(of.shard == shard && gap.certain, "{of} {gap}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(lease_of(&table, &shard).await.checkpoint, checkpoint);
    assert_eq!(seen.records(), 0);
}

#[tokio::test]
async fn aged_out_records_are_an_uncertain_gap_up_to_the_first_left() {
    let (stream, shard, sequences) = one_shard(2);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(2).await;
    run.stop().await.unwrap();
    let more = stream
        .put_many_to(&shard, (2..6).map(|n| ("k", n.to_string())))
        .unwrap();
    stream.trim(&shard, &more[1]).unwrap();
    for policy in [OnDataGap::Fail, OnDataGap::Continue] {
        let run = Fleet::new(&stream, &table)
            .with(|builder| builder.on_data_gap(policy))
            .start(Script::default());
        let (seen, heard) = (run.seen.clone(), run.heard.clone());
        if policy == OnDataGap::Fail {
            let ended = run.ended().await;
            assert!(
                matches!(&ended, Err(RunError::DataGap { gap, .. }) if !gap.certain),
                "{ended:?}"
            );
            assert_eq!(seen.records(), 0, "nothing behind the gap is handed out");
        } else {
            seen.wait_for_records(2).await;
            assert_eq!(seen.payloads(), payloads(4..6));
            run.stop().await.unwrap();
        }
        let gaps = gaps(&heard);
        let before = Some(more[2].clone().into());
        assert!(
            matches!(&gaps[..], [gap] if !gap.certain && gap.after == at(&sequences[1]) && gap.before == before),
            "{gaps:?}"
        );
    }
}

#[tokio::test]
async fn there_is_no_gap_when_nothing_aged_out_behind_the_checkpoint() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    for (round, old) in sequences.iter().enumerate() {
        let run = Fleet::new(&stream, &table).start(Script::default());
        let last = stream
            .put_to(&shard, "k", format!("round {round}"))
            .unwrap();
        wait_for_lease(&table, &shard, |lease| lease.checkpoint == at(&last)).await;
        let heard = run.heard.clone();
        run.stop().await.unwrap();
        assert_eq!(gaps(&heard), []);
        // Before the checkpoint only.
        stream.trim(&shard, old).unwrap();
    }
}

#[tokio::test]
async fn a_shard_that_ends_without_a_record_passes_on_to_its_children() {
    let (stream, shard, _) = one_shard(0);
    let children = stream.split_evenly(&shard).unwrap();
    stream.put_to(&children[1], "k", "child").unwrap();
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    assert!(lease_of(&table, &shard).await.checkpoint.is_shard_end());
    run.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_batch_says_so_and_names_the_child_shards() {
    let (stream, shard, _) = one_shard(3);
    let children = stream.split_evenly(&shard).unwrap();
    let named = Arc::new(std::sync::Mutex::new(Vec::new()));
    let names = Arc::clone(&named);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script::process(move |input| {
        let children: Vec<_> = input
            .child_shards
            .iter()
            .map(|child| child.id.clone())
            .collect();
        crate::support::locked(&names).push((input.is_at_shard_end, children));
        async { Ok(()) }
    }));
    run.seen
        .wait_for_call(&shard, "its end", |call| {
            matches!(call, Call::ShardEnded { .. })
        })
        .await;
    assert_eq!(
        crate::support::locked(&named).last(),
        Some(&(true, children.to_vec()))
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_closed_shard_without_children_ends() {
    let stream = MemoryStream::new("orders", 2);
    let shard = stream.open_shards().remove(0);
    stream.put_to(&shard, "k", "last").unwrap();
    stream.close(&shard).unwrap();
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    wait_for_lease(&table, &shard, |lease| lease.checkpoint.is_shard_end()).await;
    assert_eq!(run.seen.payloads(), ["last"]);
    run.stop().await.unwrap();
}
