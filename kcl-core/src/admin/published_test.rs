use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::lease::{HeldLag, ListedLag, ScanPage, WorkerRow};
use crate::model::{Checkpoint, Lease, Moment};

use super::super::judge::{Seen, fleet};
use super::*;

const F: Duration = Duration::from_secs(10);

fn at(second: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(second))
}

fn lease(shard: &str, owner: &str) -> Lease {
    Lease::new(LeaseKey::single(shard), Checkpoint::TrimHorizon).owned_by(owner.into(), "t".into())
}

fn named(shard: &str, behind: u64, standstill: Option<(Standstill, u64)>) -> ListedLag {
    ListedLag {
        lease: LeaseKey::single(shard),
        behind: Some(Duration::from_secs(behind)),
        standstill: standstill.map(|(by, span)| (by, Duration::from_secs(span))),
    }
}

/// A worker whose row says this of so many leases; the lag of the others is in seconds.
fn worker(name: &str, leases: usize, others: Option<u64>, listed: &[ListedLag]) -> WorkerRow {
    WorkerRow {
        lag: Some(HeldLag {
            leases,
            others: others.map(Duration::from_secs),
            listed: listed.to_vec(),
        }),
        ..WorkerRow::new(name.into(), "i".into(), F)
    }
}

/// The fleet after so many looks, a second each, in which each lease is renewed and each worker of
/// these writes its row.
fn looked(looks: u64, leases: &[Lease], workers: &[WorkerRow], moving: &[&str]) -> FleetView {
    let (mut members, timing) = (Members::default(), Timing::for_failover(F));
    let mut last = ScanPage::default();
    for second in 0..looks {
        let (mut leases, mut workers) = (leases.to_vec(), workers.to_vec());
        for row in workers
            .iter_mut()
            .filter(|row| moving.contains(&row.worker.as_str()))
        {
            row.counter += second;
        }
        for row in &mut leases {
            let is_renewed = row
                .owner
                .as_ref()
                .is_some_and(|of| moving.contains(&of.as_str()));
            row.counter += if is_renewed { second } else { 0 };
        }
        let now = at(100 + second);
        members.look(&leases, &workers, now, now, &timing);
        last = ScanPage {
            leases,
            workers,
            ..ScanPage::default()
        };
    }
    fleet(&Seen {
        rows: &last,
        before: &BTreeMap::new(),
        members: &members,
        timing,
        begun: at(100),
        now: at(99 + looks),
        stuck_after: STUCK_AFTER,
    })
}

/// What is known of each lease: its lag in seconds, and whether it is a bound.
fn lags(fleet: &FleetView) -> Vec<Option<(u64, bool)>> {
    let lag = |view: &LeaseView| {
        let lag = view.lag.as_ref()?;
        Some((lag.behind?.as_secs(), lag.at_most))
    };
    fleet.leases.iter().map(lag).collect()
}

#[test]
fn a_named_lease_has_its_own_lag_and_the_others_a_bound() {
    let leases = ["0", "1", "2"].map(|shard| lease(shard, "a"));
    let rows = [worker("a", 3, Some(4), &[named("1", 62, None)])];
    let seen = looked(3, &leases, &rows, &["a"]);
    assert_eq!(
        lags(&seen),
        [Some((4, true)), Some((62, false)), Some((4, true))]
    );
    assert_eq!(seen.workers[0].behind, Some(Duration::from_secs(62)));
    let of_all = FleetLag {
        behind: Some(Duration::from_secs(62)),
        unknown: 0,
    };
    assert_eq!(seen.published_lag(), of_all);
    assert_eq!(
        seen.stuck().count(),
        0,
        "to be behind is not to stand still"
    );
}

#[test]
fn a_bound_of_one_lease_or_of_zero_is_exact() {
    let leases = ["0", "1"].map(|shard| lease(shard, "a"));
    let one = [worker("a", 2, Some(4), &[named("1", 62, None)])];
    let seen = looked(3, &leases, &one, &["a"]);
    assert_eq!(lags(&seen), [Some((4, false)), Some((62, false))]);
    let tip = [worker("a", 2, Some(0), &[])];
    let seen = looked(3, &leases, &tip, &["a"]);
    assert_eq!(lags(&seen), [Some((0, false)), Some((0, false))]);
}

#[test]
fn nothing_is_known_of_leases_that_have_come_since() {
    // It held two when it said so: what it says of the others may be about those two.
    let leases = ["0", "1", "2"].map(|shard| lease(shard, "a"));
    let rows = [worker("a", 2, Some(0), &[named("1", 62, None)])];
    let seen = looked(3, &leases, &rows, &["a"]);
    assert_eq!(lags(&seen), [None, Some((62, false)), None]);
    assert_eq!(seen.published_lag().unknown, 2);
    // The lease that it names has moved to another worker since.
    let leases = [lease("0", "a"), lease("1", "b")];
    let rows = [
        worker("a", 2, Some(0), &[named("1", 62, None)]),
        worker("b", 1, Some(3), &[]),
    ];
    let seen = looked(3, &leases, &rows, &["a", "b"]);
    assert_eq!(lags(&seen), [None, Some((3, false))]);
}

#[test]
fn a_row_that_says_nothing_and_a_dead_worker_say_nothing() {
    let leases = [lease("0", "a"), lease("1", "b")];
    let rows = [
        WorkerRow::new("a".into(), "i".into(), F),
        worker("b", 1, Some(0), &[]),
    ];
    let seen = looked(10, &leases, &rows, &["a"]);
    assert_eq!(lags(&seen), [None, None]);
    assert_eq!(seen.workers[0].behind, None);
    let unknown = worker("b", 1, None, &[]);
    let seen = looked(3, &leases[1..], &[unknown], &["b"]);
    assert_eq!(lags(&seen), [None]);
}

#[test]
fn a_child_that_waits_is_not_behind() {
    let mut child = lease("1", "a");
    child.parents = vec!["0".into()];
    let rows = [worker("a", 2, Some(5), &[])];
    let seen = looked(3, &[lease("0", "a"), child], &rows, &["a"]);
    assert_eq!(lags(&seen), [Some((5, false)), None]);
    assert_eq!(seen.published_lag().unknown, 0);
}

/// What `lag` takes from a view: only what a worker says that was seen to be alive.
#[test]
fn the_lag_of_a_worker_that_may_be_dead_is_not_taken() {
    let leases = ["0", "1"].map(|shard| lease(shard, "a"));
    let rows = [worker("a", 2, Some(4), &[named("1", 1800, None)])];
    let retention = Some(Duration::from_secs(3600));
    let once = looked(1, &leases, &rows, &["a"]);
    assert_eq!(once.leases[0].lag.as_ref().unwrap().seen_ago, None);
    assert!(LeaseLag::published(&once.leases[0], retention).is_none());
    let seen = looked(3, &leases, &rows, &["a"]);
    let lag = LeaseLag::published(&seen.leases[1], retention).unwrap();
    assert_eq!(lag.behind, Some(Duration::from_secs(1800)));
    assert_eq!(lag.retention_left, Some(Duration::from_secs(1800)));
    assert_eq!((lag.at_most, lag.seen_ago), (false, Some(Duration::ZERO)));
}

#[test]
fn a_lease_that_stands_still_is_stuck_after_the_limit() {
    let leases = ["0", "1", "2", "3"].map(|shard| lease(shard, "a"));
    let listed = [
        named("0", 90, Some((Standstill::HandlerFails, 60))),
        named("1", 90, Some((Standstill::HandlerBusy, 61))),
        named("2", 90, Some((Standstill::ReadsFail, 62))),
        named("3", 90, Some((Standstill::HandlerFails, 59))),
    ];
    let rows = [worker("a", 4, Some(0), &listed)];
    let seen = looked(3, &leases, &rows, &["a"]);
    let stuck = |span| (WorkerId::from("a"), Duration::from_secs(span));
    let [(worker, for_long), busy, reads] = [stuck(60), stuck(61), stuck(62)];
    let whys: Vec<&Stuck> = seen.stuck().map(|(_, why)| why).collect();
    assert_eq!(
        whys,
        [
            &Stuck::HandlerFails { worker, for_long },
            &Stuck::HandlerBusy {
                worker: busy.0,
                for_long: busy.1
            },
            &Stuck::ReadsFail {
                worker: reads.0,
                for_long: reads.1
            },
        ]
    );
    let found = crate::admin::check(&seen, None, &[]);
    let stuck = found.iter().filter(|it| it.kind.name() == "stuck");
    assert_eq!(stuck.count(), 3, "{found:?}");
    // A dead holder is the better reason, and its last word counts for nothing.
    let dead = looked(10, &leases, &rows, &[]);
    assert!(dead.stuck().all(|(_, why)| *why == Stuck::NoLiveWorker));
}

#[test]
fn a_handler_that_fails_explains_why_a_lease_changes_hands() {
    let mut row = lease("0", "a");
    row.owner_switches = 3;
    let rows = [worker(
        "a",
        1,
        Some(0),
        &[named("0", 90, Some((Standstill::HandlerFails, 60)))],
    )];
    let seen = looked(1, &[row], &rows, &[]);
    let why = seen.leases[0].stuck.as_ref().unwrap().to_string();
    assert_eq!(
        why,
        "its holder a says that the handler has failed for 60 s"
    );
}
