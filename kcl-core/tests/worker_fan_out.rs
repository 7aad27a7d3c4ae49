//! A worker to which records are pushed: nothing is lost and nothing comes twice, whatever becomes of its subscriptions.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

mod support;

use std::time::Duration;

use kcl_core::fetch::fan_out::SILENCE;
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::{Operation, SubscriptionFault};
use support::{Pushing, Script, payloads};

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
    assert_eq!(world.stream.call_count(Operation::RegisterConsumer, None), 1);
    let consumers = world.stream.consumers();
    assert!(matches!(&consumers[..], [consumer] if &*consumer.name == "tests"), "{consumers:?}");
    run.stop().await.unwrap();
    assert_eq!(world.stream.consumers().len(), 1, "a stop removes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_ends_resets_and_refusals_lose_nothing_and_repeat_nothing() {
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
        world.stream.fail_next_of(shard, Operation::Subscribe, kind, refusals);
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
    let mut seen: Vec<usize> = run.seen.payloads().iter().filter_map(|payload| payload.parse().ok()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..put).collect::<Vec<_>>());
    let (made, calls) = (world.stream.subscriptions().len() as u64, world.stream.call_count(Operation::Subscribe, None));
    assert!(calls >= 1000 && made > 300, "{calls} calls made {made} subscriptions");
    world.assert_paced();
    assert!(world.longest_pause() < Duration::from_secs(2), "{:?}", world.longest_pause());
    run.stop().await.unwrap();
}
