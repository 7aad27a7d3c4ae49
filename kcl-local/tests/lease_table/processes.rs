//! Several processes on one file, some of which are killed.
//!
//! The test binary starts itself again as a child: the test `child` does what the environment tells
//! it to.
#![expect(
    clippy::disallowed_methods,
    reason = "the instants at which a process is killed"
)]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kcl_core::lease::{Error, LeaseTable, Write};
use kcl_core::model::{Lease, LeaseKey, Position, SequenceNumber};
use kcl_local::SqliteLeaseTable;
use rusqlite::Connection;
use tempfile::tempdir;

const ROLE: &str = "KCL_LOCAL_TEST_ROLE";
const FILE: &str = "KCL_LOCAL_TEST_FILE";
const ADDITIONS: u64 = 200;

fn start(role: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "lease_table::processes::child", "--nocapture"])
        .env(ROLE, role)
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a child")
}

fn at(number: u64) -> Lease {
    Lease::new(
        LeaseKey::single("shard"),
        Position::from(SequenceNumber::from_u128(number.into())).into(),
    )
}

fn number(row: &Lease) -> u64 {
    row.checkpoint
        .position()
        .expect("a position")
        .sequence
        .to_string()
        .parse()
        .expect("a small number")
}

async fn ready(path: &Path) -> SqliteLeaseTable {
    let table = SqliteLeaseTable::open(path, "application")
        .await
        .expect("open");
    table.setup().await.expect("setup");
    table
}

fn assert_sound(path: &Path) {
    let connection = Connection::open(path).expect("the file");
    let result: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .expect("the check");
    assert_eq!(result, "ok");
}

#[tokio::test]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let path = PathBuf::from(std::env::var_os(FILE).expect("a file"));
    if role == "leave" {
        return read_and_leave(&path);
    }
    let table = ready(&path).await;
    match role.as_str() {
        "set up" => {}
        "write" => write_for_ever(&table).await,
        "add" => add(&table).await,
        other => panic!("{other} is no role"),
    }
}

/// Closes the file in order: a handle's thread may not come to it before its process ends.
fn read_and_leave(path: &Path) {
    let connection = Connection::open(path).expect("the file");
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM leases", (), |row| row.get(0))
        .expect("a lease table");
    assert_eq!(rows, 1);
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("an orderly end");
}

/// Checkpoints one more and says so, again and again.
async fn write_for_ever(table: &SqliteLeaseTable) {
    let mut row = table.get(&at(0).key).await.expect("get").expect("the row");
    loop {
        let next = number(&row) + 1;
        let write = Write::checkpoint(&row, at(next).checkpoint);
        row = table.update(&row.key, &write).await.expect("checkpoint");
        // One write a line, so that the parent never reads half a number.
        let mut out = std::io::stdout().lock();
        out.write_all(format!("\nacknowledged {next}\n").as_bytes())
            .and_then(|()| out.flush())
            .expect("the parent");
    }
}

async fn add(table: &SqliteLeaseTable) {
    let mut row = table.get(&at(0).key).await.expect("get").expect("the row");
    let mut left = ADDITIONS;
    while left > 0 {
        let write = Write::checkpoint(&row, at(number(&row) + 1).checkpoint);
        match table.update(&row.key, &write).await {
            Ok(after) => {
                row = after;
                left -= 1;
            }
            Err(Error::Conflict {
                row: Some(standing),
            }) => row = *standing,
            Err(Error::Throttled { .. }) => {}
            Err(error) => panic!("an addition: {error}"),
        }
    }
}

/// Instants that differ from round to round, and are the same in every run.
fn spread(round: u64, below: u64) -> u64 {
    round.wrapping_mul(0x9E37_79B9_7F4A_7C15) % below
}

/// A process killed at any instant loses nothing that was acknowledged.
#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    ready(&path).await.create(&at(0)).await.expect("create");
    let mut acknowledged = 0;
    for round in 1..=20 {
        let mut child = start("write", &path);
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut read = |up_to: usize| {
            let numbers = lines.by_ref().map_while(Result::ok);
            let numbers =
                numbers.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
            numbers.take(up_to).last()
        };
        acknowledged =
            read(1 + usize::try_from(spread(round, 40)).expect("small")).expect("the child writes");
        std::thread::sleep(Duration::from_micros(spread(round, 900)));
        child.kill().expect("kill");
        acknowledged = read(usize::MAX).unwrap_or(acknowledged);
        child.wait().expect("its end");

        let row = ready(&path)
            .await
            .get(&at(0).key)
            .await
            .expect("get")
            .expect("the row");
        // One more may have been written and not told any more.
        assert!(
            (acknowledged..=acknowledged + 1).contains(&number(&row)),
            "round {round}: {acknowledged} and {}",
            number(&row)
        );
        assert_sound(&path);
    }
    assert!(acknowledged >= 20, "the children wrote next to nothing");
}

/// A process killed while it makes the file leaves one that can be opened.
#[tokio::test]
async fn a_process_killed_at_set_up_leaves_a_file_that_opens() {
    for round in 0..20 {
        let folder = tempdir().expect("a folder");
        let path = folder.path().join("leases.sqlite");
        let mut child = start("set up", &path);
        // A process takes a few milliseconds to come to the file: from then on at any instant.
        while !path.exists() && child.try_wait().expect("its state").is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(round * 100));
        child.kill().expect("kill");
        child.wait().expect("its end");
        let table = ready(&path).await;
        table.create(&at(1)).await.expect("create");
        assert_eq!(table.get(&at(1).key).await.expect("get"), Some(at(1)));
        assert_sound(&path);
    }
}

#[tokio::test]
async fn two_processes_lose_no_addition_of_each_other() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let table = ready(&path).await;
    table.create(&at(0)).await.expect("create");
    let children = [start("add", &path), start("add", &path)];
    for child in children {
        let output = child.wait_with_output().expect("its end");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let row = table.get(&at(0).key).await.expect("get").expect("the row");
    assert_eq!((number(&row), row.counter), (2 * ADDITIONS, 2 * ADDITIONS));
    assert_sound(&path);
}

/// Closing any descriptor of a file takes all locks on it from the whole process. Without its lock,
/// the next process to leave would believe to be the last one and take the write-ahead log away
/// from those that still use it.
#[tokio::test]
async fn a_second_handle_of_one_process_leaves_the_first_its_locks() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("leases.sqlite");
    let first = ready(&path).await;
    first.create(&at(0)).await.expect("create");
    drop(ready(&path).await);
    for round in 1..=2 {
        assert!(start("leave", &path).wait().expect("its end").success());
        assert!(start("add", &path).wait().expect("its end").success());
        let row = first.get(&at(0).key).await.expect("get").expect("the row");
        assert_eq!(
            number(&row),
            round * ADDITIONS,
            "the first handle reads a log of its own"
        );
    }
    assert_sound(&path);
}
