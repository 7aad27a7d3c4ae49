//! Calls that are refused, lost or late under a whole worker: no lease is lost by them and no
//! record.

use std::time::Duration;

use kcl_core::worker::Event;

use crate::support::{Fault, Fleet, Running};

fn lost(running: &Running) -> usize {
    running.count(|event| matches!(event, Event::LeaseLost { .. }))
}

/// Writes that are lost late or refused cost no lease and no record.
#[tokio::test(start_paused = true)]
async fn lost_late_or_refused_writes_cost_no_lease_and_no_record() {
    let fleet = Fleet::new(8);
    let worker = fleet.start("rust-0");
    fleet
        .until("all leases", Duration::from_secs(30), || {
            fleet.held_by("rust-0") == 8
        })
        .await;
    let shards = fleet.stream.open_shards();
    fleet.dynamo.every_third(
        "UpdateItem",
        vec![
            Fault::AnswerLost,
            Fault::Refused(400, "ProvisionedThroughputExceededException", "slow down"),
            Fault::DoneLate(Duration::from_millis(2500)),
            Fault::Dropped,
            Fault::Refused(500, "InternalServerError", "sorry"),
        ],
    );
    let mut expected = 0;
    for round in 0..60 {
        for shard in &shards {
            fleet
                .stream
                .put_to(shard, "key", format!("{round} {shard}"))
                .unwrap();
            expected += 1;
        }
        fleet.pass(Duration::from_secs(1)).await;
    }
    let failed = fleet
        .dynamo
        .take_calls()
        .iter()
        .filter(|call| call.status != 200)
        .count();
    assert!(failed > 50, "{failed} calls went wrong");
    fleet.pass(Duration::from_secs(5)).await;
    assert_eq!(lost(&worker), 0, "{:?}", worker.events.lock().unwrap());
    assert_eq!(fleet.seen.lock().unwrap().len(), expected);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_table_that_throttles_everything_for_a_while_costs_no_lease() {
    let fleet = Fleet::new(8);
    let worker = fleet.start("rust-0");
    fleet
        .until("all leases", Duration::from_secs(30), || {
            fleet.held_by("rust-0") == 8
        })
        .await;
    fleet.pass(Duration::from_secs(5)).await;
    for operation in ["UpdateItem", "GetItem", "Scan"] {
        fleet.dynamo.always(
            operation,
            400,
            "ProvisionedThroughputExceededException",
            "slow down",
        );
    }
    // Within what is left of a lease that was renewed up to F/3 ago.
    fleet.pass(Duration::from_secs(4)).await;
    fleet.dynamo.end_always();
    fleet.pass(Duration::from_secs(20)).await;
    assert_eq!(lost(&worker), 0, "{:?}", worker.events.lock().unwrap());
    worker.stop().await;
}
