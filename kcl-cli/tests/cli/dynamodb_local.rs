//! Every command beside a fleet of processes whose leases are in Amazon's DynamoDB Local.
//!
//! ```text
//! bash tests/e2e/run dynamo
//! ```
//!
//! starts one, builds the workers' program `consume`, and runs these tests.

use std::fs;
use std::process::Stdio;

use kcl_core::model::Checkpoint;
use serde_json::{Value, json};

use super::fleet::{Fleet, given};
use super::page::Page;
use super::program::{command, kcl};
use super::scene::until;

fn lines(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn a_fleet_is_seen_alive_and_dead() {
    let fleet = Fleet::new(4).await;
    fleet.put(40).await;
    let [mut first, mut second] = ["first", "second"].map(|worker| fleet.start(worker));
    fleet.is_shared(&[("first", 2), ("second", 2)]).await;
    fleet.is_stored().await;
    let (at, endpoint) = (fleet.at(), fleet.endpoint());

    let status = kcl(&format!("status {at} --judge --json")).await.json(0);
    assert_eq!(status["leases_by_state"], json!({ "held": 4 }));
    assert_eq!(
        (&status["stuck"], &status["malformed"], &status["judged"]),
        (&json!([]), &json!([]), &json!(true))
    );
    kcl(&format!("leases {at} --holder second"))
        .await
        .says(0, &["shardId-", "held", "second"]);
    kcl(&format!("workers {at}"))
        .await
        .says(0, &["first", "second", "alive"]);
    kcl(&format!("lag {at} {endpoint} --max 1m"))
        .await
        .says(0, &["4 unfinished leases, at most 0 ms behind"]);
    let watch = kcl(&format!("watch {at} --every 300ms --times 2")).await;
    watch.says(0, &["4 leases: 4 held"]);
    assert_eq!(watch.out.matches("app in dynamo:").count(), 2);
    let check = kcl(&format!("check {at} --ask-stream {endpoint} --json")).await;
    let check = check.json(0);
    assert_eq!(
        (&check["problems"], &check["findings"]),
        (&json!(0), &json!([]))
    );
    let cost = kcl(&format!("cost {at} --json")).await.json(0);
    assert_eq!((&cost["workers"], &cost["held"]), (&json!(2), &json!(4)));
    assert!(cost["dollars_per_month"].as_f64().unwrap() > 0.0, "{cost}");
    kcl(&format!("shards orders {endpoint}"))
        .await
        .says(0, &["orders: 4 shards open, 0 closed"]);

    first.kill().await;
    second.kill().await;
    let document = kcl(&format!("workers {at} --judge --json")).await.json(0);
    let workers = document["workers"].as_array().unwrap();
    assert!(
        workers.iter().all(|worker| worker["life"] == "dead"),
        "{document}"
    );
    kcl(&format!("leases {at} --stuck --judge"))
        .await
        .says(0, &["expired", "no worker of this application is alive"]);
    kcl(&format!("check {at}")).await.says(
        1,
        &["No worker of this application is alive", "Start a worker"],
    );
}

/// What reads the stream beside the fleet gives all of it, and the fleet does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn records_are_read_beside_the_fleet() {
    let fleet = Fleet::new(2).await;
    fleet.put(30).await;
    let first = fleet.start("first");
    fleet.is_shared(&[("first", 2)]).await;
    fleet.is_stored().await;
    let endpoint = fleet.endpoint();
    let tail = format!("tail orders {endpoint} --from trim-horizon --until-caught-up --json");
    let records = lines(&kcl(&tail).await.out);
    assert_eq!(records.len(), 30);
    let times = || {
        records
            .iter()
            .map(|line| line["arrived_at"].as_i64().unwrap())
    };
    let (from, to) = (times().min().unwrap(), times().max().unwrap());
    let replay = format!(
        "replay orders {endpoint} --from {from} --to {to} --table dynamo {}",
        fleet.dynamo_endpoint()
    );
    for expected in [30, 0] {
        let run = kcl(&replay).await;
        assert_eq!((run.code, lines(&run.out).len()), (0, expected), "{run:?}");
    }
    let (all, different) = given(&[&first]);
    assert_eq!((all, different.len()), (30, 30));
    fleet.is_shared(&[("first", 2)]).await;
    first.stop().await;
}

/// Records are put all the time: each is given to one worker, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn a_fleet_is_steered_and_gives_each_record_once() {
    let fleet = Fleet::new(4).await;
    fleet.put(20).await;
    let [first, second] = ["first", "second"].map(|worker| fleet.start(worker));
    fleet.is_shared(&[("first", 2), ("second", 2)]).await;
    let at = fleet.at();
    let one = fleet.lease_of("first").await;
    kcl(&format!("pause {at} --shard {one}"))
        .await
        .says(0, &["Paused 1 lease of app"]);
    let document = kcl(&format!("pause {at} --json")).await.json(0);
    assert_eq!(document["held"], json!([]));
    let before = given(&[&first, &second]).0;
    fleet.put(20).await;
    kcl(&format!("status {at}")).await.says(0, &["4 paused"]);
    assert_eq!(given(&[&first, &second]).0, before);
    kcl(&format!("resume {at} --shard {one}"))
        .await
        .says(0, &["Resumed 1 lease of app."]);
    kcl(&format!("resume {at}"))
        .await
        .says(0, &["Resumed 3 leases of app."]);
    fleet.is_shared(&[("first", 2), ("second", 2)]).await;

    let one = fleet.lease_of("first").await;
    kcl(&format!("move {at} {one} --to second"))
        .await
        .says(0, &["Moved 1 lease of app to second."]);
    fleet.put(20).await;
    kcl(&format!("leases {at}"))
        .await
        .says(0, &["moves to second"]);
    kcl(&format!("move {at} {one} --undo"))
        .await
        .says(0, &["Took back the move of 1 lease"]);

    kcl(&format!("drain {at} first"))
        .await
        .says(0, &["first of app is drained"]);
    fleet.is_shared(&[("first", 0), ("second", 4)]).await;
    fleet.put(20).await;
    kcl(&format!("drain {at} second"))
        .await
        .complains(1, &["refused: no other worker is alive"]);
    kcl(&format!("drain {at} first --undo"))
        .await
        .says(0, &["first of app takes leases again."]);
    fleet.is_shared(&[("first", 2), ("second", 2)]).await;

    until("all records", async || {
        given(&[&first, &second]).1.len() == 80
    })
    .await;
    fleet.is_stored().await;
    let (all, different) = given(&[&first, &second]);
    assert_eq!((all, different.len()), (80, 80));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn a_seek_reads_again_and_skips_only_when_told() {
    let fleet = Fleet::new(2).await;
    fleet.put(20).await;
    let first = fleet.start("first");
    fleet.is_shared(&[("first", 2)]).await;
    fleet.is_stored().await;
    let seek = |rest: &str| {
        let command = format!("seek {} {rest} {}", fleet.at(), fleet.endpoint());
        async move { kcl(&command).await }
    };
    let checkpoints = async || -> Vec<Value> {
        let leases = fleet.leases().await;
        leases.iter().map(|it| it["checkpoint"].clone()).collect()
    };
    let before = checkpoints().await;
    seek("trim-horizon --dry-run")
        .await
        .says(0, &["again", "Nothing was written: 2 checkpoints of app"]);
    let refused = seek("at:4000000000").await;
    refused.complains(1, &["refused", "2 leases would be skipped", "--skip"]);
    assert_eq!(checkpoints().await, before);
    assert_eq!(first.records().len(), 20);

    let document = seek("trim-horizon --json").await.json(0);
    assert_eq!(document["done"], json!(true));
    until("the records again", async || first.records().len() == 40).await;
    assert_eq!(given(&[&first]).1.len(), 20);
    fleet.is_stored().await;
    assert_eq!(checkpoints().await, before);

    seek("at:4000000000 --skip").await.says(0, &["skips"]);
    let expected = json!(Checkpoint::AtTimestamp.to_string());
    assert!(checkpoints().await.iter().all(|it| *it == expected));
    first.stop().await;
}

/// A seek is killed while it waits for a worker: the leases stay paused at their checkpoints. The
/// worker is killed while a seek waits for it: another one frees its lease, and the seek goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn a_seek_outlives_its_worker_and_a_killed_one_sets_nothing() {
    let fleet = Fleet::new(2).await;
    fleet.put(20).await;
    let [mut first, second] = ["first", "second"].map(|worker| fleet.start(worker));
    fleet.is_shared(&[("first", 1), ("second", 1)]).await;
    fleet.is_stored().await;
    let seek = format!("seek {} trim-horizon {}", fleet.at(), fleet.endpoint());
    let begin = || {
        let mut seek = command(seek.split_whitespace());
        seek.stdout(Stdio::null()).stderr(Stdio::null());
        seek.spawn().unwrap()
    };
    let are_paused = async || {
        let leases = fleet.leases().await;
        leases.iter().all(|lease| !lease["paused_at"].is_null())
    };
    let checkpoints = async || -> Vec<Value> {
        let leases = fleet.leases().await;
        leases.iter().map(|it| it["checkpoint"].clone()).collect()
    };
    let before = checkpoints().await;
    first.signal("STOP").await;
    let mut killed = begin();
    until("the pause", &are_paused).await;
    killed.kill().await.unwrap();
    assert_eq!(checkpoints().await, before);
    assert!(are_paused().await);
    first.signal("CONT").await;
    kcl(&format!("resume {}", fleet.at()))
        .await
        .says(0, &["Resumed 2 leases"]);
    fleet.is_shared(&[("first", 1), ("second", 1)]).await;
    assert_eq!(given(&[&first, &second]).0, 20);

    first.signal("STOP").await;
    let mut seeking = begin();
    until("the pause", &are_paused).await;
    first.kill().await;
    assert!(seeking.wait().await.unwrap().success());
    let of_both = || given(&[&first, &second]);
    until("all records again", async || of_both().0 == 40).await;
    fleet.is_shared(&[("second", 2)]).await;
    fleet.is_stored().await;
    assert_eq!((of_both().0, of_both().1.len()), (40, 20));
    assert_eq!(checkpoints().await, before);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn an_import_of_an_export_is_the_same_table() {
    let fleet = Fleet::new(3).await;
    fleet.put(30).await;
    let first = fleet.start("first");
    fleet.is_shared(&[("first", 3)]).await;
    fleet.is_stored().await;
    assert_eq!(first.records().len(), 30);
    first.stop().await;

    let leases = |text: &str| serde_json::from_str::<Value>(text).unwrap()["leases"].take();
    let exported = kcl(&format!("export {}", fleet.at())).await;
    let expected = leases(&exported.out);
    assert_eq!(expected.as_array().unwrap().len(), 3);
    let [direct, returned] = [(); 2].map(|()| Fleet::new_table());
    let sqlite = format!("sqlite:{}", fleet.file("copy.sqlite").display());
    // To another table, to SQLite, and from there to a third table.
    let mut text = exported.out.clone();
    for (number, place) in [fleet.place_of(&direct), sqlite, fleet.place_of(&returned)]
        .iter()
        .enumerate()
    {
        let file = fleet.file(&format!("{number}.json"));
        fs::write(&file, &text).unwrap();
        let import = format!("import app --table {place} --from {}", file.display());
        kcl(&import).await.says(0, &["created 3 leases"]);
        kcl(&import)
            .await
            .says(0, &["created 0 leases", "3 are already there"]);
        text = kcl(&format!("export app --table {place}")).await.out;
        assert_eq!(leases(&text), expected, "{place}");
    }

    // Its checkpoints hold: a worker that begins there is given what is new.
    let fleet = fleet.with_table(returned);
    fleet.put(10).await;
    let second = fleet.start("second");
    until("what is new", async || second.records().len() == 10).await;
    fleet.is_stored().await;
    assert_eq!(second.records().len(), 10);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn a_page_shows_the_fleet_and_steers_it() {
    const TOKEN: &str = "a-token-of-some-length";
    let fleet = Fleet::new(4).await;
    fleet.put(20).await;
    let first = fleet.start("first");
    fleet.is_shared(&[("first", 4)]).await;
    let token = fleet.file("token");
    fs::write(&token, TOKEN).unwrap();
    let page = Page::start(&format!(
        "{} {} --every 200ms --lag-every 1s --allow-changes --token-file {}",
        fleet.at(),
        fleet.endpoint(),
        token.display()
    ))
    .await;
    let mut second = fleet.start("second");
    fleet.is_shared(&[("first", 2), ("second", 2)]).await;
    until("the lag and the hand-over", async || {
        page.get("/api/lag").await.status == 200 && page.has_happened("handed_over").await
    })
    .await;
    let held = |worker: &str, leases: u32| {
        format!(
            "kcl_fleet_leases{{application=\"app\",owner=\"{worker}\",state=\"held\"}} {leases}"
        )
    };
    // The page is as old as its last reading of the table.
    let shows_both = async || {
        until("the metrics", async || {
            let metrics = page.get("/metrics").await.body;
            metrics.contains(&held("first", 2)) && metrics.contains(&held("second", 2))
        })
        .await;
    };
    shows_both().await;
    let status = page.json("/api/status").await;
    assert_eq!(status["leases_by_state"], json!({ "held": 4 }));
    assert_eq!(page.get("/healthz").await.status, 200);
    let scale = page.json("/scale/app").await;
    assert_eq!(scale["readable_leases"], json!(4));

    let change = async |wish: Value| {
        let answer = page.change(TOKEN, &wish).await;
        assert_eq!(answer.status, 200, "{wish}: {answer:?}");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    change(json!({ "do": "pause", "all": true })).await;
    until("the pause", async || {
        page.json("/api/tree?state=paused").await["found"] == 4
    })
    .await;
    change(json!({ "do": "resume", "all": true })).await;
    fleet.is_shared(&[("first", 2), ("second", 2)]).await;
    shows_both().await;
    let one = fleet.lease_of("first").await;
    let moved = change(json!({ "do": "move", "leases": [one], "to": "second" })).await;
    assert_eq!(moved, json!({ "moved": [one] }));
    let seek = json!({ "do": "seek", "all": true, "to": "trim-horizon", "dry_run": true });
    assert_eq!(change(seek).await["skips"], json!(0));

    second.kill().await;
    until("the death and the take-over", async || {
        page.has_happened("died").await && page.has_happened("taken_over").await
    })
    .await;
    fleet.is_shared(&[("first", 4)]).await;
    first.stop().await;
}
