use crate::MemoryLeaseTable;
use crate::model::{Checkpoint, Token};
use crate::runtime::SystemClock;

use super::*;

const F: Duration = Duration::from_secs(10);

fn row() -> WorkerRow {
    WorkerRow {
        drains: Some(0),
        ..WorkerRow::new("w".into(), "process".into(), F)
    }
}

async fn put(table: &MemoryLeaseTable, seen: Option<&WorkerRow>, row: &WorkerRow) {
    table
        .write_worker(&row.worker, seen, Some(row))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_drain_is_a_mark_in_the_row_that_shows_no_life() {
    let table = MemoryLeaseTable::new();
    let missing = drain(&table, &"w".into()).await;
    assert!(
        matches!(missing, Err(SteerError::NoWorker(_))),
        "{missing:?}"
    );
    put(&table, None, &row()).await;
    let drained = drain(&table, &"w".into()).await.unwrap();
    assert_eq!(
        (drained.is_draining(), drained.counter),
        (true, row().counter)
    );
    assert_eq!(drain(&table, &"w".into()).await.unwrap(), drained);
    let stored = table.get_worker(&"w".into()).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&drained));
    let signal = table.change_signal().await.unwrap().unwrap();
    assert_eq!(signal.recent.len(), 1, "told once");
    let ended = undrain(&table, &"w".into()).await.unwrap();
    assert!(!ended.is_draining());
}

#[tokio::test]
async fn who_leaves_or_does_not_know_drains_is_refused() {
    let table = MemoryLeaseTable::new();
    let old = WorkerRow {
        drains: None,
        ..row()
    };
    put(&table, None, &old).await;
    let refused = drain(&table, &"w".into()).await;
    assert!(matches!(refused, Err(SteerError::TooOld(_))), "{refused:?}");
    put(&table, Some(&old), &row().leaving()).await;
    let refused = drain(&table, &"w".into()).await;
    assert!(
        matches!(refused, Err(SteerError::Leaving(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_is_left_is_what_it_holds_and_what_nobody_took_of_that() {
    let table = MemoryLeaseTable::new();
    let keys: Vec<LeaseKey> = (0..3)
        .map(|shard| LeaseKey::single(shard.to_string()))
        .collect();
    for key in &keys {
        let lease = Lease::new(key.clone(), Checkpoint::TrimHorizon);
        let lease = lease.owned_by("w".into(), Token::new("t"));
        table.create(&lease).await.unwrap();
    }
    // Free from the start: no concern of this drain.
    let free = Lease::new(LeaseKey::single("free"), Checkpoint::TrimHorizon);
    table.create(&free).await.unwrap();
    let frees = |left: usize| match left {
        3 => table.edit(&keys[0], |row| row.owner = Some("other".into())),
        2 => table.edit(&keys[1], |row| row.owner = None),
        left => assert_eq!(left, 1),
    };
    let limit = BETWEEN_SCANS * 2 + Duration::from_millis(100);
    let worker = WorkerId::from("w");
    let left = left_behind(&table, &worker, limit, &SystemClock, frees);
    let left = left.await.unwrap();
    let names = |leases: &[Lease]| {
        let names: Vec<_> = leases.iter().map(|row| row.key.to_string()).collect();
        names
    };
    assert_eq!(
        (names(&left.held), names(&left.free)),
        (vec!["2".to_owned()], vec!["1".to_owned()])
    );
}
