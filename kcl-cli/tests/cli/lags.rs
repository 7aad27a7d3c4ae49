//! What the commands show of what workers say of their lag: without a call to the stream.

use std::future::pending;
use std::sync::Arc;

use kcl_core::lease::LeaseTable as _;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{Failure, MemoryStream, RecordProcessor};
use kcl_local::stream::LocalStream;
use serde_json::{Value, json};

use super::page::Page;
use super::program::kcl;
use super::scene::{Running, Scene, until};

/// Nothing listens there: whoever asks the stream fails.
const NOWHERE: &str = "--endpoint http://127.0.0.1:1";

/// A handler that fails on the first shard and hangs on the second.
struct Odd(ShardRef);

impl RecordProcessor for Odd {
    async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
        match self.0.shard.as_str().chars().last() {
            Some('0') => Err(Failure::new("poison")),
            Some('1') => pending().await,
            _ => Ok(()),
        }
    }
}

/// How many leases stand still, as the worker's row says.
async fn standing(scene: &Scene, worker: &str) -> usize {
    let row = scene.table.get_worker(&worker.into()).await.unwrap();
    let lag = row.and_then(|row| row.lag);
    let listed = lag.iter().flat_map(|lag| &lag.listed);
    listed.filter(|listed| listed.standstill.is_some()).count()
}

/// The shards with the reasons for which they are stuck.
fn stuck(document: &Value) -> Vec<(&str, &str)> {
    let leases = document["leases"].as_array().unwrap();
    leases
        .iter()
        .map(|lease| {
            (
                lease["shard"].as_str().unwrap(),
                lease["stuck"]["reason"].as_str().unwrap(),
            )
        })
        .collect()
}

/// A worker on three shards, of which one fails and one hangs for more than ten seconds.
async fn odd() -> (Scene, Running) {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 3));
    let processors = |shard: &ShardRef| Odd(shard.clone());
    let table = Arc::new(scene.table.clone());
    let worker = Running::start_with("odd", &stream, table, processors);
    worker.holds(3).await;
    for shard in stream.open_shards() {
        stream.put_to(&shard, "k", "data").unwrap();
    }
    until("two leases that stand still", async || {
        standing(&scene, "odd").await == 2
    })
    .await;
    (scene, worker)
}

#[tokio::test]
async fn a_handler_that_fails_or_hangs_is_found_by_each_command() {
    let (scene, _worker) = odd().await;
    let (place, after) = (scene.place(), "--stuck-after 10s");
    let [fails, hangs] = ["shardId-000000000000", "shardId-000000000001"];
    let leases = format!("leases app --table {place} --stuck");
    let found = kcl(&format!("{leases} {after} --json")).await.json(0);
    let wanted = [(fails, "handler_fails"), (hangs, "handler_busy")];
    assert_eq!(stuck(&found), wanted);
    let said = kcl(&format!("{leases} {after}")).await;
    said.says(0, &["its holder odd says that the handler has failed for"]);
    let later = "--stuck-after 1h";
    let not_yet = kcl(&format!("{leases} {later} --json")).await.json(0);
    assert_eq!(stuck(&not_yet), []);

    let check = format!("check app --table {place}");
    let document = kcl(&format!("{check} {after} --json")).await.json(1);
    let kinds = document["findings"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["stuck", "stuck"]);
    let said = kcl(&format!("{check} {after}")).await;
    said.says(1, &[fails, hangs, "`handler_failed`", "`handler_slow`"]);
    assert_eq!(kcl(&format!("{check} {later}")).await.code, 0);

    let status = kcl(&format!("status app --table {place} {after} --json")).await;
    let status = status.json(0);
    assert_eq!(status["stuck"].as_array().unwrap().len(), 2);
    assert!(status["max_behind_seconds"].as_f64().unwrap() >= 10.0);
    assert_eq!(status["lag_unknown"], 0);
    let watch = kcl(&format!("watch app --table {place} {after} --times 1")).await;
    watch.says(0, &[" behind\n", "BEHIND", fails, hangs]);
}

#[tokio::test]
async fn the_lag_of_a_fleet_at_work_asks_no_stream() {
    let (scene, _worker) = odd().await;
    let lag = format!("lag app --table {} {NOWHERE}", scene.place());
    let document = kcl(&format!("{lag} --json")).await.json(0);
    let nothing = json!({ "get_shard_iterator": 0, "get_records": 0, "records": 0 });
    assert_eq!(
        (&document["asked"], &document["stream"]),
        (&nothing, &Value::Null)
    );
    assert!(document["max_behind_seconds"].as_f64().unwrap() >= 10.0);
    let leases = document["leases"].as_array().unwrap();
    assert!(
        leases.len() == 3
            && leases
                .iter()
                .all(|lease| lease["seen_seconds_ago"].is_f64()),
        "{document}"
    );
    let said = kcl(&format!("{lag} --max 5s")).await;
    said.says(1, &["3 unfinished leases", "The stream was not asked."]);
    let asks = kcl(&format!("{lag} --ask-stream --stream orders")).await;
    assert_eq!(asks.code, 3, "{asks:?}");
}

#[tokio::test]
async fn the_page_and_the_metrics_have_the_lag_without_the_stream() {
    let (scene, _worker) = odd().await;
    let page = Page::start(&format!(
        "app --table {} --no-lag --every 200ms --lag-every 1s --stuck-after 10s",
        scene.place()
    ))
    .await;
    until("hearing of the lag", async || {
        page.json("/scale").await["max_behind_seconds"].is_f64()
    })
    .await;
    let metrics = page.get("/metrics").await.body;
    for reason in ["handler_fails", "handler_busy"] {
        let line = format!("kcl_fleet_leases_stuck{{application=\"app\",reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(metrics.contains("kcl_fleet_behind_seconds{application=\"app\"} "));
    assert!(metrics.contains("kcl_fleet_lag_unknown{application=\"app\"} 0"));
    let tree = page.json("/api/tree").await;
    let lines = tree["lines"].as_array().unwrap();
    assert!(
        lines.iter().all(|line| line["behind_seconds"].is_f64()),
        "{tree}"
    );
    assert_eq!(page.get("/api/shards").await.status, 503);
    assert_eq!(page.get("/api/lag").await.status, 200);
}

/// A lease that nobody holds, and a worker of a version that says nothing.
#[tokio::test]
async fn the_stream_is_asked_where_no_worker_says_it() {
    let (scene, stream) = (Scene::new().await, LocalStream::start().await.unwrap());
    stream.create("orders", 3).await.unwrap();
    let worker = scene
        .start("first", &stream.source("orders").unwrap(), 3)
        .await;
    let lag = format!(
        "lag app --table {} --endpoint {} --json",
        scene.place(),
        stream.endpoint()
    );
    let asked = async || {
        let document = kcl(&lag).await.json(0);
        assert_eq!(document["leases"].as_array().unwrap().len(), 3);
        document["asked"]["get_records"].as_u64().unwrap()
    };
    until("a heartbeat that knows all", async || asked().await == 0).await;
    let shard = stream.open_shards("orders").await.unwrap()[0].clone();
    let pause = format!("pause app --table {} --shard {shard}", scene.place());
    assert_eq!(kcl(&pause).await.code, 0);
    until("a heartbeat without it", async || asked().await == 1).await;
    scene.sql(
        "CREATE TRIGGER says_nothing AFTER UPDATE ON workers \
         BEGIN UPDATE workers SET lag = NULL; END",
    );
    until("a heartbeat of that version", async || asked().await == 3).await;
    let status = kcl(&format!("status app --table {}", scene.place())).await;
    status.says(0, &["how far behind is not known"]);
    worker.die().await;
}
