//! `tail`, `cost`, `watch`, `local`, and what is made of the command line itself.

use std::process::Stdio;

use kcl_core::aggregate::Aggregator;
use kcl_core::model::Checkpoint;
use kcl_local::stream::LocalStream;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::program::{kcl, kcl_with};
use super::scene::{Scene, Server, lease};

/// The data of each line.
fn data(out: &str) -> Vec<String> {
    let line = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["data"]
            .as_str()
            .or_else(|| record["hex"].as_str())
            .unwrap()
            .to_owned()
    };
    out.lines().map(line).collect()
}

#[tokio::test]
async fn a_tail_takes_aggregates_apart_and_ends_by_itself() {
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", 1).await.unwrap();
    let mut aggregator = Aggregator::new();
    for text in ["one", "two"] {
        aggregator.add("customer-7", None, text.as_bytes()).unwrap();
    }
    let aggregate = aggregator.finish().unwrap();
    stream
        .put("orders", &aggregate.partition_key, &aggregate.data)
        .await
        .unwrap();
    stream.put("orders", "other", "three").await.unwrap();
    stream.put("orders", "binary", [0xff, 0x00]).await.unwrap();
    let tail = format!(
        "tail orders --endpoint {} --from trim-horizon",
        stream.endpoint()
    );
    let all = kcl(&format!("{tail} --until-caught-up --json")).await;
    assert_eq!(
        (all.code, data(&all.out)),
        (
            0,
            ["one", "two", "three", "ff00"].map(str::to_owned).to_vec()
        )
    );
    let some = kcl(&format!("{tail} --limit 1 --filter wo --json")).await;
    assert_eq!(data(&some.out), ["two"]);
    let keyed = kcl(&format!("{tail} --limit 2 --filter customer-7")).await;
    keyed.says(0, &["shardId-000000000000", "customer-7", "one", "two"]);
    let shard = kcl(&format!(
        "{tail} --shard shardId-000000000000 --until-caught-up --json"
    ))
    .await;
    assert_eq!(data(&shard.out).len(), 4);
    kcl(&format!("{tail} --shard shardId-7 --limit 1"))
        .await
        .complains(3, &["no shard shardId-7"]);
    kcl("tail orders --from yesterday")
        .await
        .complains(2, &["expected trim-horizon, latest or at:TIME"]);
}

#[tokio::test]
async fn a_tail_goes_on_in_the_children_of_a_shard() {
    let stream = LocalStream::start().await.unwrap();
    stream.create("orders", 1).await.unwrap();
    stream.put("orders", "k", "parent").await.unwrap();
    let open = stream.open_shards("orders").await.unwrap();
    stream.split("orders", &open[0]).await.unwrap();
    stream.put("orders", "k", "child").await.unwrap();
    let tail = format!(
        "tail orders --endpoint {} --from trim-horizon --limit 2 --json",
        stream.endpoint()
    );
    assert_eq!(data(&kcl(&tail).await.out), ["parent", "child"]);
}

#[tokio::test]
async fn what_a_fleet_costs_is_said_in_units_and_dollars() {
    let (scene, server) = (Scene::new().await, Server::start().await);
    let held = |number: u32| {
        lease(&format!("shardId-{number}"), Checkpoint::TrimHorizon)
            .owned_by("a".into(), "t".into())
    };
    let leases: Vec<_> = (0..64).map(held).collect();
    scene.create(&leases).await;
    let cost = kcl(&format!("cost app --table {}", scene.place())).await;
    cost.says(
        0,
        &[
            "1 worker, 64 of 64 leases held",
            "69,120",
            "SQLite charges nothing",
        ],
    );
    let table = server.table().await;
    for lease in &leases {
        kcl_core::lease::LeaseTable::create(&table, lease)
            .await
            .unwrap();
    }
    let cost = kcl(&format!("cost app --table {} --json", server.place()))
        .await
        .json(0);
    assert_eq!(
        cost["write_units_per_hour"].as_f64().unwrap().round(),
        70_200.0
    );
    let dollars = cost["dollars_per_month"].as_f64().unwrap();
    assert!((32.0..34.0).contains(&dollars), "{dollars}");
}

#[tokio::test]
async fn a_watch_draws_as_often_as_it_is_told() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let watch = kcl(&format!(
        "watch app --table {} --every 200ms --times 3",
        scene.place()
    ))
    .await;
    watch.says(
        0,
        &["1 lease: 1 free", "no worker of this application is alive"],
    );
    assert_eq!(watch.out.matches("app in sqlite:").count(), 3);
    assert!(!watch.out.contains('\x1b'), "no terminal");
}

#[tokio::test]
async fn a_local_stream_is_served_until_it_is_stopped() {
    let mut local = tokio::process::Command::new(env!("CARGO_BIN_EXE_kcl"))
        .args(["local", "--stream", "orders", "--shards", "3"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(local.stdout.take().unwrap()).lines();
    let endpoint = lines.next_line().await.unwrap().unwrap();
    kcl(&format!("shards orders --endpoint {endpoint}"))
        .await
        .says(0, &["orders: 3 shards open, 0 closed"]);
    local.kill().await.unwrap();
}

#[tokio::test]
async fn completions_and_man_pages_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        kcl(&format!("completions {shell}"))
            .await
            .says(0, &["status", "tail"]);
    }
    kcl("man")
        .await
        .says(0, &[".TH kcl 1", "Exit codes", "check"]);
    let folder = tempfile::tempdir().unwrap();
    kcl(&format!("man --folder {}", folder.path().display()))
        .await
        .says(0, &[]);
    let page = std::fs::read_to_string(folder.path().join("kcl-status.1")).unwrap();
    assert!(
        page.contains("kcl status") && page.contains("judge"),
        "{page}"
    );
    kcl_with(["man", "--folder", "/no where"])
        .await
        .complains(3, &["/no where"]);
}
