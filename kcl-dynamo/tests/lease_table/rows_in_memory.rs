//! Rows of workers that go from the table to memory, because a KCL has come that fails at them.

use kcl_core::lease::{Consistency, KeepAlive, LeaseTable as _, WorkerRow};
use kcl_dynamo::{Coexistence, DynamoLeaseTable, OpenOptions};

use super::kcl_compat::{live, old_lease, open, put, rows, take, with, worker};

#[tokio::test]
async fn our_rows_go_with_the_next_heartbeat_after_an_old_kcl_comes() {
    let dynamo = with(&[]);
    let table = open(&dynamo, OpenOptions::new());
    table.setup().await.unwrap();
    live(&table).await;
    put(&dynamo, &[old_lease()]);
    table.scan(None, Consistency::Strong).await.unwrap();
    assert_eq!(table.coexistence(), Coexistence::LeasesOnly);
    let row = worker().next();
    table
        .write_worker(&row.worker, Some(&row), Some(&row.next()))
        .await
        .unwrap();
    assert_eq!(
        rows(&dynamo),
        [old_lease()],
        "the row of the worker and the signal are gone"
    );
    assert_eq!(
        table.get_worker(&row.worker).await.unwrap(),
        Some(row.next())
    );
    table
        .write_worker(&row.next().worker, Some(&row.next()), None)
        .await
        .unwrap();
    take(&table).await.unwrap();
}

/// A table that has written the row of a worker and then sees an old KCL.
async fn surprised(dynamo: &crate::support::Dynamo, row: &WorkerRow) -> DynamoLeaseTable {
    let table = open(dynamo, OpenOptions::new());
    table.setup().await.unwrap();
    live(&table).await;
    let seen = worker().next();
    table
        .write_worker(&seen.worker, Some(&seen), Some(row))
        .await
        .unwrap();
    put(dynamo, &[old_lease()]);
    table.scan(None, Consistency::Strong).await.unwrap();
    assert_eq!(table.coexistence(), Coexistence::LeasesOnly);
    table
}

fn after(row: &WorkerRow, keep_alive: KeepAlive) -> WorkerRow {
    let mut next = row.next();
    next.keep_alive = keep_alive;
    next
}

/// The others judge its leases by the row, until none of them depends on it.
#[tokio::test]
async fn a_row_that_holds_leases_stays_until_it_holds_none() {
    let dynamo = with(&[]);
    let holds = after(&worker().next(), KeepAlive::Heartbeats);
    let table = surprised(&dynamo, &holds).await;
    let still = after(&holds, KeepAlive::Heartbeats);
    let write = async |seen: &WorkerRow, next: &WorkerRow| {
        table
            .write_worker(&seen.worker, Some(seen), Some(next))
            .await
            .unwrap();
    };
    write(&holds, &still).await;
    let is_there = || {
        rows(&dynamo)
            .iter()
            .any(|row| row["leaseKey"]["S"] == "rust-1")
    };
    assert!(is_there());
    let renews = after(&still, KeepAlive::Renewals);
    write(&still, &renews).await;
    assert!(!is_there());
    let read = table.get_worker(&worker().worker).await.unwrap();
    assert_eq!(read, Some(renews));
}

/// Its leases would be lost if the worker took its row for deleted by others.
#[tokio::test]
async fn a_row_whose_deletion_had_no_answer_is_in_memory() {
    let dynamo = with(&[]);
    let renews = after(&worker().next(), KeepAlive::Renewals);
    let table = surprised(&dynamo, &renews).await;
    let lost = surprised_by_the_same(&dynamo).await;
    let next = renews.next();
    let (id, seen) = (&renews.worker, Some(&renews));
    // As if this were the try whose answer was lost.
    lost.write_worker(id, seen, Some(&next)).await.unwrap();
    table.write_worker(id, seen, Some(&next)).await.unwrap();
    let read = table.get_worker(id).await.unwrap();
    assert_eq!(read, Some(next));
}

async fn surprised_by_the_same(dynamo: &crate::support::Dynamo) -> DynamoLeaseTable {
    let table = open(dynamo, OpenOptions::new());
    table.setup().await.unwrap();
    assert_eq!(table.coexistence(), Coexistence::LeasesOnly);
    table
}
