//! The program as a user runs it.
#![expect(clippy::disallowed_methods, reason = "waits for another process")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::scene::program;

/// Runs the program to its end.
async fn fleet(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    tokio::time::timeout(Duration::from_secs(180), output)
        .await
        .expect("the program did not end")
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_script_is_carried_out_and_the_last_line_has_the_figures() {
    let script = "200ms kill 1; 300ms add; 400ms split; 500ms stop 2";
    let run = fleet(&[
        "--workers",
        "3",
        "--shards",
        "4",
        "--failover",
        "5s",
        "--script",
        script,
    ])
    .await;
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
    for said in [
        "w1 killed",
        "w4 started",
        "split shardId-",
        "w2 told to stop",
        "w3: ",
    ] {
        assert!(err.contains(said), "{said:?} is not in {err}");
    }
    for row in ["w1 killed", "records put", "lost", "duplicates", "elapsed"] {
        assert!(out.contains(row), "{row:?} is not in {out}");
    }
    assert!(
        !out.contains('\u{1b}') && !err.contains('\u{1b}'),
        "no colours and no cursor where there is no terminal"
    );
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["right"], &last["lost"], &last["out_of_order"]),
        (&true.into(), &0.into(), &0.into()),
        "{last}"
    );
    assert!(last["put"].as_u64().unwrap() > 0, "{last}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_what_is_allowed() {
    for (arguments, said) in [
        (&["--script", "soon kill 1"] as &[&str], "10s kill 1"),
        (&["--script", "1s burn"], "kill, restart, freeze, stop"),
        (&["--workers", "0"], "1..=64"),
        (&["--lease-table", "dynamodb:leases"], "sqlite:PATH"),
        (&["--measure", "luck"], "stop, kill, join, start, cost"),
        (&["--runs", "3"], "--measure"),
    ] {
        let run = fleet(arguments).await;
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&run.stderr).contains(said),
            "{said:?} is not in {}",
            text(&run.stderr)
        );
    }
    let run = fleet(&["--folder", "/proc/no/such/folder"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text(&run.stderr).contains("cannot create the folder"),
        "{}",
        text(&run.stderr)
    );
    let run = fleet(&["--help"]).await;
    assert!(run.status.success() && text(&run.stdout).contains("Examples:"));
}

#[tokio::test]
async fn a_soak_is_carried_out_and_judged() {
    let run = fleet(&[
        "--soak",
        "3",
        "--for",
        "12s",
        "--workers",
        "4",
        "--shards",
        "3",
        "--failover",
        "3s",
    ])
    .await;
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("calm: no more faults"), "{err}");
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["right"], &last["lost"], &last["seed"]),
        (&true.into(), &0.into(), &3.into()),
        "{last}"
    );
    assert!(
        last["done"]["killed"].as_u64().unwrap() > 2 && last["put"].as_u64().unwrap() > 0,
        "{last}"
    );
}

/// A shard answers like one that has ended, while it is open and while it is closed with records
/// left: it is read on where it was.
#[tokio::test]
async fn answers_without_a_next_iterator_lose_nothing() {
    let script = "500ms harm 1 odd stream 10s 100%; 1s split; 2s split";
    let options = [
        "--workers",
        "1",
        "--shards",
        "2",
        "--rate",
        "20",
        "--failover",
        "3s",
    ];
    let run = fleet(&[&options[..], &["--script", script]].concat()).await;
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["right"], &last["lost"]),
        (&true.into(), &0.into()),
        "{last}"
    );
    assert!(
        last["requests_harmed"]["odd"]
            .as_u64()
            .is_some_and(|odd| odd > 0),
        "{last}"
    );
}
