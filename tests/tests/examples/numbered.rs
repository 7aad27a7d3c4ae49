//! The numbered examples: each does what it shows, and stops in good order.

use std::fs::{File, read_to_string};

use rustix::process::Signal;
use tempfile::TempDir;

use super::program::Program;

/// Runs an example until it has printed all of this, tells it to stop, and returns what it printed.
async fn shows(example: &str, lines: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("out");
    let out = File::create(&path).unwrap();
    let mut run = Program::start_with(example, [""; 0], |command| command.stdout(out));
    let printed = || read_to_string(&path).unwrap();
    run.until("all is printed", || lines.iter().all(|line| printed().contains(line))).await;
    // Twice, as `timeout` does.
    run.signal(Signal::TERM);
    run.signal(Signal::TERM);
    let run = run.finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    printed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_prints_every_record_and_drains_at_a_signal() {
    let printed = shows("01_hello", &["customer-1 order 1\n", "customer-0 order 20\n"]).await;
    assert!(printed.ends_with("2 drained, 0 released, 0 given up\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_ends_by_itself_and_says_where() {
    let run = Program::start("02_stop", [""; 0]).finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.out.matches(": Drained at ").count(), 2, "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_stored_in_two_phases() {
    shows("04_checkpoints", &["published shardId-000000000000-1.jsonl", "shardId-000000000000: checkpoint at "]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_pass_the_record_that_failed_and_no_other() {
    let printed = shows("05_failures", &["amount 1\n", "amount 2\n", "amount 4\n"]).await;
    assert!(!printed.contains("amount three"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_prints_every_record_and_removes_its_consumer() {
    let printed = shows("06_fan_out", &["order 1\n", "order 20\n"]).await;
    assert!(printed.ends_with("\nconsumers removed: 1\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_streams_are_read_the_added_one_too() {
    shows("07_several_streams", &["orders", "returns", "refunds"]).await;
}
