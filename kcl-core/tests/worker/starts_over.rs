//! Processors that lose what they did after the checkpoint: another one gets it again.
#![allow(
    clippy::disallowed_methods,
    reason = "a test measures the time of its paused runtime"
)]

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    Call, Fleet, Nth, Script, TokioClock, at, lease_of, one_shard, payloads, until, wait_for_lease,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::processor::StartOver;
use kcl_core::worker::{Checkpoints, CoordinationOn, Event};
use kcl_core::{BoxError, Failure};
use tokio::time::Instant;

/// Six records, one in each batch. The second is checkpointed, and at the fifth the processor is
/// lost, together with the third and the fourth.
#[tokio::test]
async fn a_processor_starts_over_at_the_stored_checkpoint() {
    let (stream, shard, sequences) = one_shard(6);
    let (table, calls) = (MemoryLeaseTable::new(), Nth::default());
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.max_records(1).checkpoints(Checkpoints::Manual))
        .start(Script::process(move |input| {
            let call = calls.next();
            async move {
                match call {
                    2 => input.checkpointer.checkpoint().await?,
                    5 => return Err(StartOver::because("the child has died").into()),
                    9 => input.checkpointer.checkpoint().await?,
                    _ => {}
                }
                Ok(())
            }
        }));
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint == at(&sequences[5])
    })
    .await;
    let (seen, heard) = (run.seen.clone(), run.heard.clone());
    run.stop().await.unwrap();
    let delivered: Vec<String> = seen
        .batches_of(&shard)
        .into_iter()
        .flat_map(|(_, records)| records)
        .collect();
    assert_eq!(delivered, [payloads(0..5), payloads(2..6)].concat());
    let begun: Vec<String> = seen
        .calls_of(&shard)
        .into_iter()
        .filter_map(|call| match call {
            Call::Initialize { checkpoint, .. } => Some(checkpoint),
            _ => None,
        })
        .collect();
    assert_eq!(begun, ["TRIM_HORIZON".to_owned(), sequences[1].to_string()]);
    assert_eq!(
        seen.count(&shard, |call| matches!(call, Call::LeaseLost { .. })),
        1,
        "only the last processor is told that it is over"
    );
    let acquired = |event: &Event| matches!(event, Event::LeaseAcquired { .. });
    assert_eq!(heard.count(acquired), 1, "the lease is kept");
}

/// The end of a shard is not stored by a processor that has lost its records.
#[tokio::test]
async fn a_processor_starts_over_at_the_end_of_its_shard() {
    let (stream, shard, _) = one_shard(3);
    let (table, calls) = (MemoryLeaseTable::new(), Nth::default());
    stream.split_evenly(&shard).unwrap();
    let script = Script {
        shard_ended: Some(Arc::new(move |_| {
            let call = calls.next();
            Box::pin(async move {
                if call < 3 {
                    return Err(BoxError::from(StartOver::because("the child has died")));
                }
                Ok(())
            })
        })),
        ..Script::default()
    };
    let run = Fleet::new(&stream, &table)
        .with(|builder| builder.checkpoints(Checkpoints::Manual))
        .start(script);
    wait_for_lease(&table, &shard, |lease| lease.checkpoint.is_shard_end()).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(seen.records(), 9, "each of three processors got them all");
    assert_eq!(
        seen.count(&shard, |call| matches!(call, Call::ShardEnded { .. })),
        3
    );
}

/// One that is lost again and again at the same place pauses longer each time, although each new one
/// begins well.
#[tokio::test(start_paused = true)]
async fn the_pauses_grow_until_the_checkpoint_does() {
    let (stream, shard, _) = one_shard(1);
    let table = MemoryLeaseTable::new();
    let begun = Instant::now();
    let run = Fleet::new(&stream, &table)
        .with(|builder| {
            builder
                .checkpoints(Checkpoints::Manual)
                .clock(TokioClock::new())
                .coordination_on(CoordinationOn::CallersRuntime)
                .retry_pause(Duration::from_secs(1), Duration::from_secs(64))
        })
        .start(Script::process(|_| async {
            Err(Failure::from(StartOver::because("the child has died")))
        }));
    until("seven processors", || {
        run.seen
            .count(&shard, |call| matches!(call, Call::Process { .. }))
            >= 7
    })
    .await;
    // At least half of 1 + 2 + 4 + 8 + 16 + 32 seconds.
    assert!(begun.elapsed() >= Duration::from_millis(31_500));
    let checkpoint = lease_of(&table, &shard).await.checkpoint;
    assert!(checkpoint.position().is_none(), "{checkpoint}");
    run.stop().await.unwrap();
}
