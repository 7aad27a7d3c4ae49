//! `check`, `lag` and `shards`: what the stream is asked.

use kcl_core::MemoryStream;
use kcl_core::model::{Checkpoint, HashKeyRange};
use kcl_local::stream::LocalStream;
use serde_json::{Value, json};

use super::program::kcl;
use super::scene::{Scene, lease, until};

/// The kinds of what was found.
fn kinds(document: &Value) -> Vec<&str> {
    let findings = document["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect()
}

async fn stream(shards: u32) -> LocalStream {
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", shards).await.unwrap();
    stream
}

#[tokio::test]
async fn a_fleet_at_work_has_no_problems_and_a_broken_row_is_one() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let worker = scene.start("first", &stream, 4).await;
    let check = format!("check app --table {} --json", scene.place());
    let document = kcl(&check).await.json(0);
    assert_eq!(
        (kinds(&document), &document["problems"]),
        (vec![], &json!(0))
    );

    scene.sql("UPDATE leases SET checkpoint = 'x' WHERE shard LIKE '%3'");
    let document = kcl(&check).await.json(1);
    assert_eq!(kinds(&document), ["malformed_row", "hole"]);
    let said = kcl(&format!("check app --table {}", scene.place())).await;
    said.says(1, &["`x`", "Correct the value", "2 problems in 3 leases"]);
    scene.sql("UPDATE leases SET checkpoint = 'TRIM_HORIZON' WHERE shard LIKE '%3'");
    until("being well again", async || kcl(&check).await.code == 0).await;
    worker.die().await;
    let document = kcl(&check).await.json(1);
    assert_eq!(kinds(&document), ["stuck", "dead_worker"]);
}

#[tokio::test]
async fn a_deleted_lease_is_missed_beside_the_stream() {
    let (scene, stream) = (Scene::new().await, stream(2).await);
    let source = stream.source("orders").unwrap();
    let worker = scene.start("first", &source, 2).await;
    let arguments = format!(
        "check app --table {} --ask-stream --endpoint {} --json",
        scene.place(),
        stream.endpoint()
    );
    let document = kcl(&arguments).await.json(0);
    assert_eq!(document["asked"]["get_records"], 2);
    worker.die().await;
    scene.sql("DELETE FROM leases WHERE shard LIKE '%1'");
    let document = kcl(&arguments).await.json(1);
    assert_eq!(
        kinds(&document),
        ["hole", "missing_lease", "stuck", "dead_worker"]
    );
}

#[tokio::test]
async fn a_lag_is_that_of_the_checkpoint_and_bounded_by_max() {
    let (scene, stream) = (Scene::new().await, stream(2).await);
    let shards = stream.open_shards("orders").await.unwrap();
    let whole = |shard: &str, checkpoint| {
        let mut lease = lease(shard, checkpoint);
        lease.hash_range = Some(HashKeyRange::WHOLE);
        lease
    };
    let begin = whole(shards[0].as_str(), Checkpoint::TrimHorizon);
    let idle = whole(shards[1].as_str(), Checkpoint::TrimHorizon);
    scene.create(&[begin, idle]).await;
    let lag = format!(
        "lag app --table {} --stream orders --endpoint {}",
        scene.place(),
        stream.endpoint()
    );
    let document = kcl(&format!("{lag} --json --max 1s")).await.json(0);
    assert_eq!(document["max_behind_seconds"], 0.0);
    // One key for each half of the hash keys; which shard it goes to is not known.
    for key in 0..8 {
        stream
            .put("orders", &key.to_string(), "data")
            .await
            .unwrap();
    }
    until("falling behind", async || {
        let document = kcl(&format!("{lag} --json")).await.json(0);
        document["max_behind_seconds"].as_f64().unwrap() > 0.01
    })
    .await;
    let said = kcl(&format!("{lag} --max 1ms")).await;
    said.says(
        1,
        &[
            "Asked: 2 GetShardIterator, 2 GetRecords",
            "2 unfinished leases",
        ],
    );
    let unnamed = format!(
        "lag app --table {} --endpoint {}",
        scene.place(),
        stream.endpoint()
    );
    kcl(&unnamed)
        .await
        .complains(3, &["no lease of `app` names its stream", "--stream"]);
}

#[tokio::test]
async fn the_shards_of_a_stream_are_a_tree() {
    let stream = stream(2).await;
    let open = stream.open_shards("orders").await.unwrap();
    let children = stream.split("orders", &open[0]).await.unwrap();
    stream.put("orders", "k", "data").await.unwrap();
    let shards = format!("shards orders --endpoint {}", stream.endpoint());
    let said = kcl(&shards).await;
    said.says(
        0,
        &[
            "orders: 3 shards open",
            &format!("├─ {}", children[0]),
            &format!("└─ {}", children[1]),
        ],
    );
    let document = kcl(&format!("{shards} --json")).await.json(0);
    let depths: Vec<u64> = document["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["depth"].as_u64().unwrap())
        .collect();
    assert_eq!(depths, [0, 1, 1, 0]);
    kcl(&format!("shards nothing --endpoint {}", stream.endpoint()))
        .await
        .complains(3, &["cannot read the stream nothing"]);
}
