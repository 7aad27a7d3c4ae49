//! `status`, `leases` and `workers`.

use std::sync::Arc;

use kcl_core::MemoryStream;
use kcl_core::lease::{KeepAlive, LeaseTable as _};
use kcl_core::model::{Checkpoint, WorkerId};
use serde_json::{Value, json};

use super::program::kcl;
use super::scene::{Running, Scene, Server, all, lease, until};

const TWO_WORKERS: &str =
    include_str!("../../../kcl-dynamo/tests/golden/kcl-3.5.1-two-workers.json");

fn workers(document: &Value) -> Vec<(&str, &str, u64)> {
    let workers = document["workers"].as_array().unwrap();
    workers
        .iter()
        .map(|worker| {
            (
                worker["worker"].as_str().unwrap(),
                worker["life"].as_str().unwrap(),
                worker["leases"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn workers_that_live_are_alive_and_those_that_died_are_dead() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let first = scene.start("first", &stream, 4).await;
    let second = scene.start("second", &stream, 2).await;
    first.holds(2).await;
    let status = kcl(&format!(
        "status app --table {} --judge --json",
        scene.place()
    ))
    .await;
    let status = status.json(0);
    assert_eq!(
        workers(&status),
        [("first", "alive", 2), ("second", "alive", 2)]
    );
    assert_eq!(status["leases_by_state"], json!({ "held": 4 }));
    assert_eq!(
        (&status["stuck"], &status["judged"]),
        (&json!([]), &json!(true))
    );

    first.die().await;
    second.die().await;
    let dead = kcl(&format!("workers app --table {} --json", scene.place())).await;
    assert_eq!(
        workers(&dead.json(0)),
        [("first", "dead", 2), ("second", "dead", 2)]
    );
    let stuck = kcl(&format!(
        "leases app --table {} --stuck --judge",
        scene.place()
    ))
    .await;
    stuck.says(
        0,
        &[
            "shardId-000000000003",
            "no worker of this application is alive",
        ],
    );
}

/// A lease whose counter stands still is neither expired nor stuck if heartbeats hold it.
#[tokio::test]
async fn leases_that_heartbeats_hold_are_held_for_each_command() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let _running = scene.start("quiet", &stream, 4).await;
    let beats = async || {
        let row = scene.table.get_worker(&"quiet".into()).await.unwrap();
        row.filter(|row| row.keep_alive == KeepAlive::Heartbeats)
            .map_or(0, |row| row.counter)
    };
    until("a heartbeat", async || beats().await > 0).await;
    // Each lease is renewed once after that, to go over.
    let from = beats().await;
    until("two heartbeats", async || beats().await >= from + 2).await;
    let before = scene.leases().await;
    until("four more", async || beats().await >= from + 6).await;
    assert_eq!(scene.leases().await, before, "more than a failover time");
    let place = scene.place();
    let workers = kcl(&format!("workers app --table {place}")).await;
    workers.says(0, &["HELD BY", "alive", "heartbeats"]);
    let status = kcl(&format!("status app --table {place} --judge --json")).await;
    let status = status.json(0);
    assert_eq!(status["leases_by_state"], json!({ "held": 4 }));
    assert_eq!(status["stuck"], json!([]));
    let check = kcl(&format!("check app --table {place}")).await;
    assert_eq!(check.code, 0, "{check:?}");
    let cost = kcl(&format!("cost app --table {place}")).await;
    cost.says(0, &["Checkpoints come on top: at most 2,880 write units"]);
}

/// A second is too short to call a worker dead, and the status says so.
#[tokio::test]
async fn a_status_of_a_moment_calls_nobody_dead() {
    let scene = Scene::new().await;
    let held = lease("shardId-0", Checkpoint::TrimHorizon).owned_by("gone".into(), "t".into());
    scene.create(&[held]).await;
    let status = kcl(&format!("status app --table {}", scene.place())).await;
    status.says(0, &["gone", "not judged", "kcl status app --judge"]);
    assert!(!status.out.contains('\x1b'), "colours without a terminal");
}

#[tokio::test]
async fn leases_are_listed_by_state_and_holder_with_notes() {
    let scene = Scene::new().await;
    let parent = lease("shardId-0", Checkpoint::At("77.3".parse().unwrap()))
        .owned_by("a".into(), "t".into());
    let mut child = lease("shardId-1", Checkpoint::TrimHorizon);
    child.parents = vec!["shardId-0".into()];
    scene
        .create(&[parent, child, lease("shardId-2", Checkpoint::ShardEnd)])
        .await;
    scene.sql(
        "INSERT INTO leases SELECT application, stream, 'shardId-3', lease_owner, \
        checkpoint_owner, token, lease_counter, owner_switches_since_checkpoint, 'nonsense', \
        checkpoint_sub_sequence_number, pending_checkpoint, \
        pending_checkpoint_sub_sequence_number, pending_checkpoint_state, parent_shard_ids, \
        child_shard_ids, starting_hash_key, ending_hash_key, start_at, stream_arn, \
        stream_created_at, began_at, paused_at, bytes_per_second, records_per_second, assigned_to \
        FROM leases WHERE shard = 'shardId-0'",
    );
    let place = scene.place();
    let listed = |more: &'static str| {
        let arguments = format!("leases app --table {place} --json {more}");
        async move {
            let document = kcl(&arguments).await.json(0);
            let leases = document["leases"].as_array().unwrap().clone();
            leases
                .iter()
                .map(|lease| lease["shard"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed("").await, ["shardId-0", "shardId-1", "shardId-2"]);
    assert_eq!(listed("--holder a").await, ["shardId-0"]);
    assert_eq!(listed("--state ended").await, ["shardId-2"]);
    let said = kcl(&format!("leases app --table {place}")).await;
    said.says(
        0,
        &["77.3", "waits for shardId-0", "malformed: ", "`nonsense`"],
    );
    let document = kcl(&format!("leases app --table {place} --json"))
        .await
        .json(0);
    assert_eq!(document["leases"][1]["waits_for"], "shardId-0");
    assert_eq!(document["leases"][0]["state"], "held");
    assert_eq!(document["malformed"][0]["key"], "shardId-3");
}

#[tokio::test]
async fn looking_writes_nothing() {
    let scene = Scene::new().await;
    let held = lease("shardId-0", Checkpoint::Latest).owned_by("gone".into(), "t".into());
    scene.create(&[held]).await;
    let rows = || async {
        (
            scene.leases().await,
            scene.table.change_signal().await.unwrap(),
        )
    };
    let before = rows().await;
    for command in ["status", "leases", "workers --watch-for 1s"] {
        let done = kcl(&format!("{command} app --table {}", scene.place())).await;
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(rows().await, before);

    let server = Server::start().await;
    let table = server.table().await;
    table
        .create(&lease("shardId-0", Checkpoint::Latest))
        .await
        .unwrap();
    server.dynamo.take_calls();
    let rows = all(&table).await;
    for command in ["status", "leases", "workers --watch-for 1s"] {
        let done = kcl(&format!("{command} app --table {}", server.place())).await;
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(all(&table).await, rows);
}

/// A table that a Java KCL wrote: its workers have no rows of ours, and are judged by their leases.
#[tokio::test]
async fn a_table_of_a_java_kcl_is_read() {
    let server = Server::start().await;
    server.put_golden(TWO_WORKERS).await;
    let status = kcl(&format!(
        "status app --table {} --watch-for 0s --json",
        server.place()
    ))
    .await;
    let status = status.json(0);
    assert!(status["leases"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(status["malformed"], json!([]));
    let names = workers(&status);
    assert!(
        !names.is_empty() && names.iter().all(|(_, life, _)| *life == "unknown"),
        "{names:?}"
    );
    assert!(status["workers"][0]["has_row"] == json!(false));
}

#[tokio::test]
async fn workers_on_dynamodb_are_seen_alive() {
    let (server, stream) = (Server::start().await, MemoryStream::new("orders", 2));
    let table = server.table().await;
    let worker = Running::start("first", &stream, Arc::new(table.clone()));
    worker.holds(2).await;
    let seen = kcl(&format!("workers app --table {} --json", server.place())).await;
    assert_eq!(workers(&seen.json(0)), [("first", "alive", 2)]);
    worker.die().await;
}

#[tokio::test]
async fn a_hand_over_that_is_asked_for_is_shown() {
    let scene = Scene::new().await;
    let held = lease("shardId-0", Checkpoint::Latest).owned_by("a".into(), "t".into());
    scene.create(std::slice::from_ref(&held)).await;
    let [a, b] = ["a", "b"].map(WorkerId::from);
    let request = kcl_core::lease::Write::request(&held, b, a);
    scene.table.update(&held.key, &request).await.unwrap();
    let said = kcl(&format!("leases app --table {}", scene.place())).await;
    said.says(0, &["hand-over", "b waits for it"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_command_line_or_the_table_is_said() {
    let scene = Scene::new().await;
    kcl("status").await.complains(2, &["<APP>"]);
    kcl("status app --table leases.db").await.complains(
        2,
        &["leases.db", "expected sqlite:PATH, dynamo or dynamo:TABLE"],
    );
    kcl("status app --table sqlite:/nowhere/leases.db")
        .await
        .complains(3, &["there is no file /nowhere/leases.db"]);
    assert!(!std::path::Path::new("/nowhere").exists());
    kcl(&format!(
        "status app --table {} --dynamo-endpoint http://x",
        scene.place()
    ))
    .await
    .complains(3, &["needs --lease-table dynamo"]);
    kcl("status app").await.complains(3, &["HOME is not set"]);
    kcl(&format!("status app --table {}", scene.place()))
        .await
        .complains(3, &["has no rows of the application `app`"]);
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    kcl(&format!("status other --table {}", scene.place()))
        .await
        .complains(3, &["it has rows of: app"]);
    let server = Server::start().await;
    kcl(&format!("status app --table {}", server.place()))
        .await
        .complains(3, &["cannot read the lease table dynamo", "app"]);
}

/// How a fleet looks in which one worker died a while ago and the other took everything.
#[tokio::test]
async fn a_fleet_after_a_death_is_well_again() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 2));
    let first = scene.start("first", &stream, 2).await;
    let second = scene.start("second", &stream, 1).await;
    first.die().await;
    second.holds(2).await;
    until("deleting the row of the dead", async || {
        let seen = kcl(&format!("workers app --table {} --json", scene.place())).await;
        workers(&seen.json(0)) == [("second", "alive", 2)]
    })
    .await;
    second.die().await;
}
