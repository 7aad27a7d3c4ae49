//! What each of the four libraries writes, and when: see `child.py`.

use kcl_core::MemoryStream;
use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};
use kcl_core::worker::Stopped;

use super::scene::{Scene, until};

/// So many records in the shard, with their numbers as payloads.
fn put(stream: &MemoryStream, shard: &ShardId, records: usize) -> Vec<SequenceNumber> {
    let records = (0..records).map(|n| (format!("é\"\\{n}"), format!("{n}")));
    stream.put_many_to(shard, records).unwrap()
}

fn numbers(records: usize) -> Vec<String> {
    (0..records).map(|n| n.to_string()).collect()
}

fn runs(pid: u64) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Over a reshard, and with a stop in the end.
#[tokio::test(flavor = "multi_thread")]
async fn children_of_each_library_get_every_record_once() {
    for library in ["py", "node", "net", "ruby"] {
        let stream = MemoryStream::new("orders", 1);
        let parent = stream.open_shards().remove(0);
        put(&stream, &parent, 300);
        stream.split_evenly(&parent).unwrap();
        let children = stream.open_shards();
        let last: Vec<SequenceNumber> = children
            .iter()
            .map(|shard| put(&stream, shard, 50).pop().unwrap())
            .collect();
        let mut scene = Scene::start(library, &stream, "maxRecords = 100");
        for (shard, last) in children.iter().zip(&last) {
            scene
                .wait_for(shard, |lease| {
                    lease.checkpoint == Checkpoint::At(last.clone().into())
                })
                .await;
        }
        let report = scene.stop().await;
        assert_eq!(report.count(Stopped::Abandoned), 0, "{library}: {report}");
        assert_eq!(scene.records(&parent), numbers(300), "{library}");
        for shard in &children {
            assert_eq!(scene.records(shard), numbers(50), "{library}");
        }
        let lease = scene.lease(&parent).await.unwrap();
        assert!(lease.checkpoint.is_shard_end(), "{library}");
        assert_eq!(scene.all("shardEnded").len(), 1, "{library}");
        assert_eq!(scene.all("shutdownRequested").len(), 2, "{library}");
        assert_eq!(scene.all("leaseLost").len(), 2, "{library}");
        let refused: Vec<_> = scene
            .all("checkpoint")
            .into_iter()
            .filter(|line| !line["error"].is_null())
            .collect();
        // Ruby's child asks for one before it was given anything.
        let expected = if library == "ruby" { 3 } else { 0 };
        assert_eq!(refused.len(), expected, "{library}: {refused:?}");
        for line in refused {
            assert_eq!(line["error"], "InvalidStateException");
        }
        // Each child was told that nothing follows, and has ended, also the one ahead of need.
        until("the end of all children", async || {
            scene
                .all("started")
                .iter()
                .all(|line| !runs(line["pid"].as_u64().unwrap()))
        })
        .await;
        assert_eq!(scene.all("eof").len(), 3, "{library}");
    }
}

/// Much more than a pipe holds, with no end of a line.
#[tokio::test(flavor = "multi_thread")]
async fn output_of_the_users_code_disturbs_nothing() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let mut scene = Scene::start("node", &stream, "");
    stream
        .put_to(&shard, "k", scene.once("flood"))
        .map(drop)
        .unwrap();
    let last = put(&stream, &shard, 3).pop().unwrap();
    scene
        .wait_for(&shard, |lease| {
            lease.checkpoint == Checkpoint::At(last.clone().into())
        })
        .await;
    scene.stop().await;
    assert_eq!(scene.all("initialize").len(), 1);
}

/// A checkpoint that comes after its "done" is stored as one of the batch before.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_after_the_status_is_stored() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    let mut scene = Scene::start("node", &stream, "maxRecords = 1");
    stream.put_to(&shard, "k", "late").unwrap();
    let last = put(&stream, &shard, 1).pop().unwrap();
    scene
        .wait_for(&shard, |lease| {
            lease.checkpoint == Checkpoint::At(last.clone().into())
        })
        .await;
    scene.stop().await;
    let checkpoints = scene.all("checkpoint");
    assert!(checkpoints.len() >= 2);
    assert!(checkpoints.iter().all(|line| line["error"].is_null()));
    assert_eq!(scene.all("initialize").len(), 1);
}

/// A quiet shard is told with an empty list of records, where the file says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_hears_of_a_quiet_shard_if_it_should() {
    let stream = MemoryStream::new("orders", 1);
    let shard = stream.open_shards().remove(0);
    put(&stream, &shard, 1);
    let lines = "callProcessRecordsEvenForEmptyRecordList = true";
    let mut scene = Scene::start("py", &stream, lines);
    until("two empty lists", async || {
        let empty = |line: &serde_json::Value| line["records"].as_array().unwrap().is_empty();
        scene
            .all("records")
            .iter()
            .filter(|line| empty(line))
            .count()
            >= 2
    })
    .await;
    scene.stop().await;
    assert_eq!(scene.records(&shard), numbers(1));
}
