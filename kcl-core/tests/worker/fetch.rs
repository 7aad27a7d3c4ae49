//! Reading: what the stream may do on a bad day, and that no record is skipped by it.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::time::Duration;

use crate::support::{
    Call, Fleet, HookedStream, Nth, Script, Seen, lease_of, next_millisecond, one_shard, payloads,
    wait_for_lease,
};
use kcl_core::InitialPosition;
use kcl_core::lease::LeaseTable;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey, Position, ShardId};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::stream::{ErrorKind, StartAt};
use kcl_core::worker::{Event, RunError};

/// A stream whose cursors expire at the first read of a run, before any record came.
fn expiring_at_once(stream: &MemoryStream) -> HookedStream {
    let (hooked, reads) = (HookedStream::new(stream), Nth::default());
    let inner = stream.clone();
    hooked.before(move |operation, _| {
        if operation == Operation::Read && reads.next() == 1 {
            inner.expire_cursors();
        }
        async {}
    });
    hooked
}

/// Before any record has come.
#[tokio::test]
async fn an_early_expired_iterator_is_reopened_at_the_checkpoint() {
    let (stream, shard, sequences) = one_shard(3);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.seen.wait_for_records(3).await;
    run.stop().await.unwrap();
    // Within an aggregate: opening after it would skip its rest.
    let within = Position::new(sequences[1].clone(), 4);
    table.edit(&LeaseKey::single(shard.clone()), |lease| {
        lease.checkpoint = Checkpoint::At(within);
    });
    let hooked = expiring_at_once(&stream);
    let run = Fleet::new(&hooked, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    assert_eq!(run.seen.payloads(), ["2"]);
    assert_eq!(
        hooked.opened(&shard),
        vec![StartAt::Sequence(sequences[1].clone()); 2]
    );
    run.stop().await.unwrap();
}

/// Before any record has come.
#[tokio::test]
async fn latest_that_expires_early_is_reopened_at_the_same_time() {
    let (stream, shard, _) = one_shard(1);
    next_millisecond().await;
    let table = MemoryLeaseTable::new();
    let hooked = expiring_at_once(&stream);
    let run = Fleet::new(&hooked, &table)
        .initial_position(InitialPosition::Latest)
        .start(Script::default());
    run.seen.wait_for_initialized(1).await;
    next_millisecond().await;
    stream.put_to(&shard, "k", "after").unwrap();
    run.seen.wait_for_records(1).await;
    let opened = hooked.opened(&shard);
    assert!(
        matches!(&opened[..], [StartAt::Timestamp(first), StartAt::Timestamp(second)] if first == second),
        "{opened:?}"
    );
    assert_eq!(
        lease_of(&table, &shard)
            .await
            .facts
            .first_time()
            .map(StartAt::Timestamp)
            .as_ref(),
        opened.first()
    );
    assert_eq!(run.seen.payloads(), ["after"]);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn iterators_that_expire_under_backlog_skip_and_repeat_nothing() {
    let (stream, _, _) = one_shard(200);
    let expiring = stream.clone();
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.max_records(3))
        .start(Script::process(move |_| {
            expiring.expire_cursors();
            async {
                tokio::task::yield_now().await;
                Ok(())
            }
        }));
    run.seen.wait_for_records(200).await;
    assert_eq!(run.seen.payloads(), payloads(0..200));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn errors_that_pass_are_waited_out_and_nothing_is_lost() {
    let (stream, shard, _) = one_shard(20);
    for operation in [
        Operation::Describe,
        Operation::ListShards,
        Operation::Open,
        Operation::Read,
    ] {
        stream.fail_next(operation, ErrorKind::Transient, 2);
    }
    stream.fail_next(Operation::Read, ErrorKind::Expired, 2);
    stream.fail_next(Operation::Open, ErrorKind::Throttled, 1);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.max_records(4))
        .start(Script::default());
    run.seen.wait_for_records(10).await;
    stream.fail_next(Operation::Read, ErrorKind::Transient, 2);
    stream.put_to(&shard, "k", "20").unwrap();
    run.seen.wait_for_records(21).await;
    assert_eq!(run.seen.payloads(), payloads(0..21));
    run.stop().await.unwrap();
}

/// The moments of the reads of a shard, in milliseconds from the first.
fn reads(stream: &MemoryStream, shard: &ShardId) -> Vec<u128> {
    let calls = stream.calls();
    let reads: Vec<_> = calls
        .iter()
        .filter(|call| call.operation == Operation::Read && call.shard.as_ref() == Some(shard))
        .collect();
    reads
        .iter()
        .map(|call| call.at.since(reads[0].at).as_millis())
        .collect()
}

#[tokio::test]
async fn a_throttled_shard_is_read_again_after_a_growing_pause() {
    let (stream, shard, _) = one_shard(1);
    stream.fail_next_of(&shard, Operation::Read, ErrorKind::Throttled, 3);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new()).start(Script::default());
    run.seen.wait_for_records(1).await;
    let reads = reads(&stream, &shard);
    let pauses: Vec<_> = reads
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .take(3)
        .collect();
    assert!(
        pauses[0] >= 200 && pauses[1] >= 400 && pauses[2] >= 800,
        "{pauses:?}"
    );
    assert!(pauses[2] <= 1700, "{pauses:?}");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn no_second_sees_more_calls_of_a_shard_than_the_service_allows() {
    let (stream, shard, _) = one_shard(100);
    let run = Fleet::new(&stream, &MemoryLeaseTable::new())
        .with(|builder| builder.calls_per_second(5).max_records(8))
        .start(Script::default());
    run.seen.wait_for_records(96).await;
    run.stop().await.unwrap();
    let reads = reads(&stream, &shard);
    assert!(
        reads.len() >= 12,
        "far behind it reads on at once: {reads:?}"
    );
    for window in reads.windows(6) {
        assert!(window[5] - window[0] >= 1000, "{reads:?}");
    }
}

/// The others go on.
#[tokio::test]
async fn an_unreadable_shard_is_released_and_retried_ever_later() {
    let stream = MemoryStream::new("orders", 2);
    let [denied, fine] = stream.open_shards().try_into().unwrap();
    stream.put_to(&denied, "k", "denied").unwrap();
    stream.put_to(&fine, "k", "fine").unwrap();
    stream.fail_next_of(&denied, Operation::Read, ErrorKind::Denied, 2);
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&stream, &table).start(Script::default());
    run.heard
        .wait_for(
            "the event",
            |event| matches!(event, Event::ShardUnreadable { shard, .. } if shard.shard == denied),
        )
        .await;
    wait_for_lease(&table, &denied, |lease| lease.owner.is_none()).await;
    run.seen
        .wait_for_call(&fine, "a batch", |call| {
            matches!(call, Call::Process { .. })
        })
        .await;
    run.seen
        .wait_for_call(&denied, "a batch", |call| {
            matches!(call, Call::Process { .. })
        })
        .await;
    let reads = reads(&stream, &denied);
    assert!(reads[1] >= 1000 && reads[2] - reads[1] >= 2000, "{reads:?}");
    let lost: Vec<_> = run
        .seen
        .calls_of(&denied)
        .into_iter()
        .filter_map(|call| {
            if let Call::LeaseLost { reason } = call {
                Some(reason)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(lost.len(), 2);
    assert!(
        lost.iter().all(|reason| reason.starts_with("Unreadable")),
        "{lost:?}"
    );
    assert_eq!(
        run.seen
            .count(&fine, |call| matches!(call, Call::LeaseLost { .. })),
        0
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn an_error_that_no_shard_survives_is_what_run_returns() {
    for operation in [
        Operation::Describe,
        Operation::ListShards,
        Operation::Open,
        Operation::Read,
    ] {
        let (stream, _, _) = one_shard(1);
        stream.fail_next(operation, ErrorKind::Fatal, 1);
        let table = MemoryLeaseTable::new();
        let run = Fleet::new(&stream, &table).start(Script::default());
        let ended = run.ended().await;
        assert!(
            matches!(&ended, Err(RunError::Stream(error)) if error.kind == ErrorKind::Fatal),
            "{operation:?}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_panics_is_what_run_returns() {
    let (stream, _, _) = one_shard(1);
    let hooked = HookedStream::new(&stream);
    hooked.before(|operation, _| {
        assert!(operation != Operation::Read, "a panic of the stream");
        async {}
    });
    let run = Fleet::new(&hooked, &MemoryLeaseTable::new()).start(Script::default());
    let ended = run.ended().await;
    assert!(matches!(ended, Err(RunError::Internal(_))), "{ended:?}");
}

#[tokio::test]
async fn a_read_that_takes_longer_than_the_handler_may_costs_no_lease() {
    let (stream, shard, _) = one_shard(2);
    let (hooked, reads) = (HookedStream::new(&stream), Nth::default());
    hooked.before(move |operation, _| {
        let slow = operation == Operation::Read && reads.next() == 1;
        async move {
            if slow {
                tokio::time::sleep(Duration::from_millis(2200)).await;
            }
        }
    });
    let table = MemoryLeaseTable::new();
    let run = Fleet::new(&hooked, &table)
        .with(|builder| builder.handler_budget(Duration::from_secs(1)))
        .start(Script::default());
    run.seen.wait_for_records(2).await;
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::Initialize { .. })),
        1
    );
    assert_eq!(
        run.seen
            .count(&shard, |call| matches!(call, Call::LeaseLost { .. })),
        0
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_timestamp_begins_with_its_first_record_after_a_restart_too() {
    let (stream, shard, _) = one_shard(1);
    next_millisecond().await;
    let time = kcl_core::Clock::wall(&kcl_core::SystemClock);
    next_millisecond().await;
    stream.put_to(&shard, "k", "after").unwrap();
    let table = MemoryLeaseTable::new();
    let fleet = || Fleet::new(&stream, &table).initial_position(InitialPosition::AtTimestamp(time));
    let seen = Seen::default();
    let run = fleet().start_with(Script::process(|_| std::future::pending()), seen.clone());
    seen.wait_for_records(1).await;
    run.crash().await;
    assert_eq!(
        table
            .get(&LeaseKey::single(shard.clone()))
            .await
            .unwrap()
            .unwrap()
            .checkpoint,
        Checkpoint::AtTimestamp
    );
    let run = fleet().start_with(Script::default(), seen.clone());
    seen.wait_for_records(2).await;
    assert_eq!(seen.payloads(), ["after", "after"]);
    run.stop().await.unwrap();
}
