//! Worker ids that come again.

use kcl_core::model::{ShardId, Timestamp};
use tests::fleet::{Fleet, Member, MemberState};

use super::scene::Scene;

/// Whether a shard of these went to anybody else than this worker.
fn moved_away(fleet: &Fleet, shards: &[ShardId], name: &str, since: Timestamp) -> bool {
    let is_other = |to: &kcl_core::model::WorkerId| to.as_str() != name;
    let seen = fleet.seen();
    let mut moves = seen
        .moves
        .iter()
        .filter(|moved| moved.at >= since && shards.contains(&moved.shard));
    moves.any(|moved| moved.to.as_ref().is_some_and(is_other))
}

async fn restart(scene: &mut Scene, since: Timestamp, place: usize, shards: &[ShardId]) {
    scene
        .until("the process is gone", |fleet| {
            fleet.members()[place].is_gone()
        })
        .await;
    let name = scene.fleet.members()[place].name.to_string();
    let again = scene.fleet.add_named(&name, &["--keep-leases"]).unwrap();
    scene.settle().await;
    assert_eq!(scene.fleet.owned_by(again), shards);
    assert!(
        !moved_away(&scene.fleet, shards, &name, since),
        "{:?}",
        scene.fleet.seen().moves
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quick_restart_with_the_same_id_after_kill_9_moves_no_shard() {
    let mut scene = Scene::start(15, 6, 2).await;
    let oldest = scene.fleet.working().next().unwrap();
    let shards = scene.fleet.owned_by(oldest);
    let since = scene.fleet.kill(oldest).unwrap();
    restart(&mut scene, since, oldest, &shards).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_stop_and_a_quick_restart_move_and_repeat_nothing() {
    let mut scene = Scene::start(20, 6, 1).await;
    let keeper = scene.fleet.add_named("keeper", &["--keep-leases"]).unwrap();
    scene.settle().await;
    let shards = scene.fleet.owned_by(keeper);
    let since = scene.fleet.stop(keeper).unwrap();
    restart(&mut scene, since, keeper, &shards).await;
    assert_eq!(scene.end().await.duplicates.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_with_a_live_workers_id_ends_with_an_error() {
    let mut scene = Scene::start(12, 4, 2).await;
    let first = scene.fleet.working().next().unwrap();
    let (name, shards) = (
        scene.fleet.members()[first].name.to_string(),
        scene.fleet.owned_by(first),
    );
    let second = scene.fleet.add_named(&name, &[]).unwrap();
    let since = scene.fleet.started(second);
    scene
        .until("the second process ends", |fleet| {
            fleet.members()[second].is_gone()
        })
        .await;
    let member: &Member = &scene.fleet.members()[second];
    let MemberState::Ended(status) = member.state else {
        unreachable!("it is gone")
    };
    assert_eq!(status.code(), Some(1), "{}", member.said());
    assert!(
        member.said().contains(&format!(
            "error: worker id `{name}` is already in use by another live process"
        )),
        "{}",
        member.said()
    );
    assert_eq!(scene.fleet.history().given_to(second), 0);
    // The first one works on as if nothing had been.
    scene.settle().await;
    assert_eq!(scene.fleet.owned_by(first), shards);
    assert!(!moved_away(&scene.fleet, &shards, &name, since));
    assert_eq!(scene.end().await.duplicates.len(), 0);
}
