use std::time::Duration;

use crate::admin::STUCK_AFTER;
use crate::lease::{MalformedRow, RowKey};
use crate::model::Checkpoint;

use super::*;

const F: Duration = Duration::from_secs(10);

fn at(second: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(second))
}

fn lease(shard: &str, owner: Option<&str>, counter: u64) -> Lease {
    let mut lease = Lease::new(LeaseKey::single(shard), Checkpoint::TrimHorizon);
    if let Some(owner) = owner {
        lease = lease.owned_by(owner.into(), "t".into());
    }
    lease.counter = counter;
    lease
}

fn worker(name: &str, counter: u64) -> WorkerRow {
    WorkerRow {
        counter,
        ..WorkerRow::new(name.into(), "i".into(), F)
    }
}

/// A table that is looked at each second, as each of these says it was then.
fn watched(looks: impl IntoIterator<Item = ScanPage>) -> FleetView {
    let (mut members, timing) = (Members::default(), Timing::for_failover(F));
    let looks: Vec<ScanPage> = looks.into_iter().collect();
    for (second, rows) in (100..).zip(&looks) {
        let now = at(second);
        members.look(&rows.leases, &rows.workers, now, now, &timing);
    }
    let keyed = |row: &Lease| (row.key.clone(), row.clone());
    fleet(&Seen {
        rows: looks.last().unwrap(),
        before: &looks[0].leases.iter().map(keyed).collect(),
        members: &members,
        timing,
        begun: at(100),
        now: at(99 + looks.len() as u64),
        stuck_after: STUCK_AFTER,
    })
}

fn page(leases: Vec<Lease>, workers: Vec<WorkerRow>) -> ScanPage {
    ScanPage {
        leases,
        workers,
        ..ScanPage::default()
    }
}

fn lives(fleet: &FleetView) -> Vec<(&str, Life)> {
    let life = |worker: &'_ WorkerView| worker.life;
    fleet
        .workers
        .iter()
        .map(|worker| (worker.worker.as_str(), life(worker)))
        .collect()
}

#[test]
fn one_reading_judges_nobody_and_calls_nothing_stuck() {
    let fleet = watched([page(vec![lease("0", Some("a"), 5)], vec![worker("a", 7)])]);
    assert_eq!(lives(&fleet), [("a", Life::Unknown)]);
    assert!(!fleet.judged);
    assert_eq!(fleet.leases[0].state, LeaseState::Held);
    assert_eq!(fleet.leases[0].stuck, None);
}

#[test]
fn who_moves_is_alive_and_who_stands_still_long_enough_is_dead() {
    let look = |second: u64| {
        let leases = vec![lease("0", Some("a"), second), lease("1", Some("b"), 3)];
        page(leases, vec![worker("a", second), worker("b", 4)])
    };
    let short = watched((0..8).map(look));
    assert_eq!(lives(&short), [("a", Life::Alive), ("b", Life::Unknown)]);
    let long = watched((0..9).map(look));
    assert_eq!(lives(&long), [("a", Life::Alive), ("b", Life::Dead)]);
    assert!(long.judged);
    assert_eq!(long.leases[1].state, LeaseState::Expired);
    assert_eq!(
        long.leases[1].stuck,
        Some(Stuck::HolderDead { worker: "b".into() })
    );
    assert!(long.leases[0].moved.renewed && !long.leases[1].moved.renewed);
    assert_eq!(long.workers[1].leases, 1);
}

#[test]
fn a_lease_that_a_live_worker_does_not_renew_is_stuck() {
    let fleet = watched(
        (0..10).map(|second| page(vec![lease("0", Some("a"), 3)], vec![worker("a", second)])),
    );
    assert_eq!(
        fleet.leases[0].stuck,
        Some(Stuck::NotRenewed { worker: "a".into() })
    );
}

#[test]
fn a_free_lease_is_stuck_when_nobody_lives_or_nobody_takes_it() {
    let alone = watched([page(vec![lease("0", None, 3)], vec![])]);
    assert_eq!(alone.leases[0].stuck, Some(Stuck::NoLiveWorker));
    let look = |second| page(vec![lease("0", None, 3)], vec![worker("a", second)]);
    let young = watched((0..3).map(look));
    assert_eq!(young.leases[0].stuck, None, "somebody is about to take it");
    let old = watched((0..10).map(look));
    assert_eq!(old.leases[0].stuck, Some(Stuck::NotTaken));
}

#[test]
fn who_leaves_is_no_longer_alive_and_one_asked_for_is_awaited() {
    let mut asked = lease("0", Some("a"), 3);
    asked.owner = Some("b".into());
    asked.checkpoint_owner = Some("a".into());
    let look = |second| {
        let leaving = worker("a", second).leaving();
        page(vec![asked.clone()], vec![leaving, worker("b", second)])
    };
    let fleet = watched((0..3).map(look));
    assert_eq!(lives(&fleet), [("a", Life::Leaving), ("b", Life::Alive)]);
    let lease = &fleet.leases[0];
    assert_eq!(lease.state, LeaseState::HandOver);
    assert_eq!(lease.holder, Some("a".into()));
    assert_eq!(lease.awaited_by, Some("b".into()));
    assert_eq!((fleet.workers[0].leases, fleet.workers[1].awaited), (1, 1));
}

#[test]
fn a_child_waits_for_its_parent_also_for_a_malformed_one() {
    let mut child = lease("1", None, 0);
    child.parents = vec!["0".into()];
    let rows = page(vec![lease("0", Some("a"), 1), child.clone()], vec![]);
    assert_eq!(watched([rows]).leases[1].waits_for, Some("0".into()));
    let mut rows = page(vec![child], vec![worker("a", 1)]);
    rows.malformed.push(MalformedRow::new(
        RowKey::Lease(LeaseKey::single("0")),
        "checkpoint",
        Some("x"),
        "a number",
    ));
    let fleet = watched([rows]);
    assert_eq!(fleet.leases[0].waits_for, Some("0".into()));
    assert_eq!(
        fleet.leases[0].stuck,
        Some(Stuck::ParentMalformed { parent: "0".into() })
    );
}

#[test]
fn a_lease_that_changes_hands_without_progress_is_stuck() {
    let mut row = lease("0", Some("a"), 9);
    row.owner_switches = 3;
    let fleet = watched([page(vec![row.clone()], vec![worker("a", 1)])]);
    assert_eq!(
        fleet.leases[0].stuck,
        Some(Stuck::NoProgress { switches: 3 })
    );
    row.checkpoint = Checkpoint::ShardEnd;
    assert_eq!(watched([page(vec![row], vec![])]).leases[0].stuck, None);
}
