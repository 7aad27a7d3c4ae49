//! Whether somebody holds the write lock of an `SQLite` file.

use rusqlite::Connection;
use tests::fleet::write_lock::is_held;

#[tokio::test]
async fn a_lock_that_stays_is_told_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    let writer = Connection::open(&path).unwrap();
    writer
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        .unwrap();
    assert!(!is_held(&path).await.unwrap());
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(is_held(&path).await.unwrap());
    writer.execute_batch("ROLLBACK").unwrap();
    assert!(!is_held(&path).await.unwrap());
}
