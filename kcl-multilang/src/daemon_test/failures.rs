//! Children that die, hang and talk nonsense: a shard pays with a retry, and nobody else.

use std::time::Duration;

use kcl_core::MemoryStream;
use kcl_core::model::{Checkpoint, ShardId};

use super::scene::{Scene, until};

/// Two shards; in the first, a record at which the child fails once, behind five others.
async fn fails_once(what: &str, lines: &str) -> (Scene, ShardId, String) {
    let stream = MemoryStream::new("orders", 2);
    let shards = stream.open_shards();
    let scene = Scene::start("py", &stream, &format!("maxRecords = 1\n{lines}"));
    let poison = scene.once(what);
    for n in 0..5 {
        stream.put_to(&shards[0], "k", n.to_string()).unwrap();
        stream.put_to(&shards[1], "k", n.to_string()).unwrap();
    }
    let (_, last) = (
        stream.put_to(&shards[1], "k", "5").unwrap(),
        stream.put_to(&shards[0], "k", poison.clone()).unwrap(),
    );
    scene
        .wait_for(&shards[0], |lease| {
            lease.checkpoint == Checkpoint::At(last.clone().into())
        })
        .await;
    let other = scene.records(&shards[1]);
    assert_eq!(other, ["0", "1", "2", "3", "4", "5"], "the other shard");
    (scene, shards[0].clone(), poison)
}

/// It began again at the checkpoint: what was checkpointed did not come again.
async fn is_retried(what: &str, lines: &str) {
    let (mut scene, shard, poison) = fails_once(what, lines).await;
    let records = scene.records(&shard);
    assert_eq!(records[..5], ["0", "1", "2", "3", "4"], "{what}");
    assert_eq!(records[5..], [poison.clone(), poison], "{what}");
    let begun: Vec<_> = scene
        .all("initialize")
        .into_iter()
        .filter(|line| line["shard"] == shard.as_str())
        .collect();
    assert_eq!(begun.len(), 2, "{what}: {begun:?}");
    assert_ne!(begun[0]["pid"], begun[1]["pid"]);
    assert_ne!(begun[1]["sequence"], "TRIM_HORIZON");
    assert_eq!(
        scene.all("initialize").len(),
        3,
        "{what}: the other shard's child is kept"
    );
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_dies_costs_its_shard_a_retry() {
    is_retried("die", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_hangs_costs_its_shard_a_retry() {
    is_retried("hang", "timeoutInSeconds = 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_out_of_step_costs_its_shard_a_retry() {
    is_retried("wrong", "").await;
}

/// As with the Java daemon: the library says that it has done what it has not, and the next
/// checkpoint passes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_raises_stores_no_checkpoint() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let mut scene = Scene::start("py", &stream, "maxRecords = 1");
    let first = stream.put_to(&shard, "k", "0").unwrap();
    stream.put_to(&shard, "k", scene.once("raise")).unwrap();
    until("the batch", async || scene.records(&shard).len() == 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let lease = scene.lease(&shard).await.unwrap();
    assert_eq!(lease.checkpoint, Checkpoint::At(first.into()));
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_hears_of_a_failure_if_it_has_to_end() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let mut scene = Scene::start("py", &stream, "onChildError = exit");
    stream.put_to(&shard, "k", scene.once("die")).unwrap();
    let failed = tokio::time::timeout(Duration::from_secs(60), scene.children.failed()).await;
    let failed = failed.unwrap();
    assert!(
        failed.contains("the child ended while it was asked to processRecords: exit status: 3"),
        "{failed}"
    );
    scene.stop().await;
}
