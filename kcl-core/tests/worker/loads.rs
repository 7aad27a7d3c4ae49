//! What shards carry and what workers can, as the rows show it.
#![expect(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::Duration;

use kcl_core::lease::{Consistency, LeaseTable};
use kcl_core::model::{Capacity, Throughput};
use kcl_core::worker::{Balance, Builder};

use super::fleet::{FleetWorld, rows, wait_for, wait_for_shares};
use crate::support::{Fleet, Script};

/// A second and a half is the failover time: the rates are those of the last seconds.
#[tokio::test]
async fn an_owner_stores_what_its_shards_carry() {
    let mut world = FleetWorld::new(2);
    let first = world.worker("first");
    wait_for_shares(&world.table, &[2]).await;
    let mut loads: Vec<Option<Throughput>> = Vec::new();
    wait_for("a rate of each shard", async || {
        world.put(20);
        tokio::time::sleep(Duration::from_millis(100)).await;
        loads = rows(&world.table)
            .await
            .iter()
            .map(|row| row.throughput)
            .collect();
        loads.iter().all(Option::is_some)
    })
    .await;
    // 200 records a second, of some three bytes each, over both shards.
    let both: u64 = loads.iter().flatten().map(|load| load.records).sum();
    assert!((50..=220).contains(&both), "{loads:?}");
    assert!(
        loads.iter().flatten().all(|load| load.bytes > load.records),
        "{loads:?}"
    );
    drop(first);
}

#[tokio::test]
async fn a_worker_declares_its_capacity_unless_it_balances_by_count() {
    type Change = fn(Builder) -> Builder;
    let cores = std::thread::available_parallelism().unwrap().get();
    let cases: [(Change, Option<Capacity>); 3] = [
        (|builder| builder, Some(Capacity::of_cores(cores))),
        (
            |builder| builder.capacity(2.5),
            Some(Capacity::of_thousandths(2500)),
        ),
        (
            |builder| builder.capacity(2.5).balance(Balance::Count),
            None,
        ),
    ];
    for (change, expected) in cases {
        let world = FleetWorld::new(1);
        let run = Fleet::new(&world.stream, &world.table)
            .with(change)
            .start(Script::default());
        wait_for_shares(&world.table, &[1]).await;
        let found = world
            .table
            .scan(None, Consistency::Strong)
            .await
            .unwrap()
            .workers;
        assert_eq!(found[0].capacity, expected);
        drop(run);
    }
}
