//! Files: those that are not ours stay as they are, and ours are what they are said to be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::lease::{Consistency, Error, LeaseTable, WorkerRow, Write};
use kcl_core::model::{Assignee, Checkpoint, Lease, LeaseKey, Throughput, Timestamp};
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Event, RunError, Worker};
use kcl_core::{Failure, RecordProcessor};
use kcl_local::SqliteLeaseTable;
use kcl_local::lease_table::{OpenError, OpenOptions};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::tempdir;

struct Nothing;

impl RecordProcessor for Nothing {
    async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
        Ok(())
    }
}

pub(super) fn lease(shard: &str) -> Lease {
    Lease::new(LeaseKey::single(shard), Checkpoint::TrimHorizon)
        .owned_by("worker".into(), "token".into())
}

pub(super) async fn ready(path: &Path, application: &str) -> SqliteLeaseTable {
    let table = SqliteLeaseTable::open(path, application)
        .await
        .expect("open");
    table.setup().await.expect("setup");
    table
}

/// The folder's files with their bytes; the shared-memory index of a log is left out, as it holds
/// nothing of its own.
pub(super) fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder)
        .expect("the folder")
        .map(|file| file.expect("a file").path());
    let name = |path: &Path| {
        path.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    files
        .map(|path| (name(&path), fs::read(&path).expect("bytes")))
        .filter(|(name, _)| !name.ends_with("-shm"))
        .collect()
}

/// Opening is refused with these words, and nothing in the folder has changed.
async fn assert_refused_and_untouched(path: &Path, words: &[&str]) {
    let folder = path.parent().expect("a folder");
    let before = bytes(folder);
    let error = SqliteLeaseTable::open(path, "application")
        .await
        .expect_err("this is no lease table of ours");
    let message = error.to_string();
    for word in words.iter().chain([&path.to_string_lossy().as_ref()]) {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert_eq!(
        bytes(folder).keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>(),
        "{message}"
    );
    assert!(bytes(folder) == before, "bytes have changed: {message}");
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused_and_untouched() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    for content in [
        b"x".to_vec(),
        b"SQLite format 3\0".to_vec(),
        vec![b' '; 5000],
    ] {
        fs::write(&path, content).expect("the file");
        assert_refused_and_untouched(
            &path,
            &["a file of another kind", "application id 0x4b434c54"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_untouched() {
    for mode in ["DELETE", "WAL"] {
        for (mark, found) in [
            ("", "an SQLite database of another program"),
            ("PRAGMA application_id = 66;", "application id 0x42"),
        ] {
            let folder = tempdir().expect("a folder");
            let path = folder.path().join("theirs.sqlite");
            let theirs = Connection::open(&path).expect("their database");
            let script = format!(
                "{mark} PRAGMA journal_mode = {mode}; CREATE TABLE leases (id); INSERT INTO \
                 leases VALUES (1);"
            );
            theirs.execute_batch(&script).expect("their table");
            // With their program running, and their log not yet in the file.
            assert_refused_and_untouched(&path, &[found]).await;
            drop(theirs);
            assert_refused_and_untouched(&path, &[found]).await;
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_untouched() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = ready(&path, "application").await;
    table.create(&lease("shard")).await.expect("create");
    drop(table);
    let newer = Connection::open(&path).expect("a newer program");
    newer
        .execute_batch("PRAGMA user_version = 203")
        .expect("a newer version");
    let words = ["schema version 2.03", "expected 1.x"];
    // The version stands in the log alone, with the newer program running and without it, and then
    // in the file.
    assert_refused_and_untouched(&path, &words).await;
    newer
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .expect("the log stays");
    drop(newer);
    assert!(bytes(folder.path()).contains_key("leases.sqlite-wal"));
    assert_refused_and_untouched(&path, &words).await;
    Connection::open(&path)
        .and_then(|newer| newer.execute_batch("PRAGMA user_version = 203"))
        .expect("the log is carried over");
    assert_eq!(bytes(folder.path()).len(), 1);
    assert_refused_and_untouched(&path, &words).await;
}

/// A file that became another program's after it was opened is not set up.
#[tokio::test]
async fn a_file_that_became_another_programs_is_not_set_up() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = SqliteLeaseTable::open(&path, "application")
        .await
        .expect("open");
    let theirs = Connection::open(&path).expect("their database");
    theirs
        .execute_batch("CREATE TABLE notes (text)")
        .expect("their table");
    let before = bytes(folder.path());
    let error = table.setup().await.expect_err("the file is theirs now");
    assert!(
        matches!(&error, Error::Fatal { message, .. } if message.contains("another program")),
        "{error}"
    );
    assert!(bytes(folder.path()) == before);
}

/// A path that cannot be a lease table is refused with the reason.
#[tokio::test]
async fn a_path_that_cannot_be_a_table_is_refused_with_a_reason() {
    let folder = tempdir().expect("a folder");
    let missing = folder.path().join("missing").join("leases.sqlite");
    let error = SqliteLeaseTable::open(&missing, "a")
        .await
        .expect_err("no folder");
    assert!(matches!(&error, OpenError::NoFolder { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&*folder.path().join("missing").to_string_lossy())
    );
    assert!(
        !missing.exists() && !folder.path().join("missing").exists(),
        "something was made"
    );

    let error = SqliteLeaseTable::open(folder.path(), "a")
        .await
        .expect_err("a folder");
    assert!(
        matches!(
            &error,
            OpenError::NoFile {
                found: "a folder",
                ..
            }
        ),
        "{error:?}"
    );

    let path = folder.path().join("leases.sqlite");
    drop(ready(&path, "a").await);
    let mut rights = fs::metadata(&path).expect("the file").permissions();
    rights.set_readonly(true);
    fs::set_permissions(&path, rights).expect("read-only");
    let error = SqliteLeaseTable::open(&path, "a")
        .await
        .expect_err("read-only");
    assert!(matches!(&error, OpenError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let error = SqliteLeaseTable::open(&path, "")
        .await
        .expect_err("no name");
    assert!(
        error
            .to_string()
            .contains("the application's name is empty"),
        "{error}"
    );
    let error = OpenOptions::new()
        .busy_timeout(Duration::MAX)
        .open(&path, "a")
        .await
        .expect_err("too long");
    assert!(
        error.to_string().contains("busy_timeout") && error.to_string().contains("60s"),
        "{error}"
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn an_empty_file_and_an_empty_database_become_a_lease_table() {
    let folder = tempdir().expect("a folder");
    let (file, database) = (folder.path().join("file"), folder.path().join("database"));
    fs::write(&file, "").expect("an empty file");
    Connection::open(&database)
        .and_then(|database| database.execute_batch("VACUUM"))
        .expect("an empty database");
    for path in [file, database] {
        let table = ready(&path, "application").await;
        table.create(&lease("shard")).await.expect("create");
    }
}

#[tokio::test]
async fn applications_in_one_file_do_not_see_each_other() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let (first, second) = (ready(&path, "first").await, ready(&path, "second").await);
    first.create(&lease("shard")).await.expect("create");
    assert_eq!(second.get(&lease("shard").key).await.expect("get"), None);
    second
        .create(&lease("shard"))
        .await
        .expect("the same shard in another application");
    let renewed = Write::renew(&lease("shard"));
    first
        .update(&lease("shard").key, &renewed)
        .await
        .expect("renew");
    assert_eq!(
        second.get(&lease("shard").key).await.expect("get"),
        Some(lease("shard"))
    );
    assert_eq!(
        second
            .scan(None, Consistency::Strong)
            .await
            .expect("snapshot")
            .leases,
        [lease("shard")]
    );
}

/// What each operation says on a file that is not at its path any more.
async fn assert_ended(table: &SqliteLeaseTable, words: &[&str]) {
    let (row, renew) = (lease("shard"), Write::renew(&lease("shard")));
    let errors = [
        table
            .scan(None, Consistency::Strong)
            .await
            .expect_err("a look"),
        table.change_signal().await.expect_err("the change signal"),
        table.get(&row.key).await.expect_err("a read"),
        table.create(&lease("other")).await.expect_err("a creation"),
        table.update(&row.key, &renew).await.expect_err("a renewal"),
    ];
    for error in errors {
        for word in words {
            assert!(
                matches!(&error, Error::Fatal { message, .. } if message.contains(word)),
                "`{word}` is not in: {error}"
            );
        }
    }
}

/// A file that is removed or replaced under a worker is not used any longer.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_removed_or_replaced_is_not_used_on() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = ready(&path, "application").await;
    table.create(&lease("shard")).await.expect("create");
    // A restore from a backup: another file under the name.
    let aside = folder.path().join("aside.sqlite");
    fs::rename(&path, &aside).expect("removed");
    assert_ended(&table, &["leases.sqlite", "was removed while"]).await;
    let other = ready(&path, "application").await;
    other
        .create(&lease("shard"))
        .await
        .expect("a row in the new file");
    assert_ended(
        &table,
        &["leases.sqlite", "was replaced by another file while"],
    )
    .await;
    let row = other
        .get(&lease("shard").key)
        .await
        .expect("a read")
        .expect("the row");
    assert_eq!(row, lease("shard"), "nothing went to the new file");
}

/// One file serves many applications, so nothing else would say that the names differ: each would
/// read the whole stream.
#[tokio::test]
async fn a_worker_on_the_leases_of_another_app_is_refused() {
    let folder = tempdir().expect("a folder");
    let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "printer")
        .await
        .expect("open");
    let build = |application: &str, table: Arc<dyn LeaseTable>| {
        let builder = Worker::builder()
            .application(application)
            .stream("orders")
            .source(MemoryStream::new("orders", 1));
        builder
            .lease_table(table)
            .processor(|_: &ShardRef| Nothing)
            .build()
    };
    let error = build("billing", Arc::new(table.clone())).expect_err("the names differ");
    assert_eq!(
        error.to_string(),
        "invalid setting `lease_table`: got a table that was opened for the application `printer`, expected one that was opened \
         for `billing`, as the worker's `application` says"
    );
    build("printer", Arc::new(table)).expect("one name");
}

#[cfg(unix)]
#[tokio::test]
async fn a_worker_whose_file_is_replaced_ends_and_says_so() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = SqliteLeaseTable::open(&path, "application")
        .await
        .expect("open");
    let stream = MemoryStream::new("orders", 1);
    let builder = Worker::builder()
        .application("application")
        .stream("orders")
        .source(stream)
        .lease_table(table);
    let worker = builder
        .processor(|_: &ShardRef| Nothing)
        .build()
        .expect("a worker");
    let mut events = worker.events();
    let remove = async {
        while !matches!(
            events.next().await.expect("an event"),
            Event::ShardStarted { .. }
        ) {}
        fs::rename(&path, folder.path().join("aside.sqlite")).expect("removed");
    };
    let (ended, ()) = tokio::join!(worker.run(), remove);
    let error = ended.expect_err("the file is gone");
    assert!(
        matches!(&error, RunError::LeaseTable(cause) if cause.to_string().contains("was removed while")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_file_of_an_older_minor_version_is_brought_up_to_this() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    drop(ready(&path, "application").await);
    let file = Connection::open(&path).expect("the file");
    file.execute_batch(
        "ALTER TABLE leases DROP COLUMN began_at; ALTER TABLE leases DROP COLUMN paused_at; \
         ALTER TABLE leases DROP COLUMN bytes_per_second; \
         ALTER TABLE leases DROP COLUMN records_per_second; \
         ALTER TABLE workers DROP COLUMN capacity; \
         ALTER TABLE workers DROP COLUMN keep_alive; \
         ALTER TABLE leases DROP COLUMN assigned_to; \
         ALTER TABLE workers DROP COLUMN drains; \
         ALTER TABLE workers DROP COLUMN lag; \
         PRAGMA user_version = 100",
    )
    .expect("as version 1.00 made it");
    for _ in 0..2 {
        let table = ready(&path, "application").await;
        let mut begun = lease("shard");
        begun.facts.began_at = Some(Timestamp::from_millis(5));
        begun.paused_at = Some(Timestamp::from_millis(6));
        begun.assigned_to = Assignee::parse("process worker");
        begun.throughput = Some(Throughput {
            bytes: 7,
            records: 8,
        });
        table.create(&begun).await.expect("create");
        assert_eq!(
            table.get(&begun.key).await.expect("get"),
            Some(begun.clone())
        );
        let worker = WorkerRow::new("worker".into(), "process".into(), Duration::from_secs(9));
        let written = table.write_worker(&worker.worker, None, Some(&worker));
        written.await.expect("a worker");
        let found = table.get_worker(&worker.worker).await.expect("get");
        assert_eq!(found, Some(worker));
        assert_eq!(
            file.query_row("PRAGMA user_version", (), |row| row.get::<_, i64>(0))
                .expect("the version"),
            106
        );
        file.execute_batch("DELETE FROM leases; DELETE FROM workers")
            .expect("as it was");
    }
}

#[tokio::test]
async fn a_table_that_was_not_set_up_says_so() {
    let folder = tempdir().expect("a folder");
    let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "application")
        .await
        .expect("open");
    let key = lease("shard").key;
    for error in [
        table.get(&key).await.expect_err("no tables"),
        table.create(&lease("shard")).await.expect_err("no tables"),
    ] {
        assert!(
            matches!(&error, Error::Fatal { message, .. } if message.contains("was `setup` called?")),
            "{error}"
        );
    }
}
