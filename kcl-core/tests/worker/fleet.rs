//! Several workers of one application: they share the shards, hand them over, and take over from
//! each other.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::{
    Fault, Fleet, HookedStream, NoWorkerRows, Nth, PATIENCE, Run, Script, UnrulyTable, until,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::{Lease, WorkerId};
use kcl_core::stream::memory::{MemoryStream, Operation};
use kcl_core::worker::{Event, RunError, Stop, Stopped};

pub(super) const F: Duration = Duration::from_millis(1500);

pub(super) async fn rows(table: &MemoryLeaseTable) -> Vec<Lease> {
    table.scan(None, Consistency::Strong).await.unwrap().leases
}

/// How many unfinished leases each worker holds for good: no request is open.
pub(super) async fn held(table: &MemoryLeaseTable) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    for row in rows(table)
        .await
        .into_iter()
        .filter(|row| !row.checkpoint.is_shard_end())
    {
        let owner = match (&row.owner, &row.token, &row.checkpoint_owner) {
            (Some(owner), Some(_), None) => owner.to_string(),
            _ => "nobody".to_owned(),
        };
        *held.entry(owner).or_default() += 1;
    }
    held
}

pub(super) async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "still waiting for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

pub(super) async fn wait_for_shares(table: &MemoryLeaseTable, shares: &[usize]) -> Duration {
    let last = std::cell::RefCell::new(BTreeMap::new());
    let begun = Instant::now();
    loop {
        let now = held(table).await;
        let mut counts: Vec<_> = now.values().copied().collect();
        counts.sort_unstable();
        if counts == shares && !now.contains_key("nobody") {
            return begun.elapsed();
        }
        last.replace(now);
        assert!(
            begun.elapsed() < PATIENCE,
            "still {:?}, not {shares:?}",
            last.borrow()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) struct FleetWorld {
    pub(super) stream: MemoryStream,
    pub(super) table: MemoryLeaseTable,
    pub(super) put: u32,
}

impl FleetWorld {
    pub(super) fn new(shards: u32) -> Self {
        Self {
            stream: MemoryStream::new("orders", shards),
            table: MemoryLeaseTable::new(),
            put: 0,
        }
    }

    pub(super) fn worker(&self, id: &str) -> Run {
        self.scripted(id, Script::default())
    }

    pub(super) fn scripted(&self, id: &str, script: Script) -> Run {
        let id = id.to_owned();
        Fleet::new(&self.stream, &self.table)
            .with(move |builder| builder.worker_id(id).failover(F))
            .start(script)
    }

    pub(super) fn put(&mut self, records: u32) {
        let from = self.put;
        self.put += records;
        self.stream
            .put_many((from..self.put).map(|n| (format!("key-{n}"), format!("{n}"))))
            .unwrap();
    }

    /// Every record that was put was handed out by somebody, and by how many twice.
    pub(super) async fn assert_all_read(&self, runs: &[&Run]) -> usize {
        let all = || -> Vec<String> { runs.iter().flat_map(|run| run.seen.payloads()).collect() };
        wait_for("every record", async || {
            all().iter().collect::<BTreeSet<_>>().len() >= self.put as usize
        })
        .await;
        all().len() - self.put as usize
    }
}

#[tokio::test]
async fn a_joining_worker_gets_its_share_without_a_duplicate() {
    let mut world = FleetWorld::new(8);
    world.put(400);
    let first = world.worker("first");
    wait_for_shares(&world.table, &[8]).await;
    let second = world.worker("second");
    let took = wait_for_shares(&world.table, &[4, 4]).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    world.put(400);
    assert_eq!(
        world.assert_all_read(&[&first, &second]).await,
        0,
        "duplicates"
    );
    // And nothing moves any more.
    let tenancies: BTreeSet<_> = rows(&world.table)
        .await
        .into_iter()
        .map(|row| row.token)
        .collect();
    tokio::time::sleep(F * 2).await;
    assert_eq!(
        tenancies,
        rows(&world.table)
            .await
            .into_iter()
            .map(|row| row.token)
            .collect()
    );
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn leases_freed_at_a_stop_are_read_at_once_without_a_duplicate() {
    let mut world = FleetWorld::new(8);
    world.put(100);
    let (first, second) = (world.worker("first"), world.worker("second"));
    wait_for_shares(&world.table, &[4, 4]).await;
    let first_seen = first.seen.clone();
    let stopped = first.worker.shutdown(Duration::from_secs(10)).await;
    assert_eq!(stopped.count(Stopped::Abandoned), 0, "{stopped}");
    let took = wait_for_shares(&world.table, &[8]).await;
    assert!(took < Duration::from_millis(1000), "{took:?}");
    world.put(100);
    let all = || -> Vec<String> { [first_seen.payloads(), second.seen.payloads()].concat() };
    wait_for("every record", async || all().len() >= 200).await;
    assert_eq!(all().len(), 200, "duplicates");
    let workers = world
        .table
        .scan(None, Consistency::Strong)
        .await
        .unwrap()
        .workers;
    let names: Vec<_> = workers.iter().map(|row| row.worker.clone()).collect();
    assert_eq!(
        names,
        [WorkerId::new("second")],
        "the row of the one that left is gone"
    );
    second.stop().await.unwrap();
}

#[tokio::test]
async fn shards_of_a_dead_worker_are_read_within_failover_and_1_s() {
    let mut world = FleetWorld::new(6);
    world.put(60);
    let (first, second) = (world.worker("first"), world.worker("second"));
    wait_for_shares(&world.table, &[3, 3]).await;
    world.assert_all_read(&[&first, &second]).await;
    first.crash().await;
    let took = wait_for_shares(&world.table, &[6]).await;
    assert!(took < F + Duration::from_secs(1), "{took:?}");
    wait_for("the row of the dead worker to be deleted", async || {
        world
            .table
            .scan(None, Consistency::Strong)
            .await
            .unwrap()
            .workers
            .len()
            == 1
    })
    .await;
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_kept_its_leases_has_them_back_at_once() {
    let mut world = FleetWorld::new(6);
    world.put(60);
    let (first, second) = (world.worker("first"), world.worker("second"));
    wait_for_shares(&world.table, &[3, 3]).await;
    world.assert_all_read(&[&first, &second]).await;
    let before: BTreeMap<_, _> = rows(&world.table)
        .await
        .into_iter()
        .map(|row| (row.key, row.owner))
        .collect();
    first.worker.stop(Stop::Keep, Duration::from_secs(10)).await;
    assert_eq!(
        held(&world.table).await,
        BTreeMap::from([("first".to_owned(), 3), ("second".to_owned(), 3)])
    );
    let begun = Instant::now();
    let again = world.worker("first");
    for _ in 0..3 {
        again
            .heard
            .wait_for("an adopted lease", |event| {
                matches!(event, Event::LeaseAcquired { .. })
            })
            .await;
    }
    assert!(begun.elapsed() < F / 3, "{:?}", begun.elapsed());
    world.put(60);
    let all =
        || first.seen.payloads().len() + second.seen.payloads().len() + again.seen.payloads().len();
    wait_for("every record", async || all() >= 120).await;
    assert_eq!(all(), 120, "duplicates");
    let after: BTreeMap<_, _> = rows(&world.table)
        .await
        .into_iter()
        .map(|row| (row.key, row.owner))
        .collect();
    assert_eq!(after, before, "no shard moved");
    again.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_keeps_its_leases_exits_when_nothing_is_left() {
    let world = FleetWorld::new(2);
    let id = "first".to_owned();
    let first = Fleet::new(&world.stream, &world.table)
        .with(move |builder| builder.worker_id(id).failover(Duration::from_secs(10)))
        .start(Script::default());
    wait_for_shares(&world.table, &[2]).await;
    let begun = Instant::now();
    first.worker.stop(Stop::Keep, Duration::from_secs(10)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_slow_audit_does_not_delay_a_takeover() {
    let mut world = FleetWorld::new(4);
    world.put(40);
    let failover = F * 2;
    let first = Fleet::new(&world.stream, &world.table)
        .with(|builder| builder.worker_id("first").failover(failover))
        .start(Script::default());
    wait_for_shares(&world.table, &[4]).await;
    // Longer than an observer may go without a scan, and one comparison after the other: each is
    // done with what it saw long before.
    let slow = HookedStream::new(&world.stream);
    slow.before(move |operation, _| async move {
        if operation == Operation::ListShards {
            tokio::time::sleep(failover * 3 / 5).await;
        }
    });
    let second = Fleet::new(&slow, &world.table)
        .with(|builder| {
            builder
                .worker_id("second")
                .failover(failover)
                .audit_every(Duration::from_secs(1))
        })
        .start(Script::default());
    wait_for_shares(&world.table, &[2, 2]).await;
    until("the comparisons to follow each other", || {
        world.stream.call_count(Operation::ListShards, None) >= 4
    })
    .await;
    first.crash().await;
    let took = wait_for_shares(&world.table, &[4]).await;
    assert!(took < failover + Duration::from_secs(1), "{took:?}");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_at_its_cap_reports_shards_that_others_then_take() {
    let mut world = FleetWorld::new(4);
    world.put(40);
    let capped = Fleet::new(&world.stream, &world.table)
        .with(|builder| builder.worker_id("capped").failover(F).max_leases(1))
        .start(Script::default());
    capped
        .heard
        .wait_for(
            "what is left",
            |event| matches!(event, Event::LeasesLeftUnread { leases } if leases.len() == 3),
        )
        .await;
    assert_eq!(
        held(&world.table).await,
        BTreeMap::from([("capped".to_owned(), 1), ("nobody".to_owned(), 3)])
    );
    let other = world.worker("other");
    wait_for_shares(&world.table, &[1, 3]).await;
    assert_eq!(
        world.assert_all_read(&[&capped, &other]).await,
        0,
        "duplicates"
    );
    // And back again: what the other leaves is not taken beyond the cap.
    other.stop().await.unwrap();
    wait_for("what is left", async || {
        held(&world.table).await.get("nobody") == Some(&3)
    })
    .await;
    tokio::time::sleep(F).await;
    assert_eq!(held(&world.table).await.get("capped"), Some(&1));
    capped.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_loses_heartbeats_is_not_taken_for_dead() {
    let stream = MemoryStream::new("orders", 1);
    let table = UnrulyTable::new();
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::new(&stream, &table)
            .with(move |builder| builder.worker_id(id).failover(F))
            .start(Script::default())
    };
    let first = start("first");
    wait_for_shares(&table.rows, &[1]).await;
    // It holds nothing: its row is all that shows its life. Two of three signs are lost.
    let signs = Nth::default();
    let seen = signs.clone();
    table.set_worker_rule(move |row| match row.worker.as_str() {
        "second" if !seen.next().is_multiple_of(3) => Fault::LoseWrite,
        _ => Fault::None,
    });
    let second = start("second");
    let row = async || table.get_worker(&WorkerId::new("second")).await.unwrap();
    wait_for("the second worker", async || row().await.is_some()).await;
    let process = row().await.unwrap().incarnation;
    until("some signs", || signs.count() >= 12).await;
    assert_eq!(
        row().await.map(|row| row.incarnation),
        Some(process),
        "nobody has deleted its row"
    );
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// Its handlers may still be inside a call: a mark would let the next process of its name adopt its
/// leases at once.
#[tokio::test]
async fn a_worker_whose_run_is_dropped_sets_no_leaving_mark() {
    let stream = MemoryStream::new("orders", 1);
    let table = UnrulyTable::new();
    let marks = Nth::default();
    let seen = marks.clone();
    table.set_worker_rule(move |row| {
        if row.leaving {
            seen.next();
        }
        Fault::None
    });
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::new(&stream, &table)
            .with(move |builder| builder.worker_id(id).failover(F))
            .start(Script::default())
    };
    let first = start("first");
    wait_for_shares(&table.rows, &[1]).await;
    let second = start("second");
    first.crash().await;
    wait_for("the second worker's lease", async || {
        held(&table.rows).await.get("second") == Some(&1)
    })
    .await;
    assert_eq!(marks.count(), 0, "the lease had to expire");
    second.stop().await.unwrap();
    assert_eq!(marks.count(), 1, "a graceful stop is marked");
}

#[tokio::test]
async fn a_handler_that_does_not_return_refuses_the_hand_over() {
    let mut world = FleetWorld::new(2);
    world.put(20);
    let script = Script::process(|_| async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(())
    });
    let id = "first".to_owned();
    let first = Fleet::new(&world.stream, &world.table)
        .with(move |builder| {
            builder
                .worker_id(id)
                .failover(F)
                .drain_limit(Duration::from_millis(300))
        })
        .start(script);
    wait_for_shares(&world.table, &[2]).await;
    first.seen.wait_for_records(2).await;
    let second = world.worker("second");
    wait_for("the request", async || {
        rows(&world.table)
            .await
            .iter()
            .any(Lease::hand_over_pending)
    })
    .await;
    let took = wait_for_shares(&world.table, &[2]).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    // In the cool-down it is not asked again.
    let begun = Instant::now();
    while begun.elapsed() < F {
        assert!(
            !rows(&world.table)
                .await
                .iter()
                .any(|row| row.hand_over_pending() && row.token.is_none())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.crash().await;
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_with_a_live_workers_id_stops_with_a_typed_error() {
    let mut world = FleetWorld::new(2);
    world.put(10);
    let first = world.worker("twin");
    wait_for_shares(&world.table, &[2]).await;
    let second = world.worker("twin");
    let error = tokio::time::timeout(F * 4, second.ended())
        .await
        .expect("it ends by itself")
        .unwrap_err();
    assert!(
        matches!(error, RunError::DuplicateWorkerId { .. }),
        "{error:?}"
    );
    assert_eq!(
        held(&world.table).await,
        BTreeMap::from([("twin".to_owned(), 2)])
    );
    world.put(10);
    first.seen.wait_for_records(20).await;
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_fleet_without_worker_rows_balances_and_takes_over() {
    let stream = MemoryStream::new("orders", 8);
    let table = NoWorkerRows::default();
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::new(&stream, &table)
            .with(move |builder| builder.worker_id(id).failover(F))
            .start(Script::default())
    };
    let first = start("first");
    wait_for_shares(&table.0, &[8]).await;
    let second = start("second");
    wait_for_shares(&table.0, &[4, 4]).await;
    let third = start("third");
    wait_for_shares(&table.0, &[2, 3, 3]).await;
    second.crash().await;
    let took = wait_for_shares(&table.0, &[4, 4]).await;
    assert!(took < F * 2 + Duration::from_secs(1), "{took:?}");
    first.stop().await.unwrap();
    wait_for_shares(&table.0, &[8]).await;
    third.stop().await.unwrap();
}
