//! Workers that die.

use examples::embedded::Reshard;
use tests::fleet::Cause;

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_others_resume_from_checkpoints_without_loss() {
    let mut scene = Scene::start(5, 6, 3).await;
    let oldest = scene.fleet.working().next().unwrap();
    scene.fleet.kill(oldest).unwrap();
    scene.moved().await;
    scene.settle().await;
    let verdict = scene.end().await;
    assert!(
        verdict
            .duplicates
            .keys()
            .all(|cause| *cause == Cause::Killed(oldest)),
        "{verdict}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_a_freeze_a_stop_a_start_and_reshards_lose_nothing() {
    let mut scene = Scene::start(5, 6, 5).await;
    let workers: Vec<usize> = scene.fleet.working().collect();
    scene.fleet.kill(workers[0]).unwrap();
    scene.fleet.reshard(Reshard::Split).await.unwrap();
    let frozen = scene.fleet.freeze(workers[1]).await.unwrap();
    scene.fleet.kill(workers[2]).unwrap();
    scene.fleet.add().unwrap();
    scene.fleet.stop(workers[3]).unwrap();
    scene.fleet.reshard(Reshard::Merge).await.unwrap();
    let theirs = scene
        .fleet
        .deeds()
        .iter()
        .find(|deed| deed.at == frozen)
        .unwrap()
        .shards
        .clone();
    let elsewhere = |shard: &_, fleet: &tests::fleet::Fleet| {
        fleet.seen().leases[shard].checkpoint.is_shard_end()
            || fleet
                .history()
                .first_elsewhere(shard, workers[1], frozen)
                .is_some()
    };
    scene
        .until("others read the shards of the frozen worker", |fleet| {
            theirs.iter().all(|shard| elsewhere(shard, fleet))
        })
        .await;
    scene.fleet.wake(workers[1]).unwrap();
    scene.settle().await;
    let verdict = scene.end().await;
    let excused = [
        Cause::Killed(workers[0]),
        Cause::Frozen(workers[1]),
        Cause::Killed(workers[2]),
    ];
    assert!(
        verdict
            .duplicates
            .keys()
            .all(|cause| excused.contains(cause)),
        "{verdict}"
    );
}
