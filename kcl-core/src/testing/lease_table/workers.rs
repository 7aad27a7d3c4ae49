//! The rows of workers, which are their heartbeats.
//!
//! They have one condition for every write: the row is exactly as it was last seen, in all of its
//! parts but the lag. So a process notices at its next heartbeat if another process works under the same id,
//! and the row of a dead worker is deleted only if it has not moved since.

use std::time::Duration;

use crate::lease::{Consistency, HeldLag, ListedLag, Standstill, WorkerRow};
use crate::model::{Capacity, Checkpoint, Lease, WorkerId};

use super::TableFixture;
use super::check::{all_rows, conflict, put, two};
use super::rows::key;

/// A row with a failover time that is not a whole number of seconds: milliseconds must survive.
fn row(worker: &str) -> WorkerRow {
    let mut row = WorkerRow::new(
        worker.into(),
        "incarnation-1".into(),
        Duration::from_millis(10_500),
    );
    row.capacity = Some(Capacity::of_thousandths(3_500));
    row.drains = Some(3);
    row
}

/// The rows that differ from this one in a single part.
///
/// They are what a worker may have seen a moment ago. A table that compares only the counter
/// accepts one of them: two processes with the same id can have the same counter.
fn variants(row: &WorkerRow) -> Vec<WorkerRow> {
    vec![
        WorkerRow {
            incarnation: "incarnation-2".into(),
            ..row.clone()
        },
        WorkerRow {
            counter: row.counter + 1,
            ..row.clone()
        },
        WorkerRow {
            failover: row.failover + Duration::from_millis(1),
            ..row.clone()
        },
        WorkerRow {
            leaving: !row.leaving,
            ..row.clone()
        },
        WorkerRow {
            capacity: Some(Capacity::of_cores(4)),
            ..row.clone()
        },
        WorkerRow {
            capacity: None,
            ..row.clone()
        },
        WorkerRow {
            drains: Some(4),
            ..row.clone()
        },
    ]
}

/// A worker's row is created once, and a second creation is a conflict that changes nothing.
///
/// The second process with a worker's id must find out at its start. A conflict about a worker
/// carries no row: the caller reads it if it needs it.
///
/// In the order of the point: no row is there, one is created and seen through the other handle, a
/// twin with another incarnation is refused, and the first one is unchanged.
pub async fn a_worker_row_is_created_once(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let worker = WorkerId::from("работник 'a'");
    let first = WorkerRow {
        worker: worker.clone(),
        ..row("")
    };
    assert_eq!(table.get_worker(&worker).await.expect("get"), None);
    table
        .write_worker(&first.worker, None, Some(&first))
        .await
        .expect("create");
    assert_eq!(
        second.get_worker(&worker).await.expect("get"),
        Some(first.clone())
    );
    let twin = WorkerRow {
        incarnation: "incarnation-2".into(),
        ..first.clone()
    };
    assert_eq!(
        conflict(
            "a second creation",
            second.write_worker(&twin.worker, None, Some(&twin)).await
        ),
        None
    );
    assert_eq!(table.get_worker(&worker).await.expect("get"), Some(first));
}

/// A worker's row is replaced only if it is exactly the one that was seen, and is never created by
/// that.
///
/// If a heartbeat could create the row, a worker that was judged dead and removed would come back
/// without noticing that its leases are gone. If the same write could be sent again, a late copy
/// would set the counter back.
///
/// The last replacement sets every part of the row at once: a worker that restarts has another
/// incarnation, may declare another failover time, and clears or sets its mark that it is leaving.
pub async fn a_worker_row_is_replaced_only_as_seen(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let first = row("worker-a");
    assert_eq!(
        conflict(
            "no row",
            table
                .write_worker(&first.worker, Some(&first), Some(&first.next()))
                .await
        ),
        None
    );
    assert_eq!(
        second.get_worker(&first.worker).await.expect("get"),
        None,
        "an update created a row"
    );

    table
        .write_worker(&first.worker, None, Some(&first))
        .await
        .expect("create");
    for seen in variants(&first) {
        assert_eq!(
            conflict(
                "another row",
                table
                    .write_worker(&seen.worker, Some(&seen), Some(&seen.next()))
                    .await
            ),
            None
        );
        assert_eq!(
            second.get_worker(&first.worker).await.expect("get"),
            Some(first.clone())
        );
    }
    let next = first.next();
    table
        .write_worker(&first.worker, Some(&first), Some(&next))
        .await
        .expect("as seen");
    let leaving = WorkerRow {
        failover: Duration::from_secs(3600),
        incarnation: "2".into(),
        ..next.leaving()
    };
    second
        .write_worker(&next.worker, Some(&next), Some(&leaving))
        .await
        .expect("as seen");
    assert_eq!(
        table.get_worker(&first.worker).await.expect("get"),
        Some(leaving.clone())
    );
    assert_eq!(
        conflict(
            "the same write again",
            table
                .write_worker(&next.worker, Some(&next), Some(&leaving))
                .await
        ),
        None
    );
}

/// A worker's row is deleted only if it is exactly the one that was seen.
///
/// The row of a worker that looked dead and has just sent a heartbeat must stay: without it, the
/// others would believe that it has never been there.
///
/// A neighbour whose id differs in one letter must survive, and a worker that was deleted by
/// mistake can create its row again.
pub async fn a_worker_row_is_deleted_only_as_seen(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let (first, neighbour) = (row("worker-a"), row("worker-b"));
    assert_eq!(
        conflict(
            "no row",
            table.write_worker(&first.worker, Some(&first), None).await
        ),
        None
    );
    table
        .write_worker(&first.worker, None, Some(&first))
        .await
        .expect("create");
    table
        .write_worker(&neighbour.worker, None, Some(&neighbour))
        .await
        .expect("create");
    for seen in variants(&first) {
        assert_eq!(
            conflict(
                "another row",
                table.write_worker(&seen.worker, Some(&seen), None).await
            ),
            None
        );
        assert_eq!(
            second.get_worker(&first.worker).await.expect("get"),
            Some(first.clone())
        );
    }
    table
        .write_worker(&first.worker, Some(&first), None)
        .await
        .expect("as seen");
    assert_eq!(second.get_worker(&first.worker).await.expect("get"), None);
    assert_eq!(
        second.get_worker(&neighbour.worker).await.expect("get"),
        Some(neighbour)
    );
    table
        .write_worker(&first.worker, None, Some(&first))
        .await
        .expect("a deleted row can be created anew");
}

/// The lag of a worker's leases is stored and read back, and is no condition of any write.
///
/// A version that says it in other words reads no lag where there is one. It must be able to
/// replace the row, and to delete the row of a dead worker.
pub async fn the_lag_of_a_worker_is_no_condition(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let listed = ListedLag {
        lease: key("shardId-000000000003"),
        behind: Some(Duration::from_millis(62_345)),
        standstill: Some((Standstill::HandlerFails, Duration::from_secs(61))),
    };
    let lag = |others: Option<u64>, listed| {
        Some(HeldLag {
            leases: 8,
            others: others.map(Duration::from_millis),
            listed,
        })
    };
    let with = |row: &WorkerRow, lag| WorkerRow { lag, ..row.clone() };
    let first = with(&row("worker-a"), lag(Some(340), vec![listed]));
    let worker = first.worker.clone();
    table
        .write_worker(&worker, None, Some(&first))
        .await
        .expect("create");
    let found = second.get_worker(&worker).await.expect("get");
    assert_eq!(found, Some(first.clone()));
    let (all, _) = all_rows(&second, Consistency::Strong).await;
    assert_eq!(all.workers, std::slice::from_ref(&first));

    let next = with(&first.next(), lag(None, Vec::new()));
    table
        .write_worker(&worker, Some(&with(&first, None)), Some(&next))
        .await
        .expect("no lag was read");
    let found = second.get_worker(&worker).await.expect("get");
    assert_eq!(found, Some(next.clone()));
    let last = with(&next.next(), lag(Some(0), Vec::new()));
    table
        .write_worker(
            &worker,
            Some(&with(&next, lag(Some(7), Vec::new()))),
            Some(&last),
        )
        .await
        .expect("another lag was read");
    let found = second.get_worker(&worker).await.expect("get");
    assert_eq!(found, Some(last.clone()));
    table
        .write_worker(&worker, Some(&with(&last, None)), None)
        .await
        .expect("no lag was read");
    assert_eq!(second.get_worker(&worker).await.expect("get"), None);
}

/// Workers and leases are kept apart, even with the same name, and a scan lists both correctly.
///
/// An operator may name a worker like a shard. A table that keeps both kinds of row under one key
/// must tell them apart by more than the name.
///
/// Deleting the worker must leave the lease of the same name, and a scan must list each in its own
/// list.
pub async fn workers_and_leases_are_kept_apart(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let name = "shardId-000000000000";
    let lease = Lease::new(key(name), Checkpoint::TrimHorizon);
    let workers = [row("shardId-000000000000"), row("worker-b")];
    put(&table, &lease).await;
    for worker in &workers {
        table
            .write_worker(&worker.worker, None, Some(worker))
            .await
            .expect("create");
    }
    let (mut all, _) = all_rows(&second, Consistency::Strong).await;
    all.workers.sort_by(|a, b| a.worker.cmp(&b.worker));
    assert_eq!(all.leases, std::slice::from_ref(&lease));
    assert_eq!(all.workers, workers);
    assert!(all.malformed.is_empty(), "{:?}", all.malformed);

    table
        .write_worker(&workers[0].worker, Some(&workers[0]), None)
        .await
        .expect("delete");
    assert_eq!(second.get(&lease.key).await.expect("get"), Some(lease));
}
