//! `replay`: a range of time once more, beside a fleet.

use kcl_local::stream::LocalStream;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::program::{Finished, command, kcl};
use super::scene::{Scene, until};

/// The lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    let mut texts: Vec<&str> = lines
        .iter()
        .map(|line| line["data"].as_str().unwrap())
        .collect();
    texts.sort_unstable();
    texts
}

/// Twelve records at times of their own, on two shards.
async fn stream() -> LocalStream {
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", 2).await.unwrap();
    for number in 10..22 {
        let data = format!("order {number}");
        stream
            .put("orders", &number.to_string(), data)
            .await
            .unwrap();
        // Times of arrival are in milliseconds.
        until("the next moment", next_moment()).await;
    }
    stream
}

/// Whether five milliseconds have passed since it was made.
fn next_moment() -> impl AsyncFnMut() -> bool {
    use kcl_core::Clock as _;
    let end = kcl_core::SystemClock.now() + std::time::Duration::from_millis(5);
    async move || kcl_core::SystemClock.now() >= end
}

/// The arrivals of all records, the earliest first.
async fn arrivals(endpoint: &str) -> Vec<i64> {
    let all = kcl(&format!(
        "tail orders --endpoint {endpoint} --from trim-horizon --until-caught-up --json"
    ))
    .await;
    let mut times: Vec<i64> = lines(&all.out)
        .iter()
        .map(|line| line["arrived_at"].as_i64().unwrap())
        .collect();
    times.sort_unstable();
    times
}

#[tokio::test]
async fn a_range_is_read_once_more_beside_a_fleet_and_ends() {
    let (scene, stream) = (Scene::new().await, stream().await);
    let worker = scene
        .start("first", &stream.source("orders").unwrap(), 2)
        .await;
    let endpoint = stream.endpoint().to_string();
    let times = arrivals(&endpoint).await;
    let replay = |rest: &str| {
        let (from, to) = (times[3], times[8]);
        let command = format!("replay orders --endpoint {endpoint} --from {from} --to {to} {rest}");
        async move { kcl(&command).await }
    };
    let expected: Vec<String> = (13..19).map(|number| format!("order {number}")).collect();
    let first = replay("").await;
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(texts(&lines(&first.out)), expected);
    assert!(
        first
            .err
            .contains("replayed 6 records of 2 shards of orders, "),
        "{first:?}"
    );

    // In the file of the fleet, under a name of its own: what is done once is not done again.
    let file = scene.folder.path().join("orders.jsonl");
    let kept = format!("--table {} --output {}", scene.place(), file.display());
    let again: Vec<Finished> = vec![replay(&kept).await, replay(&kept).await];
    assert!(
        again.iter().all(|run| run.code == 0 && run.out.is_empty()),
        "{again:?}"
    );
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(texts(&lines(&written)), expected);
    assert_eq!(scene.leases().await.len(), 2, "of the application itself");
    worker.holds(2).await;
}

#[tokio::test]
async fn children_are_read_after_their_parents() {
    let stream = stream().await;
    let shard = stream.open_shards("orders").await.unwrap().remove(0);
    stream.split("orders", &shard).await.unwrap();
    stream.put("orders", "10", "order 22").await.unwrap();
    stream.put("orders", "11", "order 23").await.unwrap();
    let endpoint = stream.endpoint().to_string();
    let times = arrivals(&endpoint).await;
    let run = kcl(&format!(
        "replay orders --endpoint {endpoint} --from {} --to {} --calls-per-second 5",
        times[0], times[13]
    ))
    .await;
    assert_eq!(run.code, 0, "{run:?}");
    let lines = lines(&run.out);
    assert_eq!(texts(&lines).len(), 14, "{run:?}");
}

/// As `head` does.
#[tokio::test]
async fn a_reader_that_goes_away_ends_the_replay() {
    let stream = stream().await;
    let endpoint = stream.endpoint().to_string();
    // Its end lies ahead, so that it would wait for an hour.
    let range = "--from 1000000000000 --to 4000000000000";
    let arguments = format!("replay orders --endpoint {endpoint} {range}");
    let mut run = command(arguments.split_whitespace()).spawn().unwrap();
    let mut out = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).await.unwrap();
    assert!(line.contains("order 1"), "{line}");
    drop(out);
    stream.put("orders", "10", "late").await.unwrap();
    stream.put("orders", "15", "late").await.unwrap();
    let ended = run.wait().await.unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn a_range_or_a_table_that_cannot_be_is_refused() {
    kcl("replay orders --endpoint http://127.0.0.1:1 --from 2000 --to 1000")
        .await
        .complains(
            3,
            &["the range from", "is empty: expected --from before --to"],
        );
    kcl("replay orders --endpoint http://127.0.0.1:1 --from yesterday --to 1000")
        .await
        .complains(2, &["expected TIME as RFC 3339"]);
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", 1).await.unwrap();
    let endpoint = stream.endpoint();
    kcl(&format!(
        "replay orders --endpoint {endpoint} --from 1000 --to 2000 --table dynamo:billing"
    ))
    .await
    .complains(
        3,
        &["names a table: expected `dynamo`", "replay-of-orders-"],
    );
}
