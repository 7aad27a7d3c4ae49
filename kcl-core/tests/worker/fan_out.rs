//! A worker to which records are pushed: nothing is lost and nothing comes twice, whatever becomes
//! of its subscriptions.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Call, Gate, Pushing, Script, Seen, payloads, wait_for_lease};
use kcl_core::aggregate::Aggregator;
use kcl_core::model::{Checkpoint, Position, ShardId};
use kcl_core::stream::memory::{MemoryStream, Operation, SubscriptionFault};
use kcl_core::stream::{ErrorKind, StartAt};
use kcl_core::worker::DataGap;
use kcl_core::worker::{Checkpoints, Event};

/// From where the only shard was subscribed to, each time.
pub(super) fn starts(stream: &MemoryStream) -> Vec<StartAt> {
    stream
        .subscriptions()
        .into_iter()
        .map(|made| made.start)
        .collect()
}

/// Puts an aggregate of user records with these numbers.
pub(super) fn put_aggregate(
    stream: &MemoryStream,
    shard: &ShardId,
    numbers: std::ops::Range<usize>,
) -> kcl_core::model::SequenceNumber {
    let mut aggregator = Aggregator::new();
    for n in numbers {
        assert_eq!(
            aggregator.add(&format!("key-{n}"), Some(0), n.to_string().as_bytes()),
            Ok(None)
        );
    }
    let aggregate = aggregator.finish().unwrap();
    stream
        .put_to(shard, &aggregate.partition_key, aggregate.data)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn records_are_pushed_to_one_consumer_and_none_is_polled() {
    let world = Pushing::new(4);
    let run = world.fleet().start(Script::default());
    for n in 0..100 {
        world.stream.put(&n.to_string(), n.to_string()).unwrap();
    }
    run.seen.wait_for_records(100).await;
    run.seen.assert_in_order();
    assert_eq!(run.seen.duplicates(), 0);
    assert_eq!(world.stream.call_count(Operation::Read, None), 0);
    assert_eq!(world.stream.call_count(Operation::Subscribe, None), 4);
    assert_eq!(
        world.stream.call_count(Operation::RegisterConsumer, None),
        1
    );
    let consumers = world.stream.consumers();
    assert!(
        matches!(&consumers[..], [consumer] if &*consumer.name == "tests"),
        "{consumers:?}"
    );
    run.stop().await.unwrap();
    assert_eq!(world.stream.consumers().len(), 1, "a stop removes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_ends_resets_and_refusals_lose_and_repeat_nothing() {
    let world = Pushing::new(4);
    let shards = world.stream.open_shards();
    let run = world.fleet().start(Script::default());
    let (mut put, mut troubles) = (0_usize, 0_u64);
    // Any sequence will do, as long as it is the same each time.
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    while troubles < 1000 {
        let shard = &shards[usize::try_from(draw(4)).unwrap()];
        let events = u32::try_from(draw(4)).unwrap();
        let fault = match draw(4) {
            0 => SubscriptionFault::EndAfter(events),
            1 => SubscriptionFault::BreakAfter(events, ErrorKind::Transient),
            2 => SubscriptionFault::BreakAfter(0, ErrorKind::Transient),
            _ => SubscriptionFault::BreakAfter(events, ErrorKind::Busy),
        };
        world.stream.next_subscription(shard, fault);
        let refusals = u32::try_from(draw(3)).unwrap();
        let kind = [ErrorKind::Busy, ErrorKind::Transient][usize::try_from(draw(2)).unwrap()];
        world
            .stream
            .fail_next_of(shard, Operation::Subscribe, kind, refusals);
        troubles += 1 + u64::from(refusals);
        for _ in 0..draw(6) {
            world.stream.put(&put.to_string(), put.to_string()).unwrap();
            put += 1;
        }
        tokio::time::sleep(Duration::from_millis(draw(3000))).await;
    }
    // Long enough for whatever was asked for to have happened.
    tokio::time::sleep(Duration::from_hours(2)).await;
    for shard in &shards {
        world.stream.put_to(shard, "k", "last").unwrap();
    }
    run.seen.wait_for_records(put + 4).await;
    run.seen.assert_in_order();
    let mut seen: Vec<usize> = run
        .seen
        .payloads()
        .iter()
        .filter_map(|payload| payload.parse().ok())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..put).collect::<Vec<_>>());
    let (made, calls) = (
        world.stream.subscriptions().len() as u64,
        world.stream.call_count(Operation::Subscribe, None),
    );
    assert!(
        calls >= 1000 && made > 300,
        "{calls} calls made {made} subscriptions"
    );
    world.assert_paced();
    assert!(
        world.longest_pause() < Duration::from_secs(2),
        "{:?}",
        world.longest_pause()
    );
    run.stop().await.unwrap();
}

/// The data-loss edge of going on AFTER the checkpoint as soon as a stream has opened: the rest of
/// an aggregate would be skipped.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_in_an_aggregate_survives_failed_subscriptions() {
    let world = Pushing::new(1);
    let shard = world.shard();
    let sequence = put_aggregate(&world.stream, &shard, 0..10);
    let run = world
        .fleet()
        .with(|builder| builder.checkpoints(Checkpoints::Manual))
        .start(Script::process(|input| async move {
            input.checkpointer.checkpoint_at(&input.records[3]).await?;
            Ok(())
        }));
    let inside = Checkpoint::At(Position::new(sequence.clone(), 3));
    wait_for_lease(&world.table, &shard, |lease| lease.checkpoint == inside).await;
    run.stop().await.unwrap();
    let before = world.stream.subscriptions().len();
    for fault in [ErrorKind::Transient, ErrorKind::Busy, ErrorKind::Transient] {
        world
            .stream
            .next_subscription(&shard, SubscriptionFault::BreakAfter(0, fault));
    }
    world
        .stream
        .next_subscription(&shard, SubscriptionFault::EndAfter(0));
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(6).await;
    assert_eq!(run.seen.payloads(), payloads(4..10));
    assert_eq!(
        starts(&world.stream)[before..],
        vec![StartAt::Sequence(sequence); 5]
    );
    run.stop().await.unwrap();
}

/// The shard is subscribed to again after it.
#[tokio::test(start_paused = true)]
async fn a_handler_of_ten_minutes_loses_no_lease() {
    let world = Pushing::new(1);
    let shard = world.shard();
    world.stream.put_to(&shard, "k", "0").unwrap();
    let run = world
        .fleet()
        .with(|builder| builder.handler_budget(Duration::from_mins(30)))
        .start(Script::process(|input| async move {
            if &*input.records[0].data == b"0" {
                tokio::time::sleep(Duration::from_mins(10)).await;
            }
            Ok(())
        }));
    run.seen.wait_for_records(1).await;
    // More than is fetched ahead: the shard is not read any more.
    for n in 1..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.stream.put_to(&shard, "k", n.to_string()).unwrap();
    }
    tokio::time::sleep(Duration::from_mins(9)).await;
    assert_eq!(
        world.stream.call_count(Operation::Subscribe, None),
        1,
        "nobody has asked for what comes next"
    );
    tokio::time::sleep(Duration::from_mins(2)).await;
    run.seen.wait_for_records(30).await;
    assert_eq!(run.seen.payloads(), payloads(0..30));
    assert_eq!(world.stream.call_count(Operation::Subscribe, None), 2);
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::LeaseLost { .. })),
        0
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_stopped_handler_of_sixty_four_affects_no_other_shard() {
    const MIB: usize = 1024 * 1024;
    let world = Pushing::new(64);
    let shards = world.stream.open_shards();
    let (gate, stuck) = (Gate::new(), shards[7].clone());
    let (opened, stopped) = (gate.clone(), stuck.clone());
    let most = Arc::new(AtomicUsize::new(0));
    let budget = kcl_core::ByteBudget::new(10 * MIB).unwrap();
    let (held, of) = (Arc::clone(&most), budget.clone());
    let run = world
        .fleet()
        .with(|builder| {
            builder
                .byte_budget(budget)
                .handler_budget(Duration::from_hours(2))
        })
        .start(Script::process(move |input| {
            let wait = (input.shard.shard == stopped).then(|| opened.pass());
            held.fetch_max(of.used(), Ordering::SeqCst);
            async move {
                if let Some(wait) = wait {
                    wait.await;
                }
                Ok(())
            }
        }));
    let payload = bytes::Bytes::from(vec![b'x'; MIB / 8]);
    for _ in 0..20 {
        let begun = world.now();
        let before = run
            .seen
            .calls()
            .iter()
            .filter(|(shard, call)| *shard != stuck && matches!(call, Call::Process { .. }))
            .count();
        for shard in &shards {
            world.stream.put_to(shard, "k", payload.clone()).unwrap();
        }
        let all = |calls: &[(ShardId, Call)]| {
            calls
                .iter()
                .filter(|(shard, call)| *shard != stuck && matches!(call, Call::Process { .. }))
                .count()
                >= before + 63
        };
        run.seen.wait_for("the other shards", all).await;
        // The first time the leases are acquired too.
        assert!(
            before == 0 || world.now().since(begun) < Duration::from_millis(100),
            "{:?}",
            world.now().since(begun)
        );
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(
        run.seen
            .count(&stuck, |call| matches!(call, Call::Process { .. })),
        1
    );
    // What is set aside for idle subscriptions, what the stopped shard holds, and an event a shard
    // at the most.
    assert!(
        most.load(Ordering::SeqCst) <= 10 * MIB + 64 * MIB / 8,
        "{}",
        most.load(Ordering::SeqCst)
    );
    gate.open();
    run.seen.wait_for_records(64 * 20).await;
    assert_eq!(run.seen.duplicates(), 0);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn idle_subscriptions_leave_the_shared_part_of_the_budget_alone() {
    const MIB: usize = 1024 * 1024;
    let world = Pushing::new(64);
    let budget = kcl_core::ByteBudget::new(10 * MIB).unwrap();
    let run = world
        .fleet()
        .with(|builder| builder.byte_budget(budget.clone()))
        .start(Script::default());
    // Large events first, so that each shard expects more of them.
    for shard in world.stream.open_shards() {
        world
            .stream
            .put_to(&shard, "k", vec![b'x'; MIB / 2])
            .unwrap();
    }
    run.seen.wait_for_records(64).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(budget.used() <= 5 * MIB, "{}", budget.used());
    run.stop().await.unwrap();
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn children_follow_their_parents_through_splits_and_merges() {
    let world = Pushing::new(2);
    let run = world.fleet().start(Script::default());
    let mut put = 0;
    let mut put_some = || {
        for _ in 0..40 {
            world.stream.put(&put.to_string(), put.to_string()).unwrap();
            put += 1;
        }
        put
    };
    put_some();
    let [a, b] = world.stream.split_evenly(&world.shard()).unwrap();
    put_some();
    world.stream.merge(&a, &b).unwrap();
    put_some();
    let [c, _] = world
        .stream
        .split_evenly(&world.stream.open_shards()[1])
        .unwrap();
    let put = put_some();
    // One that is empty when its parent ends.
    world.stream.split_evenly(&c).unwrap();
    run.seen.wait_for_records(put).await;
    assert_eq!(run.seen.duplicates(), 0);
    run.seen.assert_in_order();
    run.seen.assert_parents_first(&world.stream);
    for shard in world
        .stream
        .shards()
        .into_iter()
        .filter(|shard| shard.closed)
    {
        wait_for_lease(&world.table, &shard.id, |lease| {
            lease.checkpoint.is_shard_end()
        })
        .await;
        assert_eq!(
            run.seen
                .count(&shard.id, |call| matches!(call, Call::ShardEnded { .. })),
            1,
            "{}",
            shard.id
        );
    }
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_has_ended_is_not_subscribed_to_again() {
    let world = Pushing::new(2);
    let shard = world.shard();
    world.stream.put_to(&shard, "k", "last").unwrap();
    world.stream.close(&shard).unwrap();
    let run = world.fleet().start(Script::default());
    wait_for_lease(&world.table, &shard, |lease| {
        lease.checkpoint.is_shard_end()
    })
    .await;
    tokio::time::sleep(Duration::from_mins(12)).await;
    assert_eq!(
        world.stream.call_count(Operation::Subscribe, Some(&shard)),
        1
    );
    assert_eq!(run.seen.payloads(), ["last"]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_retention_took_is_a_gap_also_when_records_are_pushed() {
    let world = Pushing::new(1);
    let shard = world.shard();
    let first = world.stream.put_to(&shard, "k", "0").unwrap();
    let run = world.fleet().start(Script::default());
    wait_for_lease(&world.table, &shard, |lease| {
        lease.checkpoint == Checkpoint::At(first.clone().into())
    })
    .await;
    run.stop().await.unwrap();
    let lost = world.stream.put_to(&shard, "k", "lost").unwrap();
    world.stream.trim(&shard, &lost).unwrap();
    let next = world.stream.put_to(&shard, "k", "1").unwrap();
    let run = world.fleet().start(Script::default());
    run.seen.wait_for_records(1).await;
    let gap = |event| {
        if let Event::DataGap { gap, .. } = event {
            Some(gap)
        } else {
            None
        }
    };
    let gaps: Vec<DataGap> = run.heard.all().into_iter().filter_map(gap).collect();
    assert!(
        matches!(&gaps[..], [gap] if !gap.certain && gap.before == Some(next.into())),
        "{gaps:?}"
    );
    assert_eq!(run.seen.payloads(), ["1"]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_another_worker_resumes_from_the_checkpoint() {
    let world = Pushing::new(4);
    let seen = Seen::default();
    let first = world.fleet().start_with(Script::default(), seen.clone());
    world
        .stream
        .put_many((0..100).map(|n| (n.to_string(), n.to_string())))
        .unwrap();
    seen.wait_for_records(100).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.crash().await;
    let second = world.fleet().start_with(Script::default(), seen.clone());
    world
        .stream
        .put_many((100..200).map(|n| (n.to_string(), n.to_string())))
        .unwrap();
    seen.wait_for_records(200).await;
    assert_eq!(seen.duplicates(), 0);
    second.stop().await.unwrap();
}
