//! Prepared checkpoints: state that an application stores before it checkpoints, for whoever goes on.

use crate::support::{Call, Fleet, Script, at, lease_of, one_shard, payloads};
use bytes::Bytes;
use kcl_core::checkpoint::CheckpointError;
use kcl_core::checkpoint::Refused;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, Position};

use super::checkpoints::{checkpointers, is_behind, manual, pipelined};

/// With its sub-sequence number and its state.
#[tokio::test]
async fn a_prepared_checkpoint_reaches_the_next_owner_whole() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(3).await;
    let [first, _, third] = checkpointers(&kept).try_into().unwrap();
    first.checkpoint().await.unwrap();
    let within = Position::new(sequences[1].clone(), 5);
    let state = Bytes::from_static(b"\x00state");
    let prepared = third
        .prepare_at_position(&within, Some(state.clone()))
        .await
        .unwrap();
    assert_eq!(prepared.position(), &within);
    let lease = lease_of(&table, &shard).await;
    let pending = lease.pending.unwrap();
    assert_eq!(
        (pending.at.clone(), pending.state.clone()),
        (Checkpoint::At(within.clone()), Some(state))
    );
    assert_eq!(
        lease.checkpoint,
        at(&sequences[0]),
        "what is committed stays"
    );
    run.crash().await;

    let run = Fleet::new(&stream, &table)
        .with(manual)
        .start(Script::default());
    run.seen.wait_for_records(2).await;
    let first_call = run.seen.calls_of(&shard).remove(0);
    let expected = format!("{within} {:?}", pending.state);
    assert!(
        matches!(&first_call, Call::Initialize { pending: Some(pending), .. } if *pending == expected),
        "{first_call:?}"
    );
    assert_eq!(
        run.seen.payloads(),
        payloads(1..3),
        "from the committed checkpoint on"
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn state_is_kept_when_prepared_at_the_stored_position() {
    let (stream, shard, sequences) = one_shard(1);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(1).await;
    let checkpointer = checkpointers(&kept).remove(0);
    checkpointer.checkpoint().await.unwrap();
    let prepared = checkpointer
        .prepare(Some(Bytes::from_static(b"s")))
        .await
        .unwrap();
    assert!(lease_of(&table, &shard).await.pending.is_some());
    prepared.commit().await.unwrap();
    let lease = lease_of(&table, &shard).await;
    assert_eq!(
        (lease.pending, lease.checkpoint),
        (None, at(&sequences[0])),
        "committing removes what was prepared"
    );
    run.stop().await.unwrap();
}

/// None is committed behind a later checkpoint.
#[tokio::test]
async fn a_newer_prepared_checkpoint_replaces_the_older_one() {
    let (stream, shard, sequences) = one_shard(3);
    let (table, (kept, script)) = (MemoryLeaseTable::new(), pipelined());
    let run = Fleet::new(&stream, &table).with(manual).start(script);
    run.seen.wait_for_records(3).await;
    let [first, second, third] = checkpointers(&kept).try_into().unwrap();
    let oldest = first.prepare(Some(Bytes::from_static(b"1"))).await.unwrap();
    let older = second
        .prepare(Some(Bytes::from_static(b"2")))
        .await
        .unwrap();
    let lease = lease_of(&table, &shard).await;
    assert_eq!(
        lease.pending.map(|pending| pending.at),
        Some(at(&sequences[1]))
    );
    oldest.commit().await.unwrap();
    let lease = lease_of(&table, &shard).await;
    assert_eq!(
        (lease.checkpoint, lease.pending),
        (at(&sequences[0]), None),
        "any commit ends what is prepared"
    );
    third.checkpoint().await.unwrap();
    let late = older.commit().await;
    assert!(is_behind(&late), "{late:?}");
    assert!(matches!(
        first.prepare(None).await,
        Err(CheckpointError::OutOfRange(Refused::BehindStored { .. }))
    ));
    assert_eq!(lease_of(&table, &shard).await.checkpoint, at(&sequences[2]));
    run.stop().await.unwrap();
}
