//! A fleet on a table that a KCL before 3.5 made: no row of a worker and no signal, leases alone.

use std::time::Duration;

use kcl_dynamo::Coexistence;
use serde_json::json;

use crate::support::{FAILOVER, Fleet, Running};

fn balanced(fleet: &Fleet, ids: &[&str], each: usize) -> bool {
    ids.iter().all(|id| fleet.held_by(id) == each)
}

#[tokio::test(start_paused = true)]
async fn it_shares_the_leases_and_takes_over_and_writes_nothing_else() {
    let fleet = Fleet::new(9);
    fleet.old_leases(&json!({}));
    let mut workers: Vec<Running> = vec![fleet.start("rust-0")];
    fleet
        .until("one holds all", Duration::from_secs(10), || {
            balanced(&fleet, &["rust-0"], 9)
        })
        .await;
    workers.push(fleet.start("rust-1"));
    workers.push(fleet.start("rust-2"));
    let ids = ["rust-0", "rust-1", "rust-2"];
    let took = fleet
        .until("a balance", Duration::from_secs(120), || {
            balanced(&fleet, &ids, 3)
        })
        .await;
    println!("balance after {took:?}");
    fleet.pass(Duration::from_secs(60)).await;
    assert!(balanced(&fleet, &ids, 3), "it stays: {:?}", fleet.owners());

    workers.remove(2).kill();
    let took = fleet
        .until_held_by("the leases of one that was killed", &workers)
        .await;
    println!("after a kill: {took:?}");
    assert!(took <= FAILOVER + Duration::from_secs(3), "{took:?}");

    workers.remove(1).stop().await;
    let all = || balanced(&fleet, &["rust-0"], 9);
    let took = fleet
        .until(
            "the leases of one that stopped",
            Duration::from_secs(60),
            all,
        )
        .await;
    println!("after a stop in good order: {took:?}");
    assert!(took <= Duration::from_secs(3), "{took:?}");

    let rows = fleet
        .dynamo
        .ask("Scan", json!({ "TableName": "application" }));
    assert!(
        rows["Items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["checkpoint"].is_object()),
        "{rows}"
    );
    assert_eq!(fleet.coexistences(), [Coexistence::LeasesOnly; 3]);
}
