//! `serve --allow-changes`: who may change what, and what is changed.

use std::process::Stdio;

use kcl_core::MemoryStream;
use kcl_core::model::Checkpoint;
use kcl_local::stream::LocalStream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::page::{Answer, Page};
use super::program::kcl;
use super::scene::{Scene, lease, until};

const TOKEN: &str = "a-token-of-some-length";

/// A page on which whoever has [`TOKEN`] may change something.
async fn with_token(scene: &Scene, more: &str) -> Page {
    let file = scene.folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let (place, file) = (scene.place(), file.display());
    Page::start(&format!(
        "app --table {place} --every 200ms --allow-changes --token-file {file} {more}"
    ))
    .await
}

fn done(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn nothing_is_changed_without_leave_token_or_sense() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let before = scene.leases().await;
    let pause = json!({ "do": "pause", "all": true });
    let reading = Page::start(&format!("app --table {} --no-lag", scene.place())).await;
    let answer = reading.change(TOKEN, &pause).await;
    assert_eq!(answer.status, 405);
    assert!(answer.body.contains("--allow-changes"), "{answer:?}");

    let page = with_token(&scene, "--no-lag").await;
    for token in ["", "a-token-of-some-lengtH", "a-token-of-some-length1"] {
        let answer = page.change(token, &pause).await;
        assert_eq!(answer.status, 401, "{token}");
        assert!(!answer.body.contains(TOKEN));
    }
    let bearer = format!("Bearer {TOKEN}");
    for (name, value) in [("Origin", "http://evil.example"), ("Host", "evil.example")] {
        let headers = [("Authorization", bearer.as_str()), (name, value)];
        let body = pause.to_string();
        let answer = page.send("POST /api/change/app", &headers, &body).await;
        assert_eq!(answer.status, 403, "{name}");
    }
    for (wish, status, says) in [
        (json!({ "do": "pause" }), 400, "`leases`"),
        (
            json!({ "do": "pause", "leases": [], "all": false }),
            400,
            "`leases`",
        ),
        (
            json!({ "do": "pause", "all": true, "leases": ["shardId-0"] }),
            400,
            "`all`",
        ),
        (json!({ "do": "delete", "all": true }), 400, "delete"),
        (json!({ "do": "seek", "all": true }), 400, "`to`"),
        (
            json!({ "do": "seek", "all": true, "to": "now" }),
            400,
            "trim-horizon",
        ),
        (
            json!({ "do": "pause", "all": true, "to": "latest" }),
            400,
            "`to`",
        ),
        (
            json!({ "do": "seek", "all": true, "to": "latest", "dryrun": true }),
            400,
            "dryrun",
        ),
        (
            json!({ "do": "pause", "leases": ["shardId-9"] }),
            404,
            "shardId-9",
        ),
        (json!({ "do": "drain" }), 400, "`worker`"),
        (json!({ "do": "drain", "all": true }), 400, "`worker`"),
        (
            json!({ "do": "drain", "worker": "first", "all": true }),
            400,
            "`all`",
        ),
        (
            json!({ "do": "pause", "worker": "first", "all": true }),
            400,
            "`worker`",
        ),
        (json!({ "do": "undrain", "worker": "first" }), 404, "no row"),
    ] {
        let answer = page.change(TOKEN, &wish).await;
        assert_eq!(answer.status, status, "{wish}: {answer:?}");
        assert!(answer.body.contains(says), "{wish}: {answer:?}");
    }
    assert_eq!(scene.leases().await, before);
}

#[tokio::test]
async fn a_fleet_is_paused_and_resumed_from_the_page() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 2));
    let worker = scene.start("first", &stream, 2).await;
    let page = with_token(&scene, "--no-lag").await;
    let one = "shardId-000000000001";
    let paused = done(
        &page
            .change(TOKEN, &json!({ "do": "pause", "leases": [one] }))
            .await,
    );
    assert_eq!(paused, json!({ "paused": [one] }));
    worker.holds(1).await;
    done(
        &page
            .change(TOKEN, &json!({ "do": "pause", "all": true }))
            .await,
    );
    worker.holds(0).await;
    until("seeing it", async || {
        let status = page.json("/api/tree?state=paused").await;
        status["found"] == 2
    })
    .await;
    let resumed = done(
        &page
            .change(TOKEN, &json!({ "do": "resume", "all": true }))
            .await,
    );
    assert_eq!(resumed["resumed"].as_array().unwrap().len(), 2);
    worker.holds(2).await;
    worker.die().await;
}

/// The first step says what would be done; a seek that skips needs more than that.
#[tokio::test]
async fn a_seek_of_the_page_says_what_it_does_before_it_does_it() {
    let (scene, stream) = (Scene::new().await, LocalStream::start().await.unwrap());
    stream.create("orders", 1).await.unwrap();
    stream.put("orders", "k", "data").await.unwrap();
    let source = stream.source("orders").unwrap();
    let worker = scene.start("first", &source, 1).await;
    let is_stored = async || matches!(scene.leases().await[0].checkpoint, Checkpoint::At(_));
    until("a checkpoint", is_stored).await;
    let page = with_token(&scene, &format!("--endpoint {}", stream.endpoint())).await;
    let before = scene.leases().await.remove(0);
    let seek = |to: &str, skip: bool, dry_run: bool| json!({ "do": "seek", "all": true, "to": to, "skip": skip, "dry_run": dry_run });
    let planned = done(&page.change(TOKEN, &seek("trim-horizon", false, true)).await);
    assert_eq!(
        (&planned["skips"], &planned["leases"][0]["effect"]["effect"]),
        (&json!(0), &json!("read_again"))
    );
    assert_eq!(scene.leases().await[0].checkpoint, before.checkpoint);
    let later = "at:4000000000";
    let refused = page.change(TOKEN, &seek(later, false, false)).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(scene.leases().await[0].checkpoint, before.checkpoint);
    let set = done(&page.change(TOKEN, &seek(later, true, false)).await);
    assert_eq!(set["done"], json!(true));
    let row = scene.leases().await.remove(0);
    assert_eq!(row.checkpoint, Checkpoint::AtTimestamp);
    assert!(!row.is_paused());
    worker.die().await;
}

#[tokio::test]
async fn a_token_is_made_and_a_short_one_is_refused() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let serve = format!("app --table {} --no-lag --allow-changes", scene.place());
    let mut page = Page::start_in(&serve, Stdio::piped()).await;
    let mut said = BufReader::new(page.process.stderr.take().unwrap()).lines();
    let line = said.next_line().await.unwrap().unwrap();
    let token = line.strip_prefix("The token for changes is ").unwrap();
    assert_eq!(token.len(), 32);
    done(
        &page
            .change(token, &json!({ "do": "pause", "all": true }))
            .await,
    );
    assert!(scene.leases().await[0].is_paused());

    let file = scene.folder.path().join("short");
    std::fs::write(&file, "secret").unwrap();
    let file = file.display();
    kcl(&format!("serve {serve} --token-file {file}"))
        .await
        .complains(3, &["has 6 characters", "at least 16"]);
}

#[tokio::test]
async fn a_lease_is_moved_from_the_page() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let first = scene.start("first", &stream, 4).await;
    let second = scene.start("second", &stream, 2).await;
    let page = with_token(&scene, "--no-lag").await;
    let of = async |worker: &str| {
        let rows = scene.leases().await;
        let held = rows.into_iter().find(|row| {
            let owner = row.actual_owner();
            owner.is_some_and(|owner| owner.as_str() == worker)
        });
        held.unwrap().key.to_string()
    };
    let lease = of("first").await;
    let wish = |to: &str| json!({ "do": "move", "leases": [lease], "to": to });
    let answer = page.change(TOKEN, &wish("nobody")).await;
    assert!([404, 409].contains(&answer.status), "{answer:?}");
    let answer = done(&page.change(TOKEN, &wish("second")).await);
    assert_eq!(answer, json!({ "moved": [lease] }));
    let rows = scene.leases().await;
    let row = rows
        .iter()
        .find(|row| row.key.to_string() == lease)
        .unwrap();
    assert_eq!(row.actual_owner().unwrap().as_str(), "second");
    assert!(row.assigned_to.is_some(), "it keeps it for a minute");
    first.die().await;
    second.die().await;
}

#[tokio::test]
async fn a_worker_is_drained_from_the_page() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let first = scene.start("first", &stream, 4).await;
    let page = with_token(&scene, "--no-lag").await;
    let drain = json!({ "do": "drain", "worker": "first" });
    let alone = page.change(TOKEN, &drain).await;
    assert_eq!(alone.status, 409, "{alone:?}");
    assert!(alone.body.contains("no other worker is alive"), "{alone:?}");
    let second = scene.start("second", &stream, 2).await;
    first.holds(2).await;
    // A drain is begun by the fleet as the page has last seen it.
    until("the page to see both", async || {
        let workers = page.json("/api/workers/app").await;
        let is_there = |it: &Value| it["life"] == "alive" && it["leases"] == 2;
        let workers = workers["workers"].as_array().unwrap();
        workers.len() == 2 && workers.iter().all(is_there)
    })
    .await;
    let drained = done(&page.change(TOKEN, &drain).await);
    let expected = json!({ "worker": "first", "draining": true, "held": 2 });
    assert_eq!(drained, expected);
    first.holds(0).await;
    second.holds(4).await;
    until("seeing it", async || {
        let workers = page.json("/api/workers/app").await;
        let of_first = &workers["workers"][0];
        of_first["draining"] == true && of_first["leases"] == 0
    })
    .await;
    let undrain = json!({ "do": "undrain", "worker": "first" });
    let ended = done(&page.change(TOKEN, &undrain).await);
    assert_eq!(ended, json!({ "worker": "first", "draining": false }));
    first.holds(2).await;
    let dead = page
        .change(TOKEN, &json!({ "do": "drain", "worker": "nobody" }))
        .await;
    assert_eq!(dead.status, 404, "{dead:?}");
    first.die().await;
    second.die().await;
}
