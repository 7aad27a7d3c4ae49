//! Rows that were edited so that they cannot be read: point 9 of the contract.
//!
//! Such a row must neither stop the fleet nor be repaired by guessing. If it counted as missing, an
//! audit would create it anew and read the shard from the start; if it made a scan fail, one typing
//! error would stop every shard of the application.

use std::time::Duration;

use crate::lease::{Consistency, Error, RowKey, WorkerRow, Write};
use crate::model::{Checkpoint, Lease, WorkerId};

use super::TableFixture;
use super::check::{all_rows, one, put};
use super::rows::key;

/// The error has to name the row, because a worker leaves exactly this row alone until it is
/// repaired.
#[track_caller]
fn assert_malformed<T: std::fmt::Debug>(what: &str, result: Result<T, Error>, row: &RowKey) {
    match result {
        Err(Error::Malformed(found)) if found.row == *row => {}
        other => panic!("{what}: {row} is malformed, got {other:?}"),
    }
}

/// A malformed lease is listed as such next to all others; reading it is an error; and it is
/// neither recreated, changed nor deleted.
///
/// Everything is tried twice, so a table that repairs or drops the row at the first touch is caught
/// by the second. In the end another row is written, because the connection must still be of use.
///
/// The calls are those that reach such a row in a fleet: a scan lists it, an audit tries to create
/// it, its holder releases it, and a clean-up deletes it. The holder's release is refused although
/// counter and token are as expected: a table that wrote it would hide what the operator did.
pub async fn a_malformed_lease_hides_no_other_and_is_left_alone(fixture: &dyn TableFixture) {
    let table = one(fixture).await;
    let (first, spoiled, last) = (key("shardId-0"), key("shardId-1"), key("shardId-2"));
    for key in [&first, &spoiled, &last] {
        put(
            &table,
            &Lease::new(key.clone(), Checkpoint::ShardEnd).owned_by("me".into(), "token".into()),
        )
        .await;
    }
    let held = table.get(&spoiled).await.expect("get").expect("the lease");
    let row = RowKey::Lease(spoiled.clone());
    if !fixture.spoil(&row).await {
        return;
    }
    for _ in 0..2 {
        let (all, _) = all_rows(&table, Consistency::Strong).await;
        let mut leases: Vec<_> = all.leases.iter().map(|lease| &lease.key).collect();
        leases.sort();
        assert_eq!(leases, [&first, &last], "the other leases");
        assert_eq!(
            all.malformed
                .iter()
                .map(|found| &found.row)
                .collect::<Vec<_>>(),
            [&row],
            "the malformed one"
        );

        assert_malformed("get", table.get(&spoiled).await, &row);
        assert_malformed(
            "create",
            table
                .create(&Lease::new(spoiled.clone(), Checkpoint::TrimHorizon))
                .await,
            &row,
        );
        let release = Write::release(&held, None);
        assert_malformed("release", table.update(&spoiled, &release).await, &row);
        assert_malformed(
            "delete",
            table.delete(&spoiled, &Write::delete(&held)).await,
            &row,
        );
    }
    table
        .delete(&first, &Write::delete(&held))
        .await
        .expect("another row is written as always");
}

/// The same, for the row of a worker.
///
/// Any error will do for a write here: the worker cannot be sure of its own row any more, and that
/// is fatal for it, not for the others.
pub async fn a_malformed_worker_hides_no_other_and_is_left_alone(fixture: &dyn TableFixture) {
    let table = one(fixture).await;
    let of = |name: &str| {
        WorkerRow::new(
            WorkerId::from(name),
            "process".into(),
            Duration::from_secs(10),
        )
    };
    let (good, spoiled) = (of("good"), of("spoiled"));
    table
        .write_worker(&good.worker, None, Some(&good))
        .await
        .expect("create");
    table
        .write_worker(&spoiled.worker, None, Some(&spoiled))
        .await
        .expect("create");
    let row = RowKey::Worker(spoiled.worker.clone());
    if !fixture.spoil(&row).await {
        return;
    }
    for _ in 0..2 {
        let (all, _) = all_rows(&table, Consistency::Strong).await;
        assert_eq!(all.workers, std::slice::from_ref(&good), "the other worker");
        assert_eq!(
            all.malformed
                .iter()
                .map(|found| &found.row)
                .collect::<Vec<_>>(),
            [&row],
            "the malformed one"
        );
        assert_malformed("get", table.get_worker(&spoiled.worker).await, &row);
        table
            .write_worker(&spoiled.worker, None, Some(&spoiled))
            .await
            .expect_err("it exists");
        table
            .write_worker(&spoiled.worker, Some(&spoiled), Some(&spoiled.next()))
            .await
            .expect_err("it is not as it was seen");
        table
            .write_worker(&spoiled.worker, Some(&spoiled), None)
            .await
            .expect_err("it is not as it was seen");
    }
}
