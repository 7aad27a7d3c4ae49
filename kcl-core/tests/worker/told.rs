//! What an operator sees of a worker that stands still: the lag, the status, the log, the figures.
#![allow(clippy::disallowed_methods, reason = "waits in tokio's time")]

use std::sync::Arc;
use std::time::Duration;

use kcl_core::Failure;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{MalformedRow, RowKey};
use kcl_core::model::{InitialPosition, LeaseKey, ShardId};
use kcl_core::stream::ErrorKind;
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{CoordinationOn, Event, ShardStatus, WorkerLabel};

use crate::support::{Counters, Fleet, Logged, Run, Script, TokioClock};

/// A stream of one shard and a table on tokio's time, on one thread.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) stream: MemoryStream,
    pub(super) clock: TokioClock,
    pub(super) counters: &'static Counters,
}

impl Scene {
    pub(super) fn new(name: &'static str) -> Self {
        let clock = TokioClock::new();
        let stream = MemoryStream::with_clock(name, 1, Arc::new(clock));
        Self {
            name,
            stream,
            clock,
            counters: Counters::of_this_process(),
        }
    }

    pub(super) fn fleet(&self) -> Fleet {
        self.fleet_on(&MemoryLeaseTable::new())
    }

    pub(super) fn fleet_on(&self, table: &MemoryLeaseTable) -> Fleet {
        let (name, clock) = (self.name, self.clock);
        Fleet::new(&self.stream, table).with(|builder| {
            let builder = builder
                .stream(name)
                .worker_id("me")
                .clock(clock)
                .coordination_on(CoordinationOn::CallersRuntime);
            builder
                .idle_ceiling(Duration::from_millis(500))
                .failover(Duration::from_secs(9))
        })
    }

    pub(super) fn shard(&self) -> ShardId {
        self.stream.open_shards().remove(0)
    }

    pub(super) fn put(&self) {
        self.stream.put_to(&self.shard(), "k", "x").unwrap();
    }

    pub(super) fn status(&self, run: &Run) -> ShardStatus {
        run.worker
            .status()
            .shards
            .get(&LeaseKey::single(self.shard()))
            .cloned()
            .expect("the shard is held")
    }

    pub(super) fn gauge(&self, name: &str) -> f64 {
        let shown = self.counters.gauges(name, &[("stream", self.name)]);
        assert_eq!(shown.len(), 1, "{name}");
        shown[0]
    }
}

pub(super) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn lag_grows_while_a_record_fails_for_ever() {
    let scene = Scene::new("poison");
    let run = scene
        .fleet()
        .start(Script::process(|_| async { Err(Failure::new("poison")) }));
    seconds(2).await;
    assert_eq!(scene.status(&run).millis_behind_latest, Some(0));
    scene.put();
    seconds(600).await;
    let status = scene.status(&run);
    assert!(
        (595_000..=600_000).contains(&status.millis_behind_latest.unwrap()),
        "{status:?}"
    );
    assert!(
        status.oldest_undone_age.unwrap() >= Duration::from_secs(595),
        "{status:?}"
    );
    assert!(status.failures > 10, "{status:?}");
    let error = status.last_error.expect("an error");
    assert_eq!(
        (&*error.what, &*error.error, error.record),
        ("process_records", "poison", None)
    );
    for name in ["kcl_behind_latest_seconds", "kcl_oldest_undone_age_seconds"] {
        assert!(
            (590.0..=600.0).contains(&scene.gauge(name)),
            "{name}: {}",
            scene.gauge(name)
        );
    }
    assert_eq!(scene.gauge("kcl_lease_held").to_bits(), 1.0_f64.to_bits());
    let failing = |what| {
        scene.counters.gauges(
            "kcl_shard_failing_seconds",
            &[("stream", scene.name), ("what", what)],
        )
    };
    assert!(
        matches!(failing("handler")[..], [span] if (590.0..=600.0).contains(&span)),
        "{:?}",
        failing("handler")
    );
    assert!(
        matches!(failing("reading")[..], [span] if span < 0.1),
        "{:?}",
        failing("reading")
    );
    run.stop().await.unwrap();
    assert!(failing("handler")[0].is_nan());
    assert!(
        scene.gauge("kcl_behind_latest_seconds").is_nan(),
        "a shard that is given up leaves no lag behind"
    );
    assert!(scene.gauge("kcl_oldest_undone_age_seconds").is_nan());
    assert_eq!(scene.gauge("kcl_lease_held").to_bits(), 0.0_f64.to_bits());
}

#[tokio::test(start_paused = true)]
async fn lag_grows_while_a_handler_does_not_return_and_it_is_told() {
    let scene = Scene::new("slow");
    let run = scene.fleet().start(Script::process(|_| async {
        seconds(100).await;
        Ok(())
    }));
    scene.put();
    seconds(95).await;
    let status = scene.status(&run);
    assert!(status.millis_behind_latest.unwrap() >= 90_000, "{status:?}");
    assert!(
        status.in_call_for.unwrap() >= Duration::from_secs(90),
        "{status:?}"
    );
    assert!(scene.gauge("kcl_behind_latest_seconds") >= 90.0);
    assert!(scene.gauge("kcl_handler_call_seconds") >= 90.0);
    let slow = |event: &Event| matches!(event, Event::HandlerSlow { span, .. } if *span >= Duration::from_secs(30));
    assert_eq!(
        run.heard.count(slow),
        2,
        "after 30 s and after twice as long"
    );
    seconds(10).await;
    assert_eq!(scene.status(&run).millis_behind_latest, Some(0), "done");
    assert_eq!(
        scene.gauge("kcl_handler_call_seconds").to_bits(),
        0.0_f64.to_bits()
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lag_grows_while_the_stream_does_not_answer() {
    let scene = Scene::new("dead-network");
    let run = scene.fleet().start(Script::default());
    seconds(5).await;
    assert_eq!(scene.status(&run).millis_behind_latest, Some(0));
    scene
        .stream
        .fail_next(Operation::Read, ErrorKind::Transient, u32::MAX);
    seconds(60).await;
    let status = scene.status(&run);
    assert!(
        (50_000..=60_500).contains(&status.millis_behind_latest.unwrap()),
        "{status:?}"
    );
    assert_eq!(status.oldest_undone_age, None, "nothing was fetched");
    assert!(scene.gauge("kcl_behind_latest_seconds") >= 50.0);
    let failing = |what| {
        scene.counters.gauges(
            "kcl_shard_failing_seconds",
            &[("stream", scene.name), ("what", what)],
        )[0]
    };
    assert!(failing("reading") >= 50.0 && failing("handler") < 0.1);
    drop(run.task);
}

#[tokio::test(start_paused = true)]
async fn a_shard_without_records_is_caught_up_and_that_is_told_once() {
    let scene = Scene::new("empty");
    let run = scene.fleet().start(Script::default());
    seconds(60).await;
    assert_eq!(scene.status(&run).millis_behind_latest, Some(0));
    scene.put();
    seconds(60).await;
    assert_eq!(scene.status(&run).millis_behind_latest, Some(0));
    assert_eq!(
        run.heard
            .count(|event| matches!(event, Event::CaughtUp { .. })),
        1
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_caught_up_only_when_all_that_it_had_is_done() {
    let scene = Scene::new("behind");
    scene.put();
    let run = scene.fleet().start(Script::process(|_| async {
        seconds(20).await;
        Ok(())
    }));
    let told = || {
        run.heard
            .count(|event| matches!(event, Event::CaughtUp { .. }))
    };
    seconds(15).await;
    assert_eq!((run.seen.records(), told()), (1, 0));
    seconds(15).await;
    assert_eq!(told(), 1);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_labels_say_the_whole_identity_of_a_stream() {
    for (name, label, worker) in [
        ("named", WorkerLabel::WhereNamed, Some("me")),
        ("nameless", WorkerLabel::Never, None),
    ] {
        let scene = Scene::new(name);
        let run = scene
            .fleet()
            .with(|builder| builder.worker_label(label))
            .start(Script::default());
        seconds(2).await;
        let labels = scene.counters.labels("kcl_lease_held");
        let own = labels
            .iter()
            .find(|labels| labels["stream"] == name)
            .expect("a series");
        assert!(
            !own["region"].is_empty() && !own["account"].is_empty(),
            "{own:?}"
        );
        assert_eq!(own["application"], "tests", "{own:?}");
        assert_eq!(own.get("worker").map(String::as_str), worker, "{own:?}");
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn every_figure_is_described_with_its_unit() {
    let scene = Scene::new("described");
    scene.put();
    let run = scene.fleet().start(Script::default());
    seconds(2).await;
    let described = scene.counters.described();
    for name in scene.counters.names() {
        let (unit, what) = described
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is not described"));
        assert!(
            name.starts_with("kcl_") && unit.is_some() && !what.is_empty(),
            "{name}"
        );
    }
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_are_counted_by_their_kind() {
    let scene = Scene::new("counted-events");
    // Those of other tests count too.
    let count = || scene.counters.by("kcl_events_total", "", "handler_failed");
    let before = count();
    scene.put();
    let run = scene
        .fleet()
        .start(Script::process(|_| async { Err(Failure::new("poison")) }));
    seconds(10).await;
    let failed = run
        .heard
        .count(|event| matches!(event, Event::HandlerFailed { .. })) as u64;
    assert!(
        failed > 10 && count() >= before + failed,
        "{failed} failures, {} counted",
        count() - before
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_goes_on_is_logged_at_growing_distances() {
    let logged = Logged::default();
    let _here = logged.on_this_thread();
    let scene = Scene::new("failing");
    scene.put();
    let run = scene.fleet().start(Script::process(|_| async {
        Err(Failure::new("the sink is gone"))
    }));
    seconds(1000).await;
    let lines = logged.take();
    let warnings: Vec<_> = lines.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(
        warnings.len(),
        5,
        "at once and after 1, 3, 7 and 15 minutes: {warnings:#?}"
    );
    for (line, follows) in warnings.iter().zip(
        ["in 5ms, then at growing intervals of up to 50ms"]
            .into_iter()
            .chain(["within 50ms"; 4]),
    ) {
        assert!(
            line.contains("the sink is gone") && line.contains(&format!("retrying {follows}")),
            "{line}"
        );
    }
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_at_its_cap_names_the_setting_and_its_value() {
    let logged = Logged::default();
    let _here = logged.on_this_thread();
    let scene = Scene::new("capped");
    scene.stream.split_evenly(&scene.shard()).unwrap();
    let run = scene
        .fleet()
        .with(|builder| builder.max_leases(1))
        .start(Script::default());
    run.heard
        .wait_for(
            "what is left",
            |event| matches!(event, Event::LeasesLeftUnread { leases } if leases.len() == 1),
        )
        .await;
    let lines = logged.take();
    assert!(
        lines.contains("1 shard has no owner (shardId-0000000000"),
        "{lines}"
    );
    assert!(
        lines.contains("start another worker, or raise the `max_leases` of this one, which is 1"),
        "{lines}"
    );
    run.stop().await.unwrap();
}

/// The warnings with these words.
pub(super) fn warnings<'a>(lines: &'a str, words: &str) -> Vec<&'a str> {
    lines
        .lines()
        .filter(|line| line.contains("WARN") && line.contains(words))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_still_holds_is_logged_at_growing_distances() {
    let logged = Logged::default();
    let _here = logged.on_this_thread();
    let scene = Scene::new("lasting");
    let first = scene.shard();
    let others = scene.stream.split_evenly(&first).unwrap();
    // Of a shard that the stream does not have: nothing waits for it.
    let row = RowKey::Lease(LeaseKey::single("shardId-000000000099"));
    let table = MemoryLeaseTable::new();
    table.spoil(MalformedRow::new(
        row.clone(),
        "checkpoint",
        Some("x"),
        "a decimal number",
    ));
    let fleet = scene.fleet_on(&table).with(|builder| {
        builder
            .worker_id("lasting")
            .max_leases(1)
            .initial_position(InitialPosition::Latest)
    });
    let run = fleet.start(Script::default());
    run.heard
        .wait_for("what is left", |event| {
            matches!(event, Event::LeasesLeftUnread { .. })
        })
        .await;
    let held = run
        .worker
        .status()
        .shards
        .keys()
        .next()
        .expect("one is held")
        .shard
        .clone();
    assert!(others.contains(&held));
    scene
        .stream
        .fail_next_of(&held, Operation::Read, ErrorKind::Transient, u32::MAX);
    seconds(1000).await;
    let lines = logged.take();
    for words in [
        "malformed row in the lease table",
        "1 shard has no owner",
        "cannot be read: all",
    ] {
        assert_eq!(
            warnings(&lines, words).len(),
            5,
            "{words}: at once and after 1, 3, 7 and 15 minutes: {lines}"
        );
    }
    assert!(
        !lines.contains("times since the last line"),
        "nothing has happened again: {lines}"
    );
    let told = |event: &Event| {
        matches!(
            event,
            Event::RowMalformed { .. } | Event::LeasesLeftUnread { .. }
        )
    };
    assert_eq!(run.heard.count(told), 2, "who listens hears it once");
    let status = run.worker.status();
    let left: Vec<_> = status.left_unread.iter().map(|key| &key.shard).collect();
    assert_eq!(
        left,
        others
            .iter()
            .filter(|other| **other != held)
            .collect::<Vec<_>>()
    );
    let unread = |cause| {
        scene.counters.gauges(
            "kcl_leases_unread",
            &[("worker", "lasting"), ("cause", cause)],
        )
    };
    assert_eq!(
        (unread("no_room"), unread("malformed"), unread("unreadable")),
        (vec![1.0], vec![1.0], vec![0.0])
    );
    table.repair(&row);
    seconds(60).await;
    assert_eq!(unread("malformed"), [0.0], "it is repaired");
    drop(run.task);
}
