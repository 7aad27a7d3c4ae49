//! What `consume` says when it cannot.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use super::program::{Finished, Program};
use super::scene::Scene;

async fn consume(arguments: &str, without: &str) -> Finished {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    Program::start_with("consume", arguments, |command| command.env_remove(without))
        .finish()
        .await
}

#[track_caller]
fn assert_said(run: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(run.code, Some(code), "{run:?}");
    for part in parts {
        assert!(run.err.contains(part), "{part:?} is not in {run:?}");
    }
}

#[tokio::test]
async fn an_option_that_cannot_be_is_named_with_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let table = format!(
        "--lease-table sqlite:{}",
        folder.path().join("leases").display()
    );
    for (arguments, parts) in [
        ("--application a".to_owned(), &["--stream"] as &[&str]),
        ("--stream s".to_owned(), &["--application"]),
        (
            "--stream s --application a --from somewhere".to_owned(),
            &["'somewhere'", "--from", "trim-horizon, latest or at:TIME"],
        ),
        (
            "--stream s --application a --from at:noon".to_owned(),
            &["2026-01-31T08:00:00Z"],
        ),
        (
            "--stream s --application a --lease-table leases".to_owned(),
            &["sqlite:PATH", "dynamo:TABLE"],
        ),
        (
            "--stream s --application a --lease-table dynamo --dynamo-endpoint localhost:8000"
                .to_owned(),
            &["http://"],
        ),
        (
            "--stream s --application a --endpoint localhost:4567".to_owned(),
            &["http://"],
        ),
        (
            "--stream s --application a --exit-after 0".to_owned(),
            &["--exit-after"],
        ),
        (
            "--stream s --application a --byte-budget 1MiB".to_owned(),
            &["10 MiB"],
        ),
        (
            "--stream s!t --application a".to_owned(),
            &["invalid stream name `s!t`"],
        ),
        (
            format!("--stream s --application a --failover 10ms {table}"),
            &["invalid setting `failover`: got 10ms", "1s to 3600s"],
        ),
        (
            format!("--stream s --application a! {table}"),
            &["`application`: got `a!`"],
        ),
        (
            "--stream s --application a --consumer c".to_owned(),
            &["--consumer is only valid with --mode fan-out and --mode auto"],
        ),
        (
            "--stream s --application a --mode push".to_owned(),
            &["polling, fan-out, auto"],
        ),
        (
            format!("--stream s --application a --mode fan-out --consumer a/b {table}"),
            &["`mode`: got `a/b`", "1 to 128"],
        ),
        (
            format!("--stream s --application a --mode auto --consumer arn:c {table}"),
            &["`mode`: got `arn:c`", "consumer/NAME"],
        ),
    ] {
        let run = consume(&arguments, "NOTHING").await;
        assert_said(&run, 2, parts);
        assert!(run.out.is_empty(), "{run:?}");
    }
}

#[tokio::test]
async fn what_the_environment_lacks_is_said_with_the_whole_chain() {
    let folder = tempfile::tempdir().unwrap();
    let table = format!(
        "--lease-table sqlite:{}",
        folder.path().join("leases").display()
    );
    let base =
        format!("--stream orders --application billing --endpoint http://127.0.0.1:9 {table}");
    let run = consume(&base, "AWS_REGION").await;
    assert_said(
        &run,
        1,
        &["no AWS region for stream `orders`", "AWS_REGION"],
    );
    let dynamo =
        "--stream orders --application billing --endpoint http://127.0.0.1:9 --lease-table dynamo";
    let run = consume(dynamo, "AWS_REGION").await;
    assert_said(
        &run,
        1,
        &["no AWS region for the lease table `billing`", "AWS_REGION"],
    );
    let run = consume(
        &format!("{base} --dynamo-endpoint http://127.0.0.1:9"),
        "NOTHING",
    )
    .await;
    assert_said(
        &run,
        1,
        &["--dynamo-endpoint is only valid with --lease-table dynamo"],
    );
    assert_eq!(
        run.number("records"),
        0,
        "the last line is there all the same"
    );
    assert_said(
        &consume(&base, "AWS_ACCESS_KEY_ID").await,
        1,
        &["no AWS credentials", "AWS_ACCESS_KEY_ID"],
    );
    let run = consume(&format!("{base} --start-within 1s"), "NOTHING").await;
    assert_said(
        &run,
        1,
        &["could not start within 1s", "Connection refused"],
    );
    let run = consume("--stream orders --application billing", "HOME").await;
    assert_said(&run, 1, &["HOME is not set", "--lease-table sqlite:PATH"]);
    let run = consume(
        "--stream s --application a --lease-table sqlite:/no/such/folder/leases",
        "NOTHING",
    )
    .await;
    assert_said(&run, 1, &["/no/such/folder"]);
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "this is a text and no lease table at all, however long it may be\n".repeat(20),
    )
    .unwrap();
    let run = consume(
        &format!(
            "--stream s --application a --lease-table sqlite:{}",
            text.display()
        ),
        "NOTHING",
    )
    .await;
    assert_said(&run, 1, &["text"]);
    let run = consume(
        &format!("--stream s --application a --trace /no/such/file {table}"),
        "NOTHING",
    )
    .await;
    assert_said(&run, 1, &["cannot open the trace", "No such file"]);
}

#[tokio::test]
async fn help_is_on_standard_output() {
    let run = consume("--help", "NOTHING").await;
    assert_eq!(run.code, Some(0));
    assert!(
        run.out.contains("Examples:") && run.err.is_empty(),
        "{run:?}"
    );
}

#[tokio::test]
async fn quiet_at_a_dead_port_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let table = format!(
        "--lease-table sqlite:{}",
        folder.path().join("leases").display()
    );
    let dead =
        format!("--stream orders --application billing --endpoint http://127.0.0.1:9 {table}");
    let run = consume(
        &format!("{dead} --idle-exit 100ms --start-within 2s"),
        "NOTHING",
    )
    .await;
    assert_said(&run, 1, &["could not start within 2s"]);
}

/// The stream goes away in the midst of the reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_because_nothing_is_read_is_an_error() {
    let scene = Scene::new().await;
    scene.put(500).await;
    let trace = scene.path("trace");
    let run = scene.consume(&trace, "--idle-exit 2s");
    let records = || {
        std::fs::read_to_string(&trace)
            .unwrap_or_default()
            .matches("\"record\"")
            .count()
    };
    while records() < 500 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let Scene {
        stream,
        folder: _folder,
        ..
    } = scene;
    stream.stop().await;
    let run = run.finish().await;
    assert_said(&run, 1, &["cannot be read", "shardId-"]);
    assert_eq!(run.number("records"), 501, "{run:?}");
}
