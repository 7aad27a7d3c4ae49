//! Many writes at once, a busy file, callers that give up, and the end of the thread.
#![expect(
    clippy::disallowed_methods,
    reason = "another writer, and a file whose end no event tells"
)]

use std::future::{Future, poll_fn};
use std::path::Path;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kcl_core::lease::{Error, LeaseTable, Write};
use kcl_core::model::{Checkpoint, Lease, LeaseKey};
use kcl_local::SqliteLeaseTable;
use kcl_local::lease_table::OpenOptions;
use rusqlite::Connection;
use tempfile::tempdir;

fn lease(number: usize) -> Lease {
    Lease::new(
        LeaseKey::single(format!("shard-{number}")),
        Checkpoint::TrimHorizon,
    )
    .owned_by("worker".into(), "token".into())
}

async fn table(path: &Path, busy_timeout: Duration) -> SqliteLeaseTable {
    let table = OpenOptions::new()
        .busy_timeout(busy_timeout)
        .open(path, "application")
        .await
        .expect("open");
    table.setup().await.expect("setup");
    table
}

async fn renew(table: &SqliteLeaseTable, row: &Lease) -> Result<Lease, Error> {
    let write = Write::renew(row);
    table.update(&row.key, &write).await
}

/// Another program that is writing to the file until it is dropped.
fn writer(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("another program");
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .expect("its transaction");
    connection
}

#[tokio::test]
async fn each_of_many_writes_at_once_gets_its_own_answer() {
    let folder = tempdir().expect("a folder");
    let table = table(&folder.path().join("leases.sqlite"), Duration::from_secs(1)).await;
    for row in join_all((0..600).map(|number| {
        let table = &table;
        async move { table.create(&lease(number)).await }
    }))
    .await
    {
        row.expect("create");
    }
    // Every third is refused, and must take nothing of its neighbours along.
    let renewals = (0..600).map(|number| {
        let mut seen = lease(number);
        seen.counter += u64::from(number % 3 == 0);
        let table = &table;
        async move { renew(table, &seen).await }
    });
    for (number, result) in join_all(renewals).await.into_iter().enumerate() {
        match (number % 3, result) {
            (0, Err(Error::Conflict { row })) => assert_eq!(row.as_deref(), Some(&lease(number))),
            (1 | 2, Ok(row)) => assert_eq!((&row.key, row.counter), (&lease(number).key, 2)),
            (_, other) => panic!("{number}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_busy_file_throttles_writes_and_not_reads() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = table(&path, Duration::from_millis(50)).await;
    table.create(&lease(1)).await.expect("create");
    let busy = writer(&path);
    let begun = Instant::now();
    let results = join_all((0..20).map(|_| async { renew(&table, &lease(1)).await })).await;
    for result in results {
        assert!(matches!(result, Err(Error::Throttled { .. })), "{result:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "20 calls waited one after the other: {:?}",
        begun.elapsed()
    );
    assert_eq!(
        table.get(&lease(1).key).await.expect("a read"),
        Some(lease(1))
    );
    drop(busy);
    assert_eq!(
        renew(&table, &lease(1))
            .await
            .expect("the file is free")
            .counter,
        2
    );
}

#[tokio::test]
async fn a_write_waits_for_a_file_that_is_busy_for_a_moment() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = table(&path, Duration::from_secs(30)).await;
    table.create(&lease(1)).await.expect("create");
    let busy = writer(&path);
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(busy);
    });
    assert_eq!(
        renew(&table, &lease(1))
            .await
            .expect("the file became free")
            .counter,
        2
    );
    other.join().expect("the other program");
}

#[tokio::test]
async fn tables_that_find_the_same_empty_file_set_it_up_once() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let options = OpenOptions::new().busy_timeout(Duration::from_secs(30));
    let tables = [
        options.open(&path, "a").await.expect("open"),
        options.open(&path, "b").await.expect("open"),
    ];
    // Both see the file empty, and wait for the right to write.
    let busy = writer(&path);
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(busy);
    });
    for result in join_all(tables.iter().map(LeaseTable::setup)).await {
        result.expect("setup");
    }
    other.join().expect("the other program");
}

#[tokio::test]
async fn a_write_whose_caller_gave_up_before_its_turn_is_not_begun() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = table(&path, Duration::from_secs(30)).await;
    table.create(&lease(1)).await.expect("create");
    let busy = writer(&path);
    let mut given_up = Box::pin(async { renew(&table, &lease(1)).await });
    let pending =
        poll_fn(|context| Poll::Ready(given_up.as_mut().poll(context).is_pending())).await;
    assert!(pending, "it is sent, and waits for its answer");
    drop(given_up);
    drop(busy);
    assert_eq!(
        renew(&table, &lease(1))
            .await
            .expect("the counter is as it was")
            .counter,
        2
    );
}

#[tokio::test]
async fn the_file_is_closed_when_the_last_handle_is_dropped() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let first = table(&path, Duration::from_secs(1)).await;
    first.create(&lease(1)).await.expect("create");
    let second = first.clone();
    drop(first);
    second
        .create(&lease(2))
        .await
        .expect("the other handle works");
    let log = folder.path().join("leases.sqlite-wal");
    assert!(log.exists());
    drop(second);
    let begun = Instant::now();
    // The last connection takes the log along.
    while log.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the connection was not closed"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
