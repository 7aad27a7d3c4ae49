//! A KCL starts on the table of workers whose heartbeats hold their leases: to it, a lease whose
//! counter stands still is expired. S44 of the lease protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::worker::Liveness;
use serde_json::{Value, json};

use crate::support::{Fleet, Java, Kcl, Running};

use super::beside_java::{MINUTE, compatible, lost, metrics, s, shared};

/// The counter of each lease.
fn counters(fleet: &Fleet) -> BTreeMap<String, u64> {
    let counter = |row: &Value| row["leaseCounter"]["N"].as_str().unwrap().parse().unwrap();
    let leases = fleet.leases().into_iter();
    leases
        .map(|row| {
            (
                row["leaseKey"]["S"].as_str().unwrap().to_owned(),
                counter(&row),
            )
        })
        .collect()
}

/// Waits until every counter has moved `by` more; how long it took.
async fn all_move(fleet: &Fleet, by: u64) -> Duration {
    let before = counters(fleet);
    fleet
        .until("all counters to move", Duration::from_secs(30), || {
            let now = counters(fleet);
            before.iter().all(|(key, counter)| now[key] >= counter + by)
        })
        .await
}

/// A fleet that has been idle for minutes, so that no counter moves.
async fn idle(liveness: Liveness, workers: usize, leases: u32) -> (Fleet, Vec<Running>) {
    let fleet = Fleet::new(leases);
    let ids: Vec<String> = (0..workers)
        .map(|number| format!("rust-{number}"))
        .collect();
    let running = ids
        .iter()
        .map(|id| fleet.start_with(id, liveness))
        .collect();
    fleet
        .until("a balance", 2 * MINUTE, || {
            let each = leases as usize / workers;
            ids.iter().all(|id| fleet.held_by(id) == each)
        })
        .await;
    fleet.pass(3 * MINUTE).await;
    let before = counters(&fleet);
    fleet.pass(MINUTE).await;
    let stands_still = liveness != Liveness::Compatible;
    assert_eq!(counters(&fleet) == before, stands_still);
    (fleet, running)
}

/// The fewest leases that the only worker holds in this time.
async fn fewest_of_ours(fleet: &Fleet, span: Duration) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..span.as_millis() / 250 {
        fleet.pass(Duration::from_millis(250)).await;
        fewest = fewest.min(fleet.held_by("rust-0"));
    }
    fewest
}

/// A KCL 3.5 in 2.x mode, whose first look for leases follows its row at once.
fn start_in_2x_mode(fleet: &Fleet) -> Java {
    fleet.put(&compatible());
    fleet.put(&metrics(fleet, "java"));
    let soon = Duration::from_millis(100);
    Java::start(&fleet.dynamo, "java", Kcl::V3Compatible, soon)
}

/// One in the first phase of its migration, which writes no row of its own.
fn start_without_a_trace(fleet: &Fleet) -> Java {
    Java::start(&fleet.dynamo, "java", Kcl::V2, Duration::from_millis(100))
}

#[tokio::test(start_paused = true)]
async fn a_kcl_in_2x_mode_that_starts_finds_every_lease_held() {
    for liveness in [Liveness::Auto, Liveness::Compatible] {
        let (fleet, mut ours) = idle(liveness, 1, 8).await;
        let java = start_in_2x_mode(&fleet);
        assert!(
            fewest_of_ours(&fleet, 3 * MINUTE).await >= 4,
            "{liveness:?}"
        );
        let seen = java.seen();
        assert_eq!(seen.holds.len(), 4, "it gets its share: {seen:?}");
        assert!(lost(&ours[0]) <= 4, "a KCL takes what it steals");
        java.stop();
        shared(&fleet, MINUTE, &[("rust-0", 8)]).await;
        ours.remove(0).stop().await;
    }
}

/// What the two settings above prevent.
#[tokio::test(start_paused = true)]
async fn with_fleet_a_kcl_that_starts_takes_every_lease() {
    let (fleet, mut ours) = idle(Liveness::Fleet, 1, 8).await;
    let java = start_without_a_trace(&fleet);
    assert_eq!(fewest_of_ours(&fleet, MINUTE).await, 0);
    java.stop();
    ours.remove(0).stop().await;
}

/// At its first look it steals a lease of who has two, and is known by that before its second.
#[tokio::test(start_paused = true)]
async fn a_kcl_that_shows_nothing_is_known_by_its_first_take() {
    for liveness in [Liveness::Auto, Liveness::Compatible] {
        let (fleet, mut ours) = idle(liveness, 1, 8).await;
        let java = start_without_a_trace(&fleet);
        let fewest = fewest_of_ours(&fleet, 3 * MINUTE).await;
        assert_eq!((fewest, java.seen().holds.len()), (4, 4), "{liveness:?}");
        java.stop();
        ours.remove(0).stop().await;
    }
}

/// Where nobody has two, nothing is known of it before its second look; no record is lost by that.
#[tokio::test(start_paused = true)]
async fn a_kcl_that_shows_nothing_takes_a_lease_that_stands_still() {
    for (liveness, is_taken) in [(Liveness::Auto, true), (Liveness::Compatible, false)] {
        let (fleet, mut ours) = idle(liveness, 1, 1).await;
        let java = start_without_a_trace(&fleet);
        let fewest = fewest_of_ours(&fleet, 3 * MINUTE).await;
        assert_eq!((fewest == 0, lost(&ours[0]) == 1), (is_taken, is_taken));
        for number in 0..40 {
            fleet.stream.put("key", format!("{number}")).unwrap();
        }
        fleet.pass(Duration::from_secs(10)).await;
        java.stop();
        shared(&fleet, MINUTE, &[("rust-0", 1)]).await;
        fleet.pass(Duration::from_secs(5)).await;
        assert_eq!(fleet.seen.lock().unwrap().len(), 40);
        ours.remove(0).stop().await;
    }
}

/// By its second look, 20 s after the first, a leader of the KCL must have seen all counters move.
#[tokio::test(start_paused = true)]
async fn all_counters_move_within_seconds_of_a_kcl_that_leads() {
    // One worker looks each 5 s, and the others hear of it.
    for (workers, limit) in [(1, 6), (8, 7)] {
        let (fleet, ours) = idle(Liveness::Auto, workers, 8).await;
        fleet.put(&json!({ "leaseKey": s("Leader"), "entityType": s("LEADER"), "recordVersionNumber": s("a") }));
        // No metrics that count: the clock of its machine is wrong.
        let took = all_move(&fleet, 1).await;
        println!("{workers} workers: all counters have moved after {took:?}");
        assert!(took <= Duration::from_secs(limit), "{took:?}");
        // By renewals: at least once in a third of the failover time, and a call.
        let took = all_move(&fleet, 3).await;
        assert!(took <= Duration::from_secs(12), "{took:?}");
        // Nobody leads: the row has stood still for a minute.
        fleet.pass(MINUTE + Duration::from_secs(10)).await;
        let before = counters(&fleet);
        fleet.pass(MINUTE).await;
        assert_eq!(counters(&fleet), before, "heartbeats hold them again");
        fleet.put(&json!({ "leaseKey": s("Leader"), "entityType": s("LEADER"), "recordVersionNumber": s("b") }));
        all_move(&fleet, 3).await;
        fleet.pass(2 * MINUTE).await;
        let took = all_move(&fleet, 3).await;
        assert!(
            took <= Duration::from_secs(12),
            "it has led: until a restart they are renewed: {took:?}"
        );
        for worker in ours {
            worker.stop().await;
        }
    }
}
