use std::sync::Arc;

use kcl_core::MemoryLeaseTable;
use kcl_core::admin::Observer;
use kcl_core::lease::LeaseTable as _;
use kcl_core::model::{Checkpoint, Lease, LeaseKey};

use super::*;

/// A fleet of these leases: shard and owner.
async fn fleet(leases: &[(&str, Option<&str>)]) -> FleetView {
    let table = MemoryLeaseTable::new();
    for (shard, owner) in leases {
        let mut lease = Lease::new(LeaseKey::single(*shard), Checkpoint::TrimHorizon);
        if let Some(owner) = owner {
            lease = lease.owned_by((*owner).into(), "t".into());
        }
        table.create(&lease).await.unwrap();
    }
    let mut fleet = Observer::new(Arc::new(table)).look().await.unwrap();
    for worker in &mut fleet.workers {
        worker.life = Life::Alive;
        worker.silent = std::time::Duration::ZERO;
    }
    fleet
}

fn told(before: &FleetView, now: &FleetView) -> Vec<(HappeningKind, String)> {
    happened(before, now)
        .into_iter()
        .map(|it| (it.kind, it.says))
        .collect()
}

fn one(kind: HappeningKind, says: &str) -> Vec<(HappeningKind, String)> {
    vec![(kind, says.to_owned())]
}

#[tokio::test]
async fn nothing_happens_where_nothing_changes() {
    let fleet = fleet(&[("1", Some("a")), ("2", None)]).await;
    assert_eq!(told(&fleet, &fleet), []);
}

#[tokio::test]
async fn workers_join_die_return_and_leave() {
    let alone = fleet(&[("1", Some("a")), ("2", None)]).await;
    let both = fleet(&[("1", Some("a")), ("2", Some("b"))]).await;
    let joined = &told(&alone, &both)[0];
    assert_eq!(*joined, (HappeningKind::Joined, "b joined".to_owned()));
    let mut dead = both.clone();
    dead.workers[1].life = Life::Dead;
    assert!(
        told(&both, &dead)[0]
            .1
            .starts_with("b is dead: it has written nothing for")
    );
    assert_eq!(
        told(&dead, &both),
        one(HappeningKind::Returned, "b writes again")
    );
    let mut leaving = both.clone();
    leaving.workers[1].life = Life::Leaving;
    assert_eq!(
        told(&both, &leaving),
        one(HappeningKind::Leaving, "b is stopping")
    );
    let mut gone = dead.clone();
    gone.workers.pop();
    assert_eq!(
        told(&dead, &gone),
        one(HappeningKind::Gone, "b is gone: its row was deleted")
    );
}

/// A dead worker's row may be deleted, and its leases taken, between two looks.
#[tokio::test]
async fn a_worker_that_dies_between_two_looks_has_not_left() {
    let mut before = fleet(&[("1", Some("a")), ("2", Some("b"))]).await;
    let mut now = before.clone();
    now.workers.pop();
    now.leases[1].holder = Some("a".into());
    let left = &told(&before, &now);
    assert_eq!(left[0], (HappeningKind::Gone, "b has left".to_owned()));
    assert_eq!(left[1].0, HappeningKind::HandedOver);
    let silent = before.workers[1].dead_after * 9 / 10;
    before.workers[1].silent = silent;
    before.workers[1].has_row = true;
    let died = &told(&before, &now);
    assert_eq!(died[0].0, HappeningKind::Died);
    assert!(died[0].1.contains("its row was deleted after"), "{died:?}");
    assert_eq!(died[1].0, HappeningKind::TakenOver);
}

/// Whether it was a hand-over or a loss depends on the worker that had the lease.
#[tokio::test]
async fn a_lease_is_handed_over_by_the_living_and_taken_from_the_dead() {
    let before = fleet(&[("1", Some("a")), ("2", Some("b"))]).await;
    let mut now = before.clone();
    now.leases[0].holder = Some("b".into());
    assert_eq!(
        told(&before, &now),
        one(HappeningKind::HandedOver, "1 went from a to b")
    );
    let mut dead = before.clone();
    dead.workers[0].life = Life::Dead;
    now.workers[0].life = Life::Dead;
    let taken = one(
        HappeningKind::TakenOver,
        "b took over 1 from a, which let it expire",
    );
    assert_eq!(told(&dead, &now), taken);
    let mut expired = before.clone();
    expired.leases[0].state = LeaseState::Expired;
    let late = one(HappeningKind::Expired, "a let 1 expire");
    assert_eq!(told(&before, &expired), late);
    now.workers[0].life = Life::Alive;
    assert_eq!(told(&expired, &now), taken);
}

/// The three steps of a hand-over are told once each: the request, and that it went.
#[tokio::test]
async fn a_hand_over_in_steps_is_told_once() {
    let before = fleet(&[("1", Some("a")), ("2", Some("b"))]).await;
    let mut asked = before.clone();
    asked.leases[0].state = LeaseState::HandOver;
    asked.leases[0].awaited_by = Some("b".into());
    assert_eq!(
        told(&before, &asked),
        one(HappeningKind::Requested, "b asks a for 1")
    );
    let mut given = asked.clone();
    given.leases[0].state = LeaseState::HandedOver;
    given.leases[0].holder = None;
    assert_eq!(
        told(&asked, &given),
        one(HappeningKind::HandedOver, "1 went from a to b")
    );
    let mut claimed = given.clone();
    claimed.leases[0].state = LeaseState::Held;
    claimed.leases[0].holder = Some("b".into());
    claimed.leases[0].awaited_by = None;
    assert_eq!(told(&given, &claimed), []);
}

#[tokio::test]
async fn free_leases_are_taken_and_given_up() {
    let free = fleet(&[("1", None), ("2", Some("a"))]).await;
    let held = fleet(&[("1", Some("a")), ("2", Some("a"))]).await;
    assert_eq!(
        told(&free, &held),
        one(HappeningKind::Taken, "a took 1 which nobody held")
    );
    assert_eq!(
        told(&held, &free),
        one(HappeningKind::Released, "a gave up 1")
    );
    let mut ended = held.clone();
    ended.leases[0].state = LeaseState::Ended;
    assert_eq!(
        told(&held, &ended),
        one(HappeningKind::Finished, "1 is finished")
    );
    assert_eq!(told(&ended, &ended), []);
}

/// A fleet of thousands that moves is a line, not thousands.
#[tokio::test]
async fn leases_that_go_the_same_way_are_one_happening() {
    let names: Vec<String> = (0..3000).map(|number| format!("{number:04}")).collect();
    let of = |owner| -> Vec<(&str, Option<&str>)> {
        names
            .iter()
            .map(|name| (name.as_str(), Some(owner)))
            .collect()
    };
    let before = fleet(&of("a")).await;
    let mut now = before.clone();
    now.leases
        .iter_mut()
        .for_each(|lease| lease.holder = Some("b".into()));
    let all = happened(&before, &now);
    assert_eq!(
        (all.len(), all[0].leases, all[0].lease.as_deref()),
        (1, 3000, Some("0000"))
    );
    assert_eq!(all[0].says, "3000 leases, such as 0000, went from a to b");
}

#[tokio::test]
async fn leases_are_made_deleted_and_spoilt() {
    let few = fleet(&[("1", Some("a"))]).await;
    let more = fleet(&[("1", Some("a")), ("2", None), ("3", None)]).await;
    let made = one(HappeningKind::Made, "2 leases, such as 2, have been made");
    assert_eq!(told(&few, &more), made);
    let deleted = one(
        HappeningKind::Deleted,
        "2 leases, such as 2, have been deleted",
    );
    assert_eq!(told(&more, &few), deleted);
}
