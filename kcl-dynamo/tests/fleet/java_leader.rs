//! Beside a KCL 3.x that leads or may come to lead: the schedules S40 to S42 of the lease protocol.

use crate::support::{Fleet, Java, Kcl, Running};
use kcl_core::worker::{Event, Liveness};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use super::beside_java::{MINUTE, compatible, metrics, moves_in, s, shared, shares};

/// A KCL in 2x mode never finds the fleet ready for 3x while we hold a lease.
#[tokio::test(start_paused = true)]
async fn s40_a_kcl_in_2x_mode_never_finds_our_fleet_ready_for_3x() {
    let fleet = Fleet::new(4);
    fleet.old_leases(&json!({ "leaseOwner": s("java"), "entityType": s("LEASE") }));
    fleet.put(&compatible());
    fleet.put(&metrics(&fleet, "java"));
    let java = Java::start(
        &fleet.dynamo,
        "java",
        Kcl::V3Compatible,
        Duration::from_secs(1),
    );
    let rust = fleet.start("rust");
    shared(&fleet, 3 * MINUTE, &[("java", 2), ("rust", 2)]).await;
    // Its rule asks for 10 minutes in which every owner has metrics.
    for _ in 0..24 {
        fleet.pass(Duration::from_secs(30)).await;
        fleet.put(&metrics(&fleet, "java"));
        let rows = fleet.rows();
        let has_metrics = |owner: &Value| {
            rows.iter().any(|row| {
                row["leaseKey"] == *owner && row["entityType"] == s("WORKER_METRIC_STATS")
            })
        };
        assert!(
            !fleet
                .leases()
                .iter()
                .all(|lease| has_metrics(&lease["leaseOwner"])),
            "{rows:?}"
        );
    }
    java.stop();
    rust.stop().await;
}

/// A fleet that stopped in good order leaves a leader of the KCL no worker to give leases to.
#[tokio::test(start_paused = true)]
async fn s41_a_stopped_fleet_leaves_a_kcl_leader_no_worker() {
    let fleet = Fleet::new(4);
    let workers = [fleet.start("rust-1"), fleet.start("rust-2")];
    shared(&fleet, MINUTE, &[("rust-1", 2), ("rust-2", 2)]).await;
    let kinds = || {
        fleet
            .rows()
            .iter()
            .filter(|row| row["entityType"] == s("WORKER_METRIC_STATS"))
            .count()
    };
    assert_eq!(kinds(), 2);
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(kinds(), 0, "{:?}", fleet.rows());
    assert!(fleet.leases().iter().all(|row| row["leaseOwner"].is_null()));
}

/// When a KCL comes back in 3x mode we keep what we have and take nothing and say so.
#[tokio::test(start_paused = true)]
async fn s42_a_kcl_back_in_3x_mode_stops_us_from_taking_leases() {
    let fleet = Fleet::new(4);
    let leader = |version: &str| json!({ "leaseKey": s("Leader"), "entityType": s("LEADER"), "recordVersionNumber": s(version) });
    let (rust, other) = (fleet.start("rust"), fleet.start("other"));
    shared(&fleet, MINUTE, &[("rust", 2), ("other", 2)]).await;
    let said =
        |worker: &Running| worker.count(|event| matches!(event, Event::LeasesLedByOthers { .. }));
    fleet.put(&leader("a"));
    fleet.pass(Duration::from_secs(40)).await;
    assert_eq!(
        (said(&rust), said(&other)),
        (0, 0),
        "a row that stands still is nobody's"
    );
    fleet.put(&leader("b"));
    fleet
        .until("both to say so", MINUTE, || {
            (said(&rust), said(&other)) == (1, 1)
        })
        .await;
    let no_workers = || {
        fleet
            .rows()
            .iter()
            .all(|row| row["rsIncarnation"].is_null() && row["leaseKey"] != s("~fleet-0"))
    };
    fleet
        .until("our rows to go", Duration::from_secs(10), no_workers)
        .await;
    assert_eq!(moves_in(&fleet, MINUTE).await, 0, "what is held is kept");
    // What is freed is the leader's to give.
    other.stop().await;
    fleet.pass(MINUTE).await;
    assert_eq!(
        shares(&fleet),
        BTreeMap::from([("rust".to_owned(), 2), (String::new(), 2)])
    );
    let busy = rust.count(|event| {
        matches!(
            event,
            Event::StepFailed { .. } | Event::LeasesLeftUnread { .. }
        )
    });
    assert_eq!(
        busy,
        0,
        "nothing is tried: {:?}",
        rust.events.lock().unwrap()
    );
    // It obeys the leader's hand-overs.
    fleet.put(&metrics(&fleet, "java"));
    let mut row = fleet
        .leases()
        .into_iter()
        .find(|row| row["leaseOwner"] == s("rust"))
        .unwrap();
    let lease = row["leaseKey"].clone();
    row["leaseOwner"] = s("java");
    row["checkpointOwner"] = s("rust");
    fleet.put(&row);
    let handed = || {
        let row = fleet
            .leases()
            .into_iter()
            .find(|row| row["leaseKey"] == lease)
            .unwrap();
        row["checkpointOwner"].is_null() && row["leaseOwner"] == s("java")
    };
    fleet
        .until("the hand-over", Duration::from_secs(20), handed)
        .await;
    rust.stop().await;
}

/// A worker that is alone and looks seldom knows a leader within seconds.
#[tokio::test(start_paused = true)]
async fn s42_a_lone_worker_knows_a_leader_within_seconds() {
    knows_a_leader(Liveness::Auto, 13).await;
    // It reads the leader's row between its scans.
    knows_a_leader(Liveness::Kcl, 3).await;
}

async fn knows_a_leader(liveness: Liveness, scans_a_minute: usize) {
    let fleet = Fleet::new(4);
    let rust = fleet.start_with("rust", liveness);
    shared(&fleet, MINUTE, &[("rust", 4)]).await;
    fleet.pass(2 * MINUTE).await;
    fleet.dynamo.take_calls();
    fleet.pass(MINUTE).await;
    let scans = fleet
        .dynamo
        .take_calls()
        .iter()
        .filter(|call| call.operation == "Scan")
        .count();
    assert!(scans <= scans_a_minute, "it looks seldom: {scans}");
    // As a KCL 3.5 does at its start: the version, the leader, and a little later its metrics.
    fleet.put(
        &json!({ "leaseKey": s("Migration3.0"), "entityType": s("CLIENT_VERSION_MIGRATION"), "cv": s("CLIENT_VERSION_3X") }),
    );
    fleet.put(&json!({ "leaseKey": s("Leader"), "entityType": s("LEADER"), "recordVersionNumber": s("a") }));
    fleet.pass(Duration::from_secs(2)).await;
    fleet.put(&metrics(&fleet, "java"));
    let says = || rust.count(|event| matches!(event, Event::LeasesLedByOthers { .. })) == 1;
    let took = fleet.until("it to say so", MINUTE, says).await;
    println!("said after {took:?}");
    assert!(took <= Duration::from_secs(8), "{took:?}");
    rust.stop().await;
}
