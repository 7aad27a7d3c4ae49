//! Answers that say that a shard has ended, rightly or wrongly, and subscriptions that never say
//! so.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::ShardId;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{Builder, Event, FanOutConfig, Mode};

use crate::support::{
    Call, Counters, Fleet, Odd, Pushing, Run, Script, at, lease_of, locked, one_shard, payloads,
    until, wait_for_lease,
};

fn by_fan_out() -> Mode {
    Mode::FanOut(FanOutConfig::managed())
}

fn refused(run: &Run) -> usize {
    run.heard
        .count(|event| matches!(event, Event::EndRefused { .. }))
}

fn gaps(run: &Run) -> usize {
    run.heard
        .count(|event| matches!(event, Event::DataGap { .. }))
}

fn ends(run: &Run, shard: &ShardId) -> usize {
    run.seen
        .count(shard, |call| matches!(call, Call::ShardEnded { .. }))
}

/// The shard goes on, is neither told nor stored to have ended, and ends when it does.
async fn goes_on_and_ends(
    run: Run,
    stream: &MemoryStream,
    table: &MemoryLeaseTable,
    shard: &ShardId,
    read: usize,
) {
    stream.put_to(shard, "k", read.to_string()).unwrap();
    run.seen.wait_for_records(read + 1).await;
    assert_eq!(run.seen.payloads(), payloads(0..read + 1));
    assert!(!lease_of(table, shard).await.checkpoint.is_shard_end());
    assert_eq!((ends(&run, shard), gaps(&run)), (0, 0));
    stream.split_evenly(shard).unwrap();
    wait_for_lease(table, shard, |lease| lease.checkpoint.is_shard_end()).await;
    assert_eq!(ends(&run, shard), 1);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn an_empty_answer_ends_no_open_shard() {
    let (stream, shard, _) = one_shard(2);
    let (odd, table) = (Odd::new(&stream), MemoryLeaseTable::new());
    let run = Fleet::new(&odd, &table).start(Script::default());
    run.seen.wait_for_records(2).await;
    let mut empty = 3;
    odd.pages(move |_, page| {
        if empty > 0 {
            empty -= 1;
            *page = kcl_core::stream::Page::default();
        }
    });
    until("the refusals", || refused(&run) == 2).await;
    goes_on_and_ends(run, &stream, &table, &shard, 2).await;
}

#[tokio::test]
async fn the_first_answer_after_a_start_may_be_empty_without_a_gap() {
    let (stream, shard, _) = one_shard(2);
    let (odd, table) = (Odd::new(&stream), MemoryLeaseTable::new());
    let run = Fleet::new(&odd, &table).start(Script::default());
    wait_for_lease(&table, &shard, |lease| {
        lease.checkpoint.position().is_some()
    })
    .await;
    run.seen.wait_for_records(2).await;
    run.stop().await.unwrap();
    let mut empty = 2;
    odd.pages(move |_, page| {
        if empty > 0 {
            empty -= 1;
            *page = kcl_core::stream::Page::default();
        }
    });
    let run = Fleet::new(&odd, &table).start(Script::default());
    until("the refusals", || refused(&run) == 2).await;
    stream.put_to(&shard, "k", "2").unwrap();
    run.seen.wait_for_records(1).await;
    assert_eq!((run.seen.payloads(), gaps(&run)), (payloads(2..3), 0));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn records_beside_a_false_end_are_delivered_and_not_as_the_last() {
    let (stream, shard, _) = one_shard(3);
    let (odd, table, last) = (
        Odd::new(&stream),
        MemoryLeaseTable::new(),
        Arc::new(AtomicBool::new(false)),
    );
    let mut times = 0;
    odd.pages(move |_, page| {
        times += 1;
        if times == 1 && !page.records.is_empty() {
            page.next = None;
        }
    });
    let told = Arc::clone(&last);
    let run = Fleet::new(&odd, &table).start(Script::process(move |input| {
        told.fetch_or(input.is_at_shard_end, Ordering::SeqCst);
        async { Ok(()) }
    }));
    run.seen.wait_for_records(3).await;
    until("the refusal", || refused(&run) == 1).await;
    assert!(!last.load(Ordering::SeqCst));
    goes_on_and_ends(run, &stream, &table, &shard, 3).await;
}

/// Nothing follows it, so it is not taken for one of many.
#[tokio::test]
async fn a_full_last_page_of_a_shard_is_at_its_tip() {
    let (stream, shard, _) = one_shard(2);
    stream.split_evenly(&shard).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let behind = Arc::clone(&told);
    let fleet =
        Fleet::new(&stream, &MemoryLeaseTable::new()).with(|builder| builder.max_records(2));
    let run = fleet.start(Script::process(move |input| {
        locked(&behind).push(input.millis_behind_latest);
        async { Ok(()) }
    }));
    run.seen.wait_for_records(2).await;
    run.stop().await.unwrap();
    assert_eq!(*locked(&told), [Some(0)]);
}

#[tokio::test]
async fn named_children_do_not_end_a_shard_that_is_listed_open() {
    let (stream, shard, _) = one_shard(1);
    let other = MemoryStream::new("orders", 1);
    other.split_evenly(&shard).unwrap();
    let (odd, table) = (Odd::new(&stream), MemoryLeaseTable::new());
    let children = odd_children(&other, &shard).await;
    let mut wrong = 2;
    odd.pages(move |_, page| {
        if wrong > 0 {
            wrong -= 1;
            page.next = None;
            page.children.clone_from(&children);
        }
    });
    let run = Fleet::new(&odd, &table).start(Script::default());
    until("the refusals", || refused(&run) == 2).await;
    goes_on_and_ends(run, &stream, &table, &shard, 1).await;
}

async fn odd_children(stream: &MemoryStream, parent: &ShardId) -> Vec<kcl_core::model::ChildShard> {
    use kcl_core::stream::{ShardFilter, Stream as _};
    let listed = stream
        .list_shards(&ShardFilter::All, None)
        .await
        .unwrap()
        .shards;
    let children = listed
        .into_iter()
        .filter(|shard| shard.parents.contains(parent));
    children
        .map(|child| kcl_core::model::ChildShard::new(child.id, child.parents, child.hash_range))
        .collect()
}

#[tokio::test]
async fn an_empty_answer_skips_no_record_of_a_closed_shard() {
    let (stream, shard, _) = one_shard(1);
    let (odd, table) = (Odd::new(&stream), MemoryLeaseTable::new());
    let run = Fleet::new(&odd, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    let (empty, given) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (held, gave) = (Arc::clone(&empty), Arc::clone(&given));
    odd.pages(move |_, page| {
        // What is there is held back until the shard is closed, and then denied four times.
        if !held.load(Ordering::SeqCst) {
            page.records.clear();
            page.children.clear();
            page.next = None;
        } else if gave.fetch_add(1, Ordering::SeqCst) < 4 {
            *page = kcl_core::stream::Page::default();
        }
    });
    until("a refusal", || refused(&run) > 0).await;
    stream.put_to(&shard, "k", "1").unwrap();
    stream.split_evenly(&shard).unwrap();
    empty.store(true, Ordering::SeqCst);
    wait_for_lease(&table, &shard, |lease| lease.checkpoint.is_shard_end()).await;
    assert_eq!(run.seen.payloads(), payloads(0..2));
    run.stop().await.unwrap();
}

/// Retention may take the shard while an answer without children is doubted.
#[tokio::test]
async fn a_shard_that_leaves_while_its_end_is_doubted_shows_a_gap() {
    let (stream, shard, sequences) = one_shard(1);
    let (odd, table) = (Odd::new(&stream), MemoryLeaseTable::new());
    let run = Fleet::new(&odd, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    let (leaves, going) = (stream.clone(), shard.clone());
    odd.pages(move |of, page| {
        // The last thing that is answered of the shard.
        if *of == going {
            *page = kcl_core::stream::Page::default();
            leaves.put_to(&going, "k", "1").unwrap();
            leaves.split_evenly(&going).unwrap();
            leaves.drop_shard(&going).unwrap();
        }
    });
    wait_for_lease(&table, &shard, |lease| lease.checkpoint.is_shard_end()).await;
    let gaps = run.heard.all().into_iter().filter_map(|event| match event {
        Event::DataGap { gap, .. } => Some((gap.after, gap.before)),
        _ => None,
    });
    assert_eq!(
        gaps.collect::<Vec<_>>(),
        [(at(&sequences[0]), None)],
        "record 1 was never given"
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_whose_close_is_listed_late_is_waited_for() {
    let world = Pushing::new(1);
    let (shard, odd) = (world.shard(), Odd::new(&world.stream));
    world.stream.put_to(&shard, "k", "0").unwrap();
    let run = world.fleet_of(&odd, Mode::Polling).start(Script::default());
    run.seen.wait_for_records(1).await;
    let before = shards_of(&world.stream).await;
    let lags = Arc::new(AtomicBool::new(true));
    let late = Arc::clone(&lags);
    odd.listings(move |shards| {
        if late.load(Ordering::SeqCst) {
            shards.clone_from(&before);
        }
    });
    let reads = world.stream.call_count(Operation::Read, Some(&shard));
    world.stream.split_evenly(&shard).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Neither the end nor a storm: the answer is read again with pauses.
    assert!(
        !lease_of(&world.table, &shard)
            .await
            .checkpoint
            .is_shard_end()
    );
    assert_eq!(ends(&run, &shard), 0);
    let reads = world.stream.call_count(Operation::Read, Some(&shard)) - reads;
    assert!((10..40).contains(&reads), "{reads}");
    assert!(
        (4..=6).contains(&refused(&run)),
        "told less and less often: {}",
        refused(&run)
    );
    lags.store(false, Ordering::SeqCst);
    wait_for_lease(&world.table, &shard, |lease| {
        lease.checkpoint.is_shard_end()
    })
    .await;
    assert_eq!(gaps(&run), 0);
    run.stop().await.unwrap();
}

async fn shards_of(stream: &MemoryStream) -> Vec<kcl_core::model::Shard> {
    use kcl_core::stream::{ShardFilter, Stream as _};
    stream
        .list_shards(&ShardFilter::All, None)
        .await
        .unwrap()
        .shards
}

#[tokio::test]
async fn an_unconfirmed_end_is_released_and_the_next_worker_ends_it() {
    let (stream, shard, _) = one_shard(1);
    let (odd, table) = (Odd::new(&stream), MemoryLeaseTable::new());
    let before = shards_of(&stream).await;
    let run = Fleet::new(&odd, &table).start(Script::default());
    run.seen.wait_for_records(1).await;
    odd.listings(move |shards| shards.clone_from(&before));
    stream.split_evenly(&shard).unwrap();
    until("a refusal", || refused(&run) > 0).await;
    let seen = run.seen.clone();
    run.stop().await.unwrap();
    assert_eq!(
        seen.count(&shard, |call| matches!(call, Call::ShardEnded { .. })),
        0
    );
    let row = lease_of(&table, &shard).await;
    assert!(
        row.owner.is_none() && row.checkpoint.position().is_some(),
        "{row:?}"
    );
    odd.listings(|_| {});
    let run = Fleet::new(&odd, &table).start(Script::default());
    wait_for_lease(&table, &shard, |lease| lease.checkpoint.is_shard_end()).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_false_end_is_counted() {
    let counters = Counters::of_this_process();
    let stream = MemoryStream::new("counted-ends", 1);
    let (shard, odd) = (stream.open_shards().remove(0), Odd::new(&stream));
    let mut times = 0;
    odd.pages(move |_, page| {
        times += 1;
        if times == 2 {
            *page = kcl_core::stream::Page::default();
        }
    });
    let fleet =
        Fleet::new(&odd, &MemoryLeaseTable::new()).with(|builder| builder.stream("counted-ends"));
    let run = fleet.start(Script::default());
    until("the count", || {
        counters.of("kcl_shard_ends_refused_total", "counted-ends") == 1
    })
    .await;
    stream.put_to(&shard, "k", "0").unwrap();
    run.seen.wait_for_records(1).await;
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_without_continuation_ends_no_open_shard() {
    let world = Pushing::new(1);
    let (shard, odd) = (world.shard(), Odd::new(&world.stream));
    let run = world.fleet_of(&odd, by_fan_out()).start(Script::default());
    let mut times = 0;
    odd.events(move |_, event| {
        times += 1;
        if times == 2 {
            (event.continuation, event.end) = (None, Some(Vec::new()));
        }
    });
    world
        .stream
        .put_many_to(&shard, [("k", "0"), ("k", "1")])
        .unwrap();
    run.seen.wait_for_records(2).await;
    until("the refusal", || refused(&run) == 1).await;
    goes_on_and_ends(run, &world.stream, &world.table, &shard, 2).await;
}

/// A shard is split, and no event says that it has ended.
async fn never_ends(names: bool) {
    let world = Pushing::new(1);
    let (shard, odd) = (world.shard(), Odd::new(&world.stream));
    odd.events(move |_, event| {
        if let Some(children) = event.end.take() {
            event.continuation = Some("1".parse().unwrap());
            if names {
                event.named = children;
            }
        }
    });
    let run = world.fleet_of(&odd, by_fan_out()).start(Script::default());
    world.stream.put_to(&shard, "k", "0").unwrap();
    run.seen.wait_for_records(1).await;
    for child in world.stream.split_evenly(&shard).unwrap() {
        world.stream.put_to(&child, "k", "child").unwrap();
    }
    let split = world.now();
    run.seen.wait_for_records(3).await;
    let took = world.now().since(split);
    // Told of children at once; otherwise an audit has to come first, which may be one period late.
    assert!(
        took < Duration::from_secs(if names { 15 } else { 130 }),
        "{took:?}"
    );
    assert_eq!((ends(&run, &shard), gaps(&run), refused(&run)), (1, 0, 0));
    assert_eq!(run.seen.payloads(), ["0", "child", "child"]);
    let polled = world.stream.call_count(Operation::Read, Some(&shard));
    assert!(polled <= 4, "{polled}");
    run.stop().await.unwrap();
}

/// When it goes on nevertheless.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_names_children_is_checked_by_polling() {
    never_ends(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_subscription_on_a_closed_shard_is_checked_by_polling() {
    never_ends(false).await;
}

#[tokio::test(start_paused = true)]
async fn workers_that_do_not_audit_find_closed_shards_too() {
    let world = Pushing::new(3);
    let (shards, odd) = (world.stream.open_shards(), Odd::new(&world.stream));
    odd.events(move |_, event| {
        if event.end.take().is_some() {
            event.continuation = Some("1".parse().unwrap());
        }
    });
    let fleet = |name: &str| {
        let name = name.to_owned();
        let own = move |builder: Builder| {
            let builder = builder
                .worker_id(name)
                .max_leases(1)
                .failover(Duration::from_secs(10));
            // So seldom that what is heard of the one who audits is never late: the others do not.
            builder.audit_every(Duration::from_secs(40))
        };
        world
            .fleet_of(&odd, by_fan_out())
            .with(own)
            .start(Script::default())
    };
    let runs = ["a", "b", "c"].map(fleet);
    for shard in &shards {
        wait_for_lease(&world.table, shard, |lease| lease.owner.is_some()).await;
    }
    for shard in &shards {
        world.stream.split_evenly(shard).unwrap();
    }
    for shard in &shards {
        wait_for_lease(&world.table, shard, |lease| lease.checkpoint.is_shard_end()).await;
    }
    for run in runs {
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn open_shards_that_idle_by_fan_out_are_not_polled() {
    let world = Pushing::new(3);
    let run = world.fleet().start(Script::default());
    world.stream.put("k", "0").unwrap();
    run.seen.wait_for_records(1).await;
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(world.stream.call_count(Operation::Read, None), 0);
    run.stop().await.unwrap();
}
