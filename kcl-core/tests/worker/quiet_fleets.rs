//! A fleet in which nothing happens reads its table seldom, and hears of what happens all the same. A
//! scan is due each 30 s in it, or 90 heartbeats: by these the tests count, which a busy machine delays
//! like everything else.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use kcl_core::lease::{Change, KeepAlive};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::Liveness;

use super::fleet;
use super::hand_over::{count, wait_for};
use super::heartbeats::row_of;
use crate::support::{Fleet, Run, Script, UnrulyTable};

const F: Duration = Duration::from_secs(1);

fn start(stream: &MemoryStream, table: &UnrulyTable, id: &str) -> Run {
    let id = id.to_owned();
    Fleet::new(stream, table)
        .with(move |builder| {
            let builder = builder.worker_id(id).liveness(Liveness::Fleet);
            // No audit, which scans.
            builder.failover(F).audit_every(Duration::from_secs(300))
        })
        .start(Script::default())
}

/// The heartbeats of the worker so far.
async fn beats(table: &UnrulyTable, worker: &str) -> u64 {
    let row = row_of(table, worker).await;
    row.map_or(0, |row| row.counter)
}

/// Fewer heartbeats than there are between two scans of a quiet fleet.
const SOON: u64 = 60;

/// Waits until no worker has scanned while `a` has beaten six times, which takes two failover times.
async fn until_quiet(table: &UnrulyTable) {
    let (mut scans, mut from) = (table.scans(), beats(table, "a").await);
    fleet::wait_for("a quiet fleet", async || {
        let now = beats(table, "a").await;
        if table.scans() != scans {
            (scans, from) = (table.scans(), now);
        }
        now >= from + 6
    })
    .await;
}

async fn three(stream: &MemoryStream, table: &UnrulyTable) -> [Run; 3] {
    let runs = ["a", "b", "c"].map(|id| start(stream, table, id));
    wait_for(table, "a balance", |rows| {
        ["a", "b", "c"].iter().all(|id| count(rows, id) == 2)
    })
    .await;
    until_quiet(table).await;
    runs
}

#[tokio::test]
async fn a_death_in_a_quiet_fleet_is_found_and_its_leases_are_shared() {
    let (stream, table) = (MemoryStream::new("orders", 6), UnrulyTable::new());
    let [a, b, c] = three(&stream, &table).await;
    let (takes, before) = (table.written().len(), beats(&table, "a").await);
    b.crash().await;
    wait_for(&table, "the leases of the dead worker", |rows| {
        count(rows, "a") + count(rows, "c") == 6
    })
    .await;
    assert!(
        beats(&table, "a").await <= before + SOON,
        "by a scan that was due"
    );
    let takes: Vec<_> = table.written().split_off(takes);
    let takers: Vec<_> = takes
        .iter()
        .filter(|write| write.stored)
        .filter_map(|write| match &write.change {
            Change::Take { owner, .. } => Some(owner.as_str().to_owned()),
            _ => None,
        })
        .collect();
    assert!(
        ["a", "c"].iter().all(|id| takers.iter().any(|by| by == id)),
        "one has watched it, and the other has heard of it: {takers:?}"
    );
    until_quiet(&table).await;
    a.stop().await.unwrap();
    c.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_comes_or_leaves_is_heard_of_in_a_quiet_fleet() {
    let (stream, table) = (MemoryStream::new("orders", 6), UnrulyTable::new());
    let [a, b, c] = three(&stream, &table).await;
    let from = beats(&table, "a").await;
    c.stop().await.unwrap();
    wait_for(&table, "the leases of the one that left", |rows| {
        count(rows, "a") == 3 && count(rows, "b") == 3
    })
    .await;
    assert!(beats(&table, "a").await <= from + SOON, "nobody has heard");
    until_quiet(&table).await;
    let from = beats(&table, "a").await;
    let d = start(&stream, &table, "d");
    wait_for(&table, "the share of the one that came", |rows| {
        count(rows, "d") == 2
    })
    .await;
    assert!(beats(&table, "a").await <= from + SOON, "nobody has heard");
    until_quiet(&table).await;
    for run in [a, b, d] {
        run.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_fleet_that_does_not_hear_the_signal_scans() {
    let (stream, table) = (MemoryStream::new("orders", 6), UnrulyTable::new());
    let runs = three(&stream, &table).await;
    let row = row_of(&table, "a").await.unwrap();
    assert_eq!(row.keep_alive, KeepAlive::Heartbeats);
    table.set_deaf(true);
    let (before, from) = (table.scans(), beats(&table, "a").await);
    fleet::wait_for("scans", async || table.scans() >= before + 9).await;
    assert!(
        beats(&table, "a").await <= from + SOON,
        "by scans that were due"
    );
    table.set_deaf(false);
    until_quiet(&table).await;
    for run in runs {
        run.stop().await.unwrap();
    }
}
