//! `pause`, `resume` and `seek`: what changes a fleet that runs.

use kcl_core::model::Checkpoint;
use kcl_core::{MemoryStream, model::Lease};
use kcl_local::stream::LocalStream;
use serde_json::json;

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
