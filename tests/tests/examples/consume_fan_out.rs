//! `consume --mode fan-out` and `--mode auto` on an embedded stream.

use std::path::Path;

use aws_sdk_kinesis::types::Consumer;
use kcl_local::stream::LocalStream;
use rustix::process::Signal;

use super::program::{Finished, Program};
use super::scene::{SHARDS, Scene, authority, secured};
use super::trace::Trace;

impl Scene {
    /// The consumers of the stream.
    async fn consumers(&self) -> Vec<Consumer> {
        let stream = self
            .client
            .describe_stream_summary()
            .stream_name("orders")
            .send()
            .await
            .unwrap();
        let arn = stream.stream_description_summary.unwrap().stream_arn;
        self.client
            .list_stream_consumers()
            .stream_arn(arn)
            .send()
            .await
            .unwrap()
            .consumers
            .unwrap_or_default()
    }

    fn trusting(&self, trace: &Path, more: &str) -> Program {
        let mut arguments = self.arguments(more);
        arguments.extend(["--trace".to_owned(), trace.to_str().unwrap().to_owned()]);
        Program::start_with("consume", arguments, |command| {
            command
                .env("SSL_CERT_FILE", authority())
                .env("RUST_LOG", "warn,kcl_core::stream::kinesis::http=debug")
        })
    }
}

#[track_caller]
fn assert_counts(run: &Finished, records: u64) {
    assert_eq!(
        (run.code, run.number("records"), run.number("duplicates")),
        (Some(0), records, 0),
        "{run:?}"
    );
}

#[track_caller]
fn assert_read(run: &Finished, records: u64) {
    assert_counts(run, records);
    assert_eq!(run.err, "", "nothing to complain about");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_pushed_over_http_1_over_http_2_and_over_tls() {
    let (http1, http2) = (
        "no HTTP/2 there",
        "an HTTP/2 connection for subscriptions is open",
    );
    for (over, settings, said, unsaid) in [
        (
            "HTTP/1.1",
            LocalStream::builder().http2(false),
            http1,
            http2,
        ),
        ("HTTP/2", LocalStream::builder(), http2, http1),
        (
            "HTTP/2 that takes fewer subscriptions than there are shards",
            LocalStream::builder().max_concurrent_streams(2),
            http2,
            http1,
        ),
        ("TLS and HTTP/2", secured(), http2, http1),
        ("TLS and HTTP/1.1", secured().http2(false), http1, http2),
    ] {
        let scene = Scene::of(settings).await;
        scene.put(999).await;
        let trace = scene.path("trace");
        let mut run = scene.trusting(&trace, "--mode fan-out --exit-after 2000");
        run.until(over, || Trace::records_so_far(&trace) == 1000)
            .await;
        scene.put(1000).await;
        let run = run.finish().await;
        assert_counts(&run, 2000);
        assert!(
            run.err.contains(said) && !run.err.contains(unsaid),
            "{over}: {run:?}"
        );
        assert!(
            run.err.lines().all(|line| line.contains(" DEBUG ")),
            "nothing to complain about: {run:?}"
        );
        let trace = Trace::read(&trace);
        trace.assert_in_order();
        assert_eq!(
            (trace.sequences().len(), trace.calls().len()),
            (2000, SHARDS),
            "{over}"
        );
        let names: Vec<String> = scene
            .consumers()
            .await
            .into_iter()
            .map(|consumer| consumer.consumer_name)
            .collect();
        assert_eq!(names, ["billing"], "{over}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_changes_mode_resumes_at_its_checkpoints() {
    let scene = Scene::new().await;
    scene.put(499).await;
    let mut read = Vec::new();
    for (name, mode) in [
        ("first", "polling"),
        ("second", "fan-out"),
        ("third", "auto"),
        ("fourth", "polling"),
    ] {
        let trace = scene.path(name);
        let mut run = scene.consume(&trace, &format!("--mode {mode}"));
        run.until("what is new is read", || {
            Trace::records_so_far(&trace) == 500
        })
        .await;
        run.signal(Signal::TERM);
        assert_read(&run.finish().await, 500);
        read.extend(Trace::read(&trace).sequences());
        scene.put(500).await;
    }
    read.sort_unstable();
    read.dedup();
    assert_eq!(read.len(), 2000, "each was read once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_share_one_consumer() {
    let scene = Scene::new().await;
    scene.put(799).await;
    let traces = ["one", "two", "three"].map(|name| scene.path(name));
    let mut all: Vec<Program> = traces
        .iter()
        .map(|trace| scene.consume(trace, "--mode fan-out"))
        .collect();
    let total = || {
        traces
            .iter()
            .map(|trace| Trace::records_so_far(trace))
            .sum::<usize>()
    };
    all[0].until("all is read", || total() >= 800).await;
    for run in &all {
        run.signal(Signal::TERM);
    }
    for run in all {
        let run = run.finish().await;
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    assert_eq!(scene.consumers().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_is_named_or_given_by_its_arn() {
    let scene = Scene::new().await;
    scene.put(99).await;
    let trace = scene.path("trace");
    assert_read(
        &scene
            .consume(&trace, "--mode fan-out --consumer pushed --exit-after 100")
            .finish()
            .await,
        100,
    );
    let consumers = scene.consumers().await;
    assert_eq!(
        consumers
            .iter()
            .map(|consumer| &*consumer.consumer_name)
            .collect::<Vec<_>>(),
        ["pushed"]
    );
    scene.put(100).await;
    let given = format!(
        "--mode fan-out --consumer {} --exit-after 100",
        consumers[0].consumer_arn
    );
    assert_read(&scene.consume(&trace, &given).finish().await, 100);
}

/// Each says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_consumer_fan_out_ends_and_auto_polls() {
    let scene = Scene::new().await;
    scene.put(99).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/none:1700000000";
    let trace = scene.path("trace");
    let run = scene
        .consume(&trace, &format!("--mode fan-out --consumer {arn}"))
        .finish()
        .await;
    assert_eq!(run.code, Some(1), "{run:?}");
    for part in [
        "cannot be read by fan-out",
        arn,
        "register it, or give a name instead",
    ] {
        assert!(run.err.contains(part), "{part:?} is not in {run:?}");
    }
    let run = scene
        .consume(
            &trace,
            &format!("--mode auto --consumer {arn} --exit-after 100"),
        )
        .finish()
        .await;
    assert_eq!((run.code, run.number("records")), (Some(0), 100), "{run:?}");
    assert_eq!(run.err.lines().count(), 1, "said once: {run:?}");
    assert!(
        run.err.contains("polled") && run.err.contains(arn),
        "{run:?}"
    );
}
