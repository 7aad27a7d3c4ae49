//! The rows of a file: what was written is there later, and what cannot be read or kept is refused.

use kcl_core::lease::{Changed, Consistency, Error, LeaseTable, WorkerRow, Write};
use rusqlite::Connection;
use std::time::Duration;
use tempfile::tempdir;

use super::files::{bytes, lease, ready};

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = ready(&path, "application").await;
    table.create(&lease("shard")).await.expect("create");
    drop(table);
    assert_eq!(
        ready(&path, "application")
            .await
            .get(&lease("shard").key)
            .await
            .expect("get"),
        Some(lease("shard"))
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_not_written() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = ready(&path, "application").await;
    table.create(&lease("shard")).await.expect("create");
    let editor = Connection::open(&path).expect("an editor");
    editor
        .execute("UPDATE leases SET checkpoint = 'abc'", ())
        .expect("an edit");

    let renew = Write::renew(&lease("shard"));
    let key = lease("shard").key;
    let read = table.get(&key).await.expect_err("a broken row");
    let written = table.update(&key, &renew).await.expect_err("a broken row");
    for error in [read, written] {
        let message = error.to_string();
        for word in ["`checkpoint`", "`shard`", "`abc`", "TRIM_HORIZON"] {
            assert!(
                matches!(&error, Error::Malformed(_)) && message.contains(word),
                "`{word}` is not in: {message}"
            );
        }
    }
    let counter: i64 = editor
        .query_row("SELECT lease_counter FROM leases", (), |row| row.get(0))
        .expect("the counter");
    assert_eq!(counter, 1, "a write that failed was written");
}

#[tokio::test]
async fn what_the_schema_cannot_hold_is_refused_and_not_written() {
    let folder = tempdir().expect("a folder");
    let table = ready(&folder.path().join("leases.sqlite"), "application").await;
    let mut beyond = lease("beyond");
    beyond.counter = u64::MAX;
    let error = table.create(&beyond).await.expect_err("no room");
    assert!(
        error
            .to_string()
            .contains("expected 0 to 9223372036854775807"),
        "{error}"
    );
    assert_eq!(table.get(&beyond.key).await.expect("get"), None);

    let mut last = lease("last");
    last.counter = i64::MAX.unsigned_abs();
    table
        .create(&last)
        .await
        .expect("the last counter that fits");
    let renew = Write::renew(&last);
    let error = table.update(&last.key, &renew).await.expect_err("no room");
    assert!(matches!(error, Error::Fatal { .. }), "{error}");
    assert_eq!(table.get(&last.key).await.expect("get"), Some(last));
}

#[tokio::test]
async fn a_read_of_the_table_writes_nothing() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = ready(&path, "application").await;
    let (held, worker) = (
        lease("shard"),
        WorkerRow::new("worker".into(), "process".into(), Duration::from_secs(10)),
    );
    table.create(&held).await.expect("create");
    table
        .write_worker(&worker.worker, None, Some(&worker))
        .await
        .expect("create");
    table
        .announce(&[Changed::Lease(held.key.clone())])
        .await
        .expect("announce");
    let before = bytes(folder.path());
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        assert_eq!(table.get(&held.key).await.expect("get"), Some(held.clone()));
        assert_eq!(
            table.get_worker(&worker.worker).await.expect("get"),
            Some(worker.clone())
        );
        assert_eq!(
            table.scan(None, consistency).await.expect("scan").leases,
            std::slice::from_ref(&held)
        );
        assert!(table.change_signal().await.expect("the signal").is_some());
    }
    assert!(bytes(folder.path()) == before, "a read has written");
}
