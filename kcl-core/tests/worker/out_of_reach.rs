//! A worker whose own calls of the stream fail, while those of others are answered: what it leaves
//! to them, and what it says.
#![expect(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::time::Duration;

use crate::support::{CutStream, Fleet, Pushing, Run, Script, soon, until};
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{CoordinationOn, Event, FanOutConfig, Mode};

const F: Duration = Duration::from_secs(10);

fn fleet(world: &Pushing, stream: &CutStream, id: &'static str, mode: Mode) -> Fleet {
    Fleet::new(stream, &world.table).with(move |builder| {
        let builder = builder
            .clock(world.clock)
            .coordination_on(CoordinationOn::CallersRuntime);
        builder.mode(mode).failover(F).worker_id(id)
    })
}

fn modes() -> [Mode; 2] {
    [Mode::Polling, Mode::FanOut(FanOutConfig::managed())]
}

fn held(run: &Run) -> usize {
    run.worker.status().shards.len()
}

async fn two_that_share(world: &Pushing, mode: &Mode) -> [(CutStream, Run); 2] {
    let streams = [CutStream::new(&world.stream), CutStream::new(&world.stream)];
    let [one, other] = ["one", "other"];
    let one = fleet(world, &streams[0], one, mode.clone()).start(Script::default());
    until("the first to hold all", || held(&one) == 4).await;
    let other = fleet(world, &streams[1], other, mode.clone()).start(Script::default());
    until("both to share", || held(&one) == 2 && held(&other) == 2).await;
    let [first, second] = streams;
    [(first, one), (second, other)]
}

fn put(stream: &MemoryStream, records: std::ops::Range<u32>) {
    for shard in stream.open_shards() {
        stream
            .put_many_to(
                &shard,
                records.clone().map(|n| (format!("{n}"), format!("{n}"))),
            )
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_out_of_reach_is_left_to_a_worker_that_reads() {
    for mode in modes() {
        let world = Pushing::new(4);
        let [(healthy, one), (cut, other)] = two_that_share(&world, &mode).await;
        put(&world.stream, 0..5);
        until("what was put to be read", || {
            one.seen.records() + other.seen.records() == 20
        })
        .await;
        let begun = tokio::time::Instant::now();
        cut.fail(ErrorKind::Unreachable);
        put(&world.stream, 5..10);
        other
            .heard
            .wait_for("word of it", |event| {
                matches!(event, Event::ReadingFails { .. })
            })
            .await;
        let failing = other
            .worker
            .status()
            .shards
            .into_values()
            .find_map(|shard| shard.failing)
            .expect("the status says so");
        assert!(
            failing.attempts > 1 && failing.error.contains("the token has expired"),
            "{failing:?}"
        );
        until("all to be read by the other", || {
            one.seen.records() + other.seen.records() == 40
        })
        .await;
        assert!(begun.elapsed() < F * 5, "{mode:?}: {:?}", begun.elapsed());
        assert_eq!(
            other
                .heard
                .count(|event| matches!(event, Event::ShardUnreadable { .. })),
            2
        );
        // It leaves them there.
        tokio::time::sleep(F * 60).await;
        assert_eq!((held(&one), held(&other)), (4, 0), "{mode:?}");
        assert_eq!(
            other
                .heard
                .count(|event| matches!(event, Event::LeaseAcquired { .. })),
            2,
            "{mode:?}"
        );
        cut.mend();
        until("both to share again", || {
            held(&one) == 2 && held(&other) == 2
        })
        .await;
        put(&world.stream, 10..15);
        until("the rest to be read", || {
            one.seen.records() + other.seen.records() == 60
        })
        .await;
        drop(healthy);
        one.stop().await.unwrap();
        other.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_worker_keeps_trying_and_says_so_once() {
    for mode in modes() {
        let world = Pushing::new(1);
        let stream = CutStream::new(&world.stream);
        let run = fleet(&world, &stream, "one", mode.clone()).start(Script::default());
        put(&world.stream, 0..5);
        until("what was put to be read", || run.seen.records() == 5).await;
        stream.fail(ErrorKind::Unreachable);
        put(&world.stream, 5..10);
        tokio::time::sleep(F * 60).await;
        assert_eq!(
            run.heard
                .count(|event| matches!(event, Event::ReadingFails { .. })),
            1,
            "{mode:?}"
        );
        assert_eq!(held(&run), 1);
        stream.mend();
        run.heard
            .wait_for("word that it is read again", |event| {
                matches!(event, Event::ReadingGoesOn { .. })
            })
            .await;
        until("the rest to be read", || run.seen.records() == 10).await;
        assert!(
            run.worker
                .status()
                .shards
                .into_values()
                .all(|shard| shard.failing.is_none())
        );
        assert_eq!(
            run.heard
                .count(|event| matches!(event, Event::LeaseAcquired { .. })),
            1
        );
        run.stop().await.unwrap();
    }
}

/// The service would throttle, and fail, any other worker too.
#[tokio::test(start_paused = true)]
async fn a_shard_that_the_service_throttles_is_kept() {
    for kind in [ErrorKind::Throttled, ErrorKind::Transient] {
        let world = Pushing::new(4);
        let [(_, one), (cut, other)] = two_that_share(&world, &Mode::Polling).await;
        cut.fail(kind);
        tokio::time::sleep(F * 30).await;
        assert_eq!((held(&one), held(&other)), (2, 2), "{kind:?}");
        assert_eq!(
            other
                .heard
                .count(|event| matches!(event, Event::ReadingFails { .. })),
            2,
            "{kind:?}"
        );
        one.stop().await.unwrap();
        other.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_opened_is_left_to_others_too() {
    let [polling, fan_out] = modes();
    for (mode, call) in [
        (polling, "GetShardIterator"),
        (fan_out.clone(), "SubscribeToShard"),
        (fan_out, "DescribeStreamConsumer"),
    ] {
        let world = Pushing::new(4);
        let healthy = CutStream::new(&world.stream);
        let one = fleet(&world, &healthy, "one", mode.clone()).start(Script::default());
        until("the first to hold all", || held(&one) == 4).await;
        let cut = CutStream::new(&world.stream);
        cut.fail_only(ErrorKind::Unreachable, &[call]);
        let other = fleet(&world, &cut, "other", mode).start(Script::default());
        until("the second to have some", || held(&other) == 2).await;
        put(&world.stream, 0..5);
        soon(call, async {
            until("all to be read", || one.seen.records() == 20).await;
        })
        .await;
        assert_eq!(other.seen.records(), 0);
        one.stop().await.unwrap();
        other.stop().await.unwrap();
    }
}

/// A connection that has died gives no answer for ever.
#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_come_is_asked_for_again_after_10_s() {
    let world = Pushing::new(1);
    let (stream, nth) = (
        crate::support::HookedStream::new(&world.stream),
        crate::support::Nth::default(),
    );
    stream.before(move |operation, _| {
        let hangs = operation == kcl_core::stream::memory::Operation::Read && nth.next() == 1;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
    });
    put(&world.stream, 0..5);
    let begun = tokio::time::Instant::now();
    let clock = world.clock;
    let run = Fleet::new(&stream, &world.table)
        .with(move |builder| {
            builder
                .clock(clock)
                .coordination_on(CoordinationOn::CallersRuntime)
        })
        .start(Script::default());
    until("what was put to be read", || run.seen.records() == 5).await;
    assert!(
        (10..13).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
    run.stop().await.unwrap();
}
