//! `consume` on an embedded stream.

#![expect(
    clippy::disallowed_methods,
    reason = "waits for what another process does"
)]

use std::fs::OpenOptions;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kcl_core::model::Checkpoint;
use rustix::process::Signal;

use super::program::{Program, next_second};
use super::scene::{BYTES, SHARDS, Scene};
use super::trace::Trace;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_reads_what_is_there_and_reports_the_time() {
    let scene = Scene::new().await;
    scene.put(2999).await;
    let run = Program::start("consume", scene.arguments("--exit-after 3000"))
        .finish()
        .await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        (
            run.number("records"),
            run.number("bytes"),
            run.number("duplicates")
        ),
        (3000, 3000 * BYTES as u64, 0)
    );
    assert!(
        run.number("first_record_ms") <= run.number("elapsed_ms"),
        "{run:?}"
    );
    // An order of magnitude above what it takes, and one below the failover times that other
    // libraries wait for first.
    assert!(run.number("first_record_ms") < 5000, "{run:?}");
    assert!(
        run.number("cpu_ms") > 0 && run.number("peak_rss_kib") > 1000,
        "{run:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_sigterm_the_next_process_resumes_without_a_duplicate() {
    let scene = Scene::new().await;
    scene.put(1999).await;
    let first = scene.path("first");
    let mut run = scene.consume(&first, "");
    run.until("all is read", || Trace::records_so_far(&first) == 2000)
        .await;
    run.signal(Signal::TERM);
    let run = run.finish().await;
    assert_eq!(
        (run.code, run.number("records"), run.number("duplicates")),
        (Some(0), 2000, 0),
        "{run:?}"
    );
    for (shard, calls) in Trace::read(&first).calls() {
        assert_eq!(calls.first(), Some(&"initialize"), "{shard}");
        assert_eq!(
            calls[calls.len() - 2..],
            ["shutdown_requested", "lease_lost"],
            "{shard}"
        );
    }
    let leases = scene.leases().await;
    assert_eq!(leases.len(), SHARDS);
    for lease in leases {
        assert_eq!(lease.owner, None, "{lease:?}");
        assert!(matches!(lease.checkpoint, Checkpoint::At(_)), "{lease:?}");
    }

    scene.put(500).await;
    let second = scene.path("second");
    let run = scene.consume(&second, "--idle-exit 1s").finish().await;
    assert_eq!(
        (run.code, run.number("records"), run.number("duplicates")),
        (Some(0), 500, 0),
        "{run:?}"
    );
    let (first, second) = (
        Trace::read(&first).sequences(),
        Trace::read(&second).sequences(),
    );
    assert!(first.is_disjoint(&second));
    assert_eq!(first.len() + second.len(), 2500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_up_to_now_and_ends_and_the_next_run_goes_on_there() {
    let scene = Scene::new().await;
    for records in [1999, 500] {
        scene.put(records).await;
        let run = Program::start("consume", scene.arguments("--to now"))
            .finish()
            .await;
        let all = if records == 500 { 500 } else { 2000 };
        assert_eq!(
            (run.code, run.number("records"), run.number("duplicates")),
            (Some(0), all, 0),
            "{run:?}"
        );
    }
    let before = Program::start("consume", scene.arguments("--to 2020-01-01T00:00:00Z"))
        .finish()
        .await;
    assert_eq!(
        (before.code, before.number("records")),
        (Some(0), 0),
        "{before:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let scene = Scene::new().await;
    // What the processor writes waits in a pipe that nobody reads on: its call does not end, and so
    // the stop does not.
    let pipe = scene.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut reader = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    scene.put(9999).await;
    let mut run = scene.consume(&pipe, "");
    let reader = tokio::task::spawn_blocking(move || {
        reader.read_exact(&mut vec![0; 20_000]).unwrap();
        reader
    });
    let _reader = tokio::time::timeout(Duration::from_secs(60), reader)
        .await
        .expect("records are processed")
        .unwrap();
    run.signal(Signal::INT);
    // Signals of one kind that come together are one.
    let again = async {
        while run.is_running() {
            run.signal(Signal::INT);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again)
        .await
        .expect("it ends");
    let run = run.finish().await;
    assert_eq!(run.code, None, "ended by the signal: {run:?}");
    assert!(run.out.is_empty(), "and not in good order: {run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_another_process_goes_on_and_nothing_is_lost() {
    let scene = Scene::new().await;
    scene.put(3999).await;
    let (first, second) = (scene.path("first"), scene.path("second"));
    let mut run = scene.consume(&first, "--failover 1s --max-records 50");
    run.until("some is read", || Trace::records_so_far(&first) > 500)
        .await;
    run.signal(Signal::KILL);
    let run = run.finish().await;
    assert_eq!(run.code, None, "killed: {run:?}");
    let killed = Trace::read(&first);
    killed.assert_in_order();
    assert!(killed.count() < 4000, "it was killed on the way");

    let mut run = scene.consume(&second, "--failover 1s");
    let all = || {
        killed
            .sequences()
            .union(&Trace::read(&second).sequences())
            .count()
    };
    run.until("the rest is read", || {
        Trace::records_so_far(&second) > 0 && all() == 4000
    })
    .await;
    run.signal(Signal::TERM);
    let run = run.finish().await;
    assert_eq!(
        (run.code, run.number("duplicates")),
        (Some(0), 0),
        "{run:?}"
    );
    Trace::read(&second).assert_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_latest_reads_only_what_is_put_after_the_start() {
    let scene = Scene::new().await;
    scene.put(100).await;
    // The service tells its time in whole seconds, and LATEST rather reads too much than too
    // little.
    next_second().await;
    let trace = scene.path("trace");
    let mut run = scene.consume(&trace, "--from latest --exit-after 40");
    run.until("every shard is begun", || {
        std::fs::read_to_string(&trace)
            .unwrap_or_default()
            .lines()
            .count()
            == SHARDS
    })
    .await;
    scene.put(40).await;
    let run = run.finish().await;
    assert_eq!((run.code, run.number("records")), (Some(0), 40), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_split_ends_and_its_children_follow() {
    for mode in ["polling", "fan-out"] {
        let scene = Scene::new().await;
        scene.put(199).await;
        let split = scene
            .client
            .split_shard()
            .stream_name("orders")
            .shard_to_split("shardId-000000000000");
        split
            .new_starting_hash_key((1_u128 << 125).to_string())
            .send()
            .await
            .unwrap();
        while scene
            .client
            .list_shards()
            .stream_name("orders")
            .send()
            .await
            .unwrap()
            .shards()
            .len()
            < SHARDS + 2
        {}
        scene.put(200).await;
        let trace = scene.path("trace");
        let run = scene
            .consume(&trace, &format!("--mode {mode} --exit-after 400"))
            .finish()
            .await;
        assert_eq!(
            (run.code, run.number("records"), run.number("duplicates")),
            (Some(0), 400, 0),
            "{run:?}"
        );
        let trace = Trace::read(&trace);
        let calls = trace.calls();
        assert_eq!(calls.len(), SHARDS + 2);
        assert_eq!(calls["shardId-000000000000"].last(), Some(&"shard_ended"));
        assert_eq!(calls["shardId-000000000004"][..2], ["initialize", "record"]);
    }
}

/// The arguments for leases in a table of its own at a DynamoDB Local.
fn in_dynamo(scene: &Scene, trace: &Path, more: &str) -> Vec<String> {
    let endpoint = std::env::var("KCL_E2E_DYNAMO")
        .expect("KCL_E2E_DYNAMO is the URL of a DynamoDB Local: see tests/e2e/run");
    let mut all = scene.arguments("");
    let table = all
        .iter_mut()
        .find(|argument| argument.starts_with("sqlite:"))
        .unwrap();
    *table = format!(
        "dynamo:consume-{}-{}",
        std::process::id(),
        scene.folder.path().file_name().unwrap().display()
    );
    all.extend([
        "--dynamo-endpoint".to_owned(),
        endpoint,
        "--trace".to_owned(),
        trace.to_str().unwrap().to_owned(),
    ]);
    all.extend(more.split_whitespace().map(ToOwned::to_owned));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn with_dynamodb_the_next_process_resumes_after_stop_and_kill() {
    let scene = Scene::new().await;
    scene.put(1999).await;
    let traces = ["first", "second", "third"].map(|name| scene.path(name));
    let mut run = Program::start("consume", in_dynamo(&scene, &traces[0], ""));
    run.until("all is read", || Trace::records_so_far(&traces[0]) == 2000)
        .await;
    run.signal(Signal::TERM);
    let run = run.finish().await;
    assert_eq!(
        (run.code, run.number("records"), run.number("duplicates")),
        (Some(0), 2000, 0),
        "{run:?}"
    );

    scene.put(2000).await;
    let mut run = Program::start(
        "consume",
        in_dynamo(&scene, &traces[1], "--failover 5s --max-records 20"),
    );
    run.until("some is read", || Trace::records_so_far(&traces[1]) > 200)
        .await;
    run.signal(Signal::KILL);
    run.finish().await;

    scene.put(500).await;
    let [first, second] = [&traces[0], &traces[1]].map(|trace| Trace::read(trace).sequences());
    assert!(
        first.is_disjoint(&second),
        "what was stored is not read again"
    );
    let mut run = Program::start("consume", in_dynamo(&scene, &traces[2], "--failover 5s"));
    let all = || first.len() + second.union(&Trace::read(&traces[2]).sequences()).count();
    run.until("the rest is read", || {
        Trace::records_so_far(&traces[2]) > 0 && all() == 4500
    })
    .await;
    run.signal(Signal::TERM);
    assert_eq!(run.finish().await.code, Some(0));
    assert!(first.is_disjoint(&Trace::read(&traces[2]).sequences()));
}
