//! A worker that the system stops for longer than the failover time, and that does not know.

use std::collections::BTreeSet;

use kcl_core::model::Timestamp;
use kcl_core::{Clock, SystemClock};
use tests::fleet::{Cause, Fleet, TableCall};

use super::scene::Scene;

/// It stores nothing of before the freeze and reads its rows again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_stores_nothing_stale_and_rejoins() {
    let mut scene = Scene::start(5, 9, 2).await;
    // Batches wait behind the one in flight: the next could be handed out the moment it wakes.
    let sleeper = scene
        .fleet
        .add_named("sleeper", &["--batch-time", "1s"])
        .unwrap();
    scene.settle().await;
    scene
        .until("it has been at work for a while", |fleet| {
            fleet.history().given_to(sleeper) > 60
        })
        .await;
    // A batch that is about to be handed out at the freeze would be none of those that wait.
    scene
        .until("it has a batch of each shard in flight", |fleet| {
            is_busy_with_each(fleet, sleeper)
        })
        .await;
    let frozen = scene.fleet.freeze(sleeper).await.unwrap();
    let theirs = scene.fleet.owned_by(sleeper);
    assert_eq!(theirs.len(), 3);
    let elsewhere = |fleet: &Fleet| {
        theirs.iter().all(|shard| {
            fleet
                .history()
                .first_elsewhere(shard, sleeper, frozen)
                .is_some()
        })
    };
    scene.until("others read its shards", elsewhere).await;
    scene.read(30).await;
    let woken = scene.fleet.wake(sleeper).unwrap();
    // It has a share again, and reads it.
    scene.settle().await;
    let is_back = |fleet: &Fleet| {
        let mut own = fleet
            .history()
            .shards()
            .values()
            .flatten()
            .filter(|tenancy| tenancy.member == sleeper);
        own.any(|tenancy| tenancy.begun >= woken && !tenancy.given.is_empty())
    };
    scene.until("it is given records again", is_back).await;
    let verdict = scene.end().await;
    assert!(
        verdict
            .duplicates
            .keys()
            .all(|cause| *cause == Cause::Frozen(sleeper)),
        "{verdict}"
    );
    assert_nothing_of_before_was_accepted(&scene.fleet, sleeper, frozen);
    assert_rows_were_read_first(&scene.fleet, sleeper, frozen, woken);
    if scene.fleet.locked_freezes() > 0 {
        println!(
            "found stopped inside a write {} times: a limit of the SQLite table",
            scene.fleet.locked_freezes()
        );
    }
}

/// Whether this worker is in the middle of a batch of each of its shards, and not about to begin or
/// end one.
fn is_busy_with_each(fleet: &Fleet, sleeper: usize) -> bool {
    let now = SystemClock.wall().as_millis();
    // More than two thirds of a second: however three shards share it, there is such an instant in
    // each.
    let in_the_middle = |shard| {
        let last = fleet
            .history()
            .open_in(sleeper, shard)
            .and_then(|tenancy| tenancy.given.last());
        last.is_some_and(|(at, _)| (100..900).contains(&(now - at.as_millis())))
    };
    fleet.owned_by(sleeper).iter().all(in_the_middle)
}

/// Every accepted write moves the counter, so one under an ownership from before has a lower one
/// than the take that ended it.
fn assert_nothing_of_before_was_accepted(fleet: &Fleet, sleeper: usize, frozen: Timestamp) {
    let own = &fleet.members()[sleeper].calls;
    let before = own
        .iter()
        .filter(|call| call.ended <= frozen && call.is_ok());
    let tokens: BTreeSet<&str> = before
        .filter_map(|call| call.row.as_ref()?.token.as_deref())
        .collect();
    assert!(!tokens.is_empty());
    let is_of_before = |call: &&TableCall| {
        call.is_ok()
            && call
                .expected_token
                .as_deref()
                .is_some_and(|token| tokens.contains(token))
    };
    let others = fleet
        .members()
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != sleeper)
        .flat_map(|(_, member)| &member.calls);
    let takes: Vec<&TableCall> = others
        .filter(|call| call.begins_tenancy() && call.begun >= frozen)
        .collect();
    let mut checked = 0;
    for call in own.iter().filter(is_of_before) {
        let of_lease = takes.iter().filter(|take| take.lease == call.lease);
        let counter = |call: &TableCall| call.row.as_ref().map(|row| row.counter);
        if let Some(taken) = of_lease.filter_map(|take| counter(take)).min() {
            assert!(
                counter(call) < Some(taken),
                "{call:?} was accepted after a take at {taken}"
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "the sleeper had stored nothing before");
}

/// What a worker that wakes up is to hand out, it has from a row that it read after it woke.
fn assert_rows_were_read_first(fleet: &Fleet, sleeper: usize, frozen: Timestamp, woken: Timestamp) {
    let reads: Vec<&TableCall> = fleet.members()[sleeper]
        .calls
        .iter()
        .filter(|call| call.begun >= woken)
        .collect();
    let mut batches = 0;
    for (shard, tenancies) in fleet.history().shards() {
        for tenancy in tenancies.iter().filter(|tenancy| tenancy.member == sleeper) {
            for (at, sequence) in tenancy.given.iter().filter(|(at, _)| *at >= woken) {
                assert!(
                    tenancy.begun > frozen,
                    "{sequence} of {shard} came at {at}, under an ownership from before {frozen}"
                );
                let is_read = |call: &&&TableCall| {
                    call.ended <= *at
                        && call.row.is_some()
                        && call.lease.as_deref() == Some(shard.as_str())
                };
                assert!(
                    reads.iter().any(|call| is_read(&call)),
                    "{sequence} of {shard} came at {at}, before its row was read"
                );
                batches += 1;
            }
        }
    }
    assert!(batches > 0, "the sleeper was given nothing after it woke");
}
