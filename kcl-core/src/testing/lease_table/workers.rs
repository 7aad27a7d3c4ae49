use std::time::Duration;

use crate::lease::{Consistency, WorkerRow};
use crate::model::{Checkpoint, Lease, WorkerId};

use super::TableFixture;
use super::check::{all_rows, conflict, put, two};
use super::rows::key;

fn row(worker: &str) -> WorkerRow {
    WorkerRow::new(
        worker.into(),
        "incarnation-1".into(),
        Duration::from_millis(10_500),
    )
}

/// The rows that differ from this one in a single part.
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
    ]
}

/// A worker's row is created once, and a second creation is a conflict that changes nothing.
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

/// Workers and leases are kept apart, even with the same name, and a scan lists both correctly.
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
