//! `pause`, `resume`, `seek`, `move` and `drain`: what changes a fleet that runs.

use std::time::Duration;

use kcl_core::lease::{LeaseTable as _, WorkerRow};
use kcl_core::model::Checkpoint;
use kcl_core::{Clock as _, MemoryStream, SystemClock, model::Lease};
use kcl_local::stream::LocalStream;
use serde_json::json;
use tokio::task::JoinSet;

use super::program::kcl;
use super::scene::{Scene, lease, until};

fn paused(leases: &[Lease]) -> usize {
    leases.iter().filter(|lease| lease.is_paused()).count()
}

#[tokio::test]
async fn a_fleet_is_paused_seen_to_be_and_resumed() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 3));
    let worker = scene.start("first", &stream, 3).await;
    let at = format!("app --table {}", scene.place());
    let one = "shardId-000000000001";
    kcl(&format!("pause {at} --shard {one}"))
        .await
        .says(0, &["Paused 1 lease of app; `kcl resume app` ends it."]);
    worker.holds(2).await;
    let document = kcl(&format!("pause {at} --json")).await.json(0);
    assert_eq!(document["held"], json!([]));
    assert_eq!(document["paused"].as_array().unwrap().len(), 3);
    worker.holds(0).await;
    let leases = scene.leases().await;
    assert_eq!(paused(&leases), 3);
    assert!(
        leases.iter().all(|lease| lease.owner.is_none()),
        "{leases:?}"
    );

    kcl(&format!("leases {at} --state paused"))
        .await
        .says(0, &[one, "paused at 20"]);
    // A pause is somebody's wish, and no problem.
    kcl(&format!("check {at}")).await.says(
        0,
        &[
            "note",
            "An operator paused it at",
            "kcl resume",
            "No problems",
        ],
    );
    kcl(&format!("status {at}")).await.says(0, &["3 paused"]);

    kcl(&format!("resume {at} --shard {one}"))
        .await
        .says(0, &["Resumed 1 lease of app."]);
    worker.holds(1).await;
    kcl(&format!("resume {at}"))
        .await
        .says(0, &["Resumed 2 leases of app."]);
    worker.holds(3).await;
    kcl(&format!("resume {at}"))
        .await
        .says(0, &["None of these leases is paused."]);
    assert_eq!(paused(&scene.leases().await), 0);
}

#[tokio::test]
async fn what_is_not_there_and_what_a_dead_worker_holds_is_said() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 1));
    let worker = scene.start("first", &stream, 1).await;
    worker.die().await;
    let at = format!("app --table {}", scene.place());
    kcl(&format!("pause {at} --shard shardId-9"))
        .await
        .complains(3, &["no unfinished lease is named `shardId-9`"]);
    kcl(&format!("pause {at} --wait 300ms"))
        .await
        .says(1, &["STILL HELD BY", "first", "paused, but not drained"]);
    kcl(&format!("leases {at} --json"))
        .await
        .says(0, &["paused_at"]);
}

#[tokio::test]
async fn a_seek_says_what_it_does_and_skips_only_when_told() {
    let scene = Scene::new().await;
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", 1).await.unwrap();
    for key in 0..5 {
        stream
            .put("orders", &key.to_string(), "data")
            .await
            .unwrap();
    }
    let source = stream.source("orders").unwrap();
    let worker = scene.start("first", &source, 1).await;
    let is_stored = async || matches!(scene.leases().await[0].checkpoint, Checkpoint::At(_));
    until("a checkpoint", is_stored).await;
    let seek = |rest: &str| {
        let (place, endpoint) = (scene.place(), stream.endpoint());
        format!("seek app {rest} --table {place} --endpoint {endpoint}")
    };
    let before = scene.leases().await;
    kcl(&seek("trim-horizon --dry-run")).await.says(
        0,
        &[
            "again",
            "Nothing was written: 1 checkpoint of app would be set",
        ],
    );
    assert_eq!(scene.leases().await[0].checkpoint, before[0].checkpoint);

    let document = kcl(&seek("trim-horizon --json")).await.json(0);
    assert_eq!(
        (
            &document["done"],
            &document["leases"][0]["effect"]["effect"]
        ),
        (&json!(true), &json!("read_again"))
    );
    // The five records are given again, and stored again.
    until("being read again", async || {
        let row = scene.leases().await.remove(0);
        row.checkpoint == before[0].checkpoint
            && !row.is_paused()
            && row.counter > before[0].counter
    })
    .await;

    // In an hour: everything until then would be skipped.
    let later = "at:4000000000";
    kcl(&seek(later))
        .await
        .complains(1, &["refused", "1 lease would be skipped", "--skip"]);
    assert_eq!(scene.leases().await[0].checkpoint, before[0].checkpoint);
    kcl(&seek(&format!("{later} --skip")))
        .await
        .says(0, &["skips", "Set 1 checkpoint of app to at:2096-"]);
    let row = scene.leases().await.remove(0);
    assert_eq!(row.checkpoint, Checkpoint::AtTimestamp);
    worker.die().await;
}

#[tokio::test]
async fn a_seek_of_what_is_not_drained_sets_nothing() {
    let scene = Scene::new().await;
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", 1).await.unwrap();
    let shard = stream.open_shards("orders").await.unwrap().remove(0);
    let mut held = lease(shard.as_str(), Checkpoint::TrimHorizon);
    held = held.owned_by("dead".into(), "t".into());
    scene.create(&[held.clone()]).await;
    let seek = format!(
        "seek app latest --skip --wait 300ms --stream orders --table {} --endpoint {}",
        scene.place(),
        stream.endpoint()
    );
    kcl(&seek)
        .await
        .complains(1, &["still held by dead", "no checkpoint was set"]);
    let row = scene.leases().await.remove(0);
    assert_eq!((row.checkpoint, row.paused_at), (held.checkpoint, None));
}

#[tokio::test]
async fn a_lease_is_moved_seen_to_be_and_taken_back() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let first = scene.start("first", &stream, 4).await;
    let second = scene.start("second", &stream, 2).await;
    first.holds(2).await;
    let at = format!("app --table {}", scene.place());
    let holder = async |worker: &str| {
        let leases = scene.leases().await;
        let is_of = |lease: &&Lease| lease.owner == Some(worker.into());
        leases.iter().find(is_of).unwrap().key.to_string()
    };
    let shard = holder("first").await;
    kcl(&format!("move {at} {shard} --to second"))
        .await
        .says(0, &["Moved 1 lease of app to second."]);
    // The balance moves another one in return. This one rests for a minute, and everybody sees why.
    first.holds(2).await;
    let row = scene.leases().await;
    let row = row.iter().find(|row| row.key.to_string() == shard).unwrap();
    assert_eq!(row.owner, Some("second".into()));
    kcl(&format!("leases {at}"))
        .await
        .says(0, &["moves to second"]);
    kcl(&format!("check {at}")).await.says(
        0,
        &["note", "An operator moves it to second.", "No problems"],
    );
    let document = kcl(&format!("move {at} {shard} --to second --json")).await;
    let document = document.json(0);
    assert_eq!(document["moved"], json!([shard]));
    assert_eq!(document["not_moved"], json!([]));
    kcl(&format!("move {at} {shard} --undo"))
        .await
        .says(0, &["Took back the move of 1 lease of app."]);
    kcl(&format!("move {at} {shard} --undo"))
        .await
        .says(0, &["None of these leases is being moved."]);

    kcl(&format!("move {at} {shard} --to nobody"))
        .await
        .complains(1, &["refused", "worker nobody has no row"]);
    kcl(&format!("move {at} shardId-9 --to second"))
        .await
        .complains(3, &["no unfinished lease is named `shardId-9`"]);
    second.die().await;
    kcl(&format!("move {at} {shard} --to second"))
        .await
        .complains(1, &["refused: worker second is dead"]);
}

#[tokio::test]
async fn a_move_that_is_not_made_in_time_is_taken_back() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 2));
    let _first = scene.start("first", &stream, 2).await;
    // It shows life, and asks for nothing.
    let mut idle = WorkerRow::new("idle".into(), "process".into(), Duration::from_secs(4));
    idle.drains = Some(0);
    let table = scene.table.clone();
    let mut beating = JoinSet::new();
    beating.spawn(async move {
        let mut seen = None;
        loop {
            let next = seen.as_ref().map_or_else(|| idle.clone(), WorkerRow::next);
            let written = table.write_worker(&next.worker, seen.as_ref(), Some(&next));
            written.await.unwrap();
            seen = Some(next);
            let soon = SystemClock.now() + Duration::from_millis(100);
            SystemClock.sleep_until(soon).await;
        }
    });
    let shard = scene.leases().await[0].key.to_string();
    let at = format!("app --table {}", scene.place());
    let said = kcl(&format!("move {at} {shard} --to idle --wait 300ms")).await;
    said.says(
        1,
        &[
            "NOT MOVED, HELD BY",
            "first",
            "taken back",
            "Moved 0 leases",
        ],
    );
    assert_eq!(scene.leases().await[0].assigned_to, None);
}

#[tokio::test]
async fn a_worker_is_drained_seen_to_be_and_takes_leases_again() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let first = scene.start("first", &stream, 4).await;
    let at = format!("app --table {}", scene.place());
    kcl(&format!("drain {at} first"))
        .await
        .complains(1, &["refused: no other worker is alive", "start another"]);
    let second = scene.start("second", &stream, 2).await;
    first.holds(2).await;
    kcl(&format!("drain {at} first")).await.says(
        0,
        &["first of app is drained; `kcl drain app first --undo`"],
    );
    first.holds(0).await;
    second.holds(4).await;
    kcl(&format!("workers {at}"))
        .await
        .says(0, &["first", "alive, draining"]);
    kcl(&format!("check {at}")).await.says(
        0,
        &["An operator drains it: it takes no leases", "No problems"],
    );
    let document = kcl(&format!("workers {at} --json")).await.json(0);
    assert_eq!(document["workers"][0]["draining"], json!(true));
    // The last one is not drained.
    kcl(&format!("drain {at} second"))
        .await
        .complains(1, &["refused: no other worker is alive"]);
    let document = kcl(&format!("drain {at} first --json")).await.json(0);
    assert_eq!(
        (&document["draining"], &document["held"], &document["free"]),
        (&json!(true), &json!([]), &json!([]))
    );

    kcl(&format!("drain {at} first --undo"))
        .await
        .says(0, &["first of app takes leases again."]);
    first.holds(2).await;
    kcl(&format!("drain {at} nobody"))
        .await
        .complains(1, &["refused: worker nobody has no row"]);
}
