use crate::MemoryLeaseTable;
use crate::lease::WorkerRow;
use crate::model::{Checkpoint, Timestamp, Token};
use crate::runtime::SystemClock;

use super::*;

const F: Duration = Duration::from_secs(10);

/// A worker that knows moves, and a lease of another.
async fn scene() -> (MemoryLeaseTable, LeaseKey) {
    let table = MemoryLeaseTable::new();
    let row = WorkerRow {
        drains: Some(0),
        ..WorkerRow::new("to".into(), "process".into(), F)
    };
    put(&table, &row).await;
    let key = LeaseKey::single("shard");
    let lease = Lease::new(key.clone(), Checkpoint::TrimHorizon);
    let lease = lease.owned_by("from".into(), Token::new("t"));
    table.create(&lease).await.unwrap();
    (table, key)
}

async fn put(table: &MemoryLeaseTable, row: &WorkerRow) {
    let seen = table.get_worker(&row.worker).await.unwrap();
    let seen = seen.as_ref();
    table
        .write_worker(&row.worker, seen, Some(row))
        .await
        .unwrap();
}

async fn tried(table: &MemoryLeaseTable, key: &LeaseKey) -> Result<Vec<Lease>, SteerError> {
    assign(table, std::slice::from_ref(key), &"to".into()).await
}

#[tokio::test]
async fn a_lease_is_assigned_to_the_process_that_lives_and_taken_back() {
    let (table, key) = scene().await;
    let before = table.get(&key).await.unwrap().unwrap();
    let rows = tried(&table, &key).await.unwrap();
    let expected = Lease {
        assigned_to: Some(Assignee::new("to".into(), "process".into())),
        ..before.clone()
    };
    assert_eq!(rows, [expected]);
    let signal = table.change_signal().await.unwrap().unwrap();
    assert_eq!(signal.recent.len(), 1, "the workers are told");
    let (keys, to) = ([key.clone()], WorkerId::from("to"));
    let told = |left| assert_eq!(left, 1);
    let left = moved(&table, &keys, &to, Duration::ZERO, &SystemClock, told);
    assert_eq!(left.await.unwrap(), rows);
    for _ in 0..2 {
        let rows = unassign(&table, std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(rows, std::slice::from_ref(&before));
    }
}

#[tokio::test]
async fn what_the_worker_has_is_left_as_it_is() {
    let (table, key) = scene().await;
    table.edit(&key, |row| row.owner = Some("to".into()));
    let rows = tried(&table, &key).await.unwrap();
    assert_eq!(rows[0].assigned_to, None);
    let (keys, to) = ([key], WorkerId::from("to"));
    let is_there = moved(&table, &keys, &to, F, &SystemClock, |_| {});
    assert_eq!(is_there.await.unwrap(), []);
}

#[tokio::test]
async fn who_takes_nothing_and_what_cannot_move_are_refused() {
    let (table, key) = scene().await;
    let row = table.get_worker(&"to".into()).await.unwrap().unwrap();
    put(&table, &row.with_draining(true).unwrap()).await;
    let refused = tried(&table, &key).await;
    assert!(
        matches!(refused, Err(SteerError::Draining(_))),
        "{refused:?}"
    );
    put(&table, &row.leaving()).await;
    let refused = tried(&table, &key).await;
    assert!(
        matches!(refused, Err(SteerError::Leaving(_))),
        "{refused:?}"
    );
    let old = WorkerRow {
        drains: None,
        ..row.clone()
    };
    put(&table, &old).await;
    let refused = tried(&table, &key).await;
    assert!(matches!(refused, Err(SteerError::TooOld(_))), "{refused:?}");
    let refused = assign(&table, &[], &"nobody".into()).await;
    assert!(
        matches!(refused, Err(SteerError::NoWorker(_))),
        "{refused:?}"
    );

    put(&table, &row).await;
    table.edit(&key, |row| row.paused_at = Some(Timestamp::from_millis(1)));
    let refused = tried(&table, &key).await;
    assert!(matches!(refused, Err(SteerError::Paused(_))), "{refused:?}");
    table.edit(&key, |row| (row.paused_at, row.token) = (None, None));
    let refused = tried(&table, &key).await;
    assert!(
        matches!(refused, Err(SteerError::Foreign { .. })),
        "{refused:?}"
    );
    let row = table.get(&key).await.unwrap().unwrap();
    assert_eq!(row.assigned_to, None);
}
