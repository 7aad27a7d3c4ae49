//! Shards that move in good order.

use examples::embedded::Reshard;

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_hands_over_every_shard_without_a_duplicate() {
    let mut scene = Scene::start(20, 6, 3).await;
    for _ in 0..2 {
        let oldest = scene.fleet.working().next().unwrap();
        scene.fleet.stop(oldest).unwrap();
        scene.moved().await;
        scene.settle().await;
    }
    assert_eq!(scene.end().await.duplicates.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_joins_gets_its_share_and_nothing_comes_twice() {
    let mut scene = Scene::start(20, 6, 1).await;
    for workers in 2..=3 {
        let joined = scene.fleet.add().unwrap();
        scene.settle().await;
        assert_eq!(scene.fleet.owned_by(joined).len(), 6 / workers);
        scene.read(20).await;
    }
    assert_eq!(scene.end().await.duplicates.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reshards_keep_parents_before_children_without_a_duplicate() {
    let mut scene = Scene::start(20, 3, 2).await;
    for reshard in [Reshard::Split, Reshard::Merge, Reshard::Split] {
        let before = scene.fleet.seen().leases.len();
        scene.fleet.reshard(reshard).await.unwrap();
        let what = format!("the shards after {reshard:?} have leases");
        scene
            .until(&what, |fleet| fleet.seen().leases.len() > before)
            .await;
        scene.settle().await;
    }
    let verdict = scene.end().await;
    assert_eq!(verdict.duplicates.len(), 0);
    // Every shard was begun, and those that are no longer were ended.
    let ended = scene
        .fleet
        .history()
        .shards()
        .values()
        .filter(|tenancies| tenancies.iter().any(|tenancy| tenancy.ended))
        .count();
    assert_eq!(
        (scene.fleet.history().shards().len(), ended),
        (3 + 2 + 1 + 2, 1 + 2 + 1)
    );
}
