//! The cost model of the crate's docs, held by counting what the emulator charges.

use std::time::Duration;

use kcl_core::worker::Liveness;

use crate::support::{Call, FAILOVER, Fleet, Running};

/// What a minute cost.
#[derive(Debug)]
struct Cost {
    read_units: f64,
    write_units: f64,
    renewals: usize,
    checkpoints: usize,
    other_writes: usize,
    /// Readings of the change signal.
    signals: usize,
    /// Looks at all rows.
    looks: usize,
    /// The units of the cheapest look: one that is not consistent.
    a_look: f64,
}

fn cost(calls: &[Call]) -> Cost {
    let is_read = |call: &&Call| ["GetItem", "Scan"].contains(&call.operation.as_str());
    let units = |reads: bool| {
        calls
            .iter()
            .filter(|call| is_read(call) == reads)
            .map(|call| call.units)
            .sum()
    };
    let update = |call: &Call| {
        call.body["UpdateExpression"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let leases: Vec<&Call> = calls
        .iter()
        .filter(|call| update(call).contains("#leaseCounter"))
        .collect();
    let checkpoints = leases
        .iter()
        .filter(|call| update(call).contains("#checkpoint ="))
        .count();
    let renewals = leases
        .iter()
        .filter(|call| update(call) == "SET #leaseCounter = #leaseCounter + :0")
        .count();
    let writes = calls.iter().filter(|call| !is_read(call)).count();
    assert!(
        calls.iter().all(|call| call.units > 0.0),
        "a call without a price"
    );
    let looks: Vec<&Call> = calls
        .iter()
        .filter(|call| call.operation == "Scan")
        .collect();
    let is_signal = |call: &&Call| {
        call.operation == "GetItem" && call.body["Key"]["leaseKey"]["S"] == "~fleet-0"
    };
    Cost {
        signals: calls.iter().filter(is_signal).count(),
        looks: looks.len(),
        a_look: looks
            .iter()
            .map(|call| call.units)
            .fold(f64::INFINITY, f64::min),
        read_units: units(true),
        write_units: units(false),
        renewals,
        checkpoints,
        other_writes: writes - renewals - checkpoints,
    }
}

async fn a_minute(fleet: &Fleet) -> Cost {
    fleet.dynamo.take_calls();
    fleet.pass(Duration::from_secs(60)).await;
    let cost = cost(&fleet.dynamo.take_calls());
    println!("{cost:?}");
    cost
}

/// Within 10 percent of what the docs say.
#[track_caller]
fn assert_near(what: &str, found: usize, said: usize) {
    assert!(
        found.abs_diff(said) * 10 <= said,
        "{what}: {found} and not {said}"
    );
}

async fn balanced(fleet: &Fleet, workers: &[Running], each: usize) -> Duration {
    let ids: Vec<String> = workers
        .iter()
        .map(|running| running.worker.id().to_string())
        .collect();
    fleet
        .until("a balance", Duration::from_secs(120), || {
            ids.iter().all(|id| fleet.held_by(id) == each)
        })
        .await
}

/// A minute of one worker with 64 idle leases.
async fn lone(liveness: Liveness) -> Cost {
    let fleet = Fleet::new(64);
    let workers = [fleet.start_with("rust-0", liveness)];
    let took = balanced(&fleet, &workers, 64).await;
    println!("cold start on a table that had to be made: {took:?}");
    assert!(took <= Duration::from_secs(2), "{took:?}");
    fleet.pass(Duration::from_secs(20)).await;
    let cost = a_minute(&fleet).await;
    assert_near("readings of the signal", cost.signals, 92);
    assert_eq!(cost.checkpoints, 0);
    // The rest are the heartbeats of the worker: 18 a minute.
    assert!((17..=20).contains(&cost.other_writes), "{cost:?}");
    cost
}

#[tokio::test(start_paused = true)]
async fn one_worker_with_64_idle_leases_costs_what_the_docs_say() {
    let cost = lone(Liveness::default()).await;
    assert_eq!(cost.renewals, 0, "{cost:?}");
    assert!(cost.write_units <= 20.0, "{cost:?}");
    // The docs, a minute: 46 for the signal, and 12 looks of 4, one of them consistent and so of 8.
    assert!(cost.read_units <= 106.0, "{cost:?}");
    assert_near("looks", cost.looks, 12);
}

#[tokio::test(start_paused = true)]
async fn renewals_and_bumps_cost_what_the_docs_say() {
    for (liveness, renewals) in [
        // The docs: 1,080 an hour each.
        (Liveness::Kcl, 64 * 18),
        // And 514.
        (Liveness::Compatible, 64 * 514 / 60),
    ] {
        let cost = lone(liveness).await;
        assert_near("renewals", cost.renewals, renewals);
        // The docs, a minute: 46 for the signal, a look of 4, a consistent one of 8, and 6 for the rows
        // of a KCL.
        assert!(
            cost.read_units <= 66.0,
            "alone, all but the signal is looked at seldom: {cost:?}"
        );
        assert_eq!(
            cost.looks, 2,
            "one that is due and the comparison with the shards: {cost:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn leases_that_are_checkpointed_are_not_renewed_beside() {
    // The docs: 720 an hour each, and 1,080.
    for (liveness, checkpoints) in [(Liveness::Auto, 64 * 12), (Liveness::Kcl, 64 * 18)] {
        let cost = busy(liveness).await;
        assert_eq!(cost.renewals, 0, "{cost:?}");
        assert_near("checkpoints", cost.checkpoints, checkpoints);
    }
}

/// A minute of one worker with 64 leases whose shards are given a record a second.
async fn busy(liveness: Liveness) -> Cost {
    let fleet = Fleet::new(64);
    let workers = [fleet.start_with("rust-0", liveness)];
    balanced(&fleet, &workers, 64).await;
    let shards = fleet.stream.open_shards();
    let put = async {
        for number in 0.. {
            for shard in &shards {
                fleet
                    .stream
                    .put_to(shard, "key", format!("{number}"))
                    .unwrap();
            }
            fleet.pass(Duration::from_secs(1)).await;
        }
    };
    let measure = async {
        fleet.pass(Duration::from_secs(20)).await;
        a_minute(&fleet).await
    };
    tokio::select! {
        biased;
        () = put => unreachable!(),
        cost = measure => cost,
    }
}

/// Eight workers with 64 idle leases are frugal and quick in the same run.
#[tokio::test(start_paused = true)]
async fn eight_workers_with_64_idle_leases_are_frugal_and_quick() {
    let fleet = Fleet::new(64);
    let mut workers: Vec<Running> = (0..8)
        .map(|number| fleet.start(&format!("rust-{number}")))
        .collect();
    balanced(&fleet, &workers, 8).await;
    fleet.pass(Duration::from_secs(30)).await;
    let cost = a_minute(&fleet).await;
    assert!(cost.read_units <= 600.0, "{cost:?}");
    assert_eq!(cost.renewals, 0, "{cost:?}");
    assert_near("heartbeats", cost.other_writes, 8 * 18);
    assert_near("readings of the signal", cost.signals, 8 * 92);
    // Twelve of one worker and two of each other; one compares the leases with the shards.
    assert!((25..=28).contains(&cost.looks), "{cost:?}");
    let model = f64::from((64 * 410_u32 + 8 * 350).div_ceil(4096)) / 2.0;
    assert!(
        (cost.a_look - model).abs() <= 0.5,
        "a look costs {} and not {model}",
        cost.a_look
    );

    // One stops in good order: its leases are taken within a second.
    workers.remove(7).stop().await;
    let took = fleet
        .until_held_by("the leases of one that stopped", &workers)
        .await;
    println!("after a stop in good order: {took:?}");
    assert!(took <= Duration::from_secs(1), "{took:?}");

    // One is killed: its leases are taken within the failover time and a second.
    fleet.pass(Duration::from_secs(30)).await;
    workers.remove(6).kill();
    let took = fleet
        .until_held_by("the leases of one that was killed", &workers)
        .await;
    println!("after a kill: {took:?}");
    assert!(took <= FAILOVER + Duration::from_secs(1), "{took:?}");
}

/// A dead worker is noticed sooner, and that costs what the table of docs/fleet.md says.
#[tokio::test(start_paused = true)]
async fn shorter_failover_times_cost_what_the_docs_say() {
    for (seconds, heartbeats, reads) in [(3, 480, 960.0), (5, 288, 760.0)] {
        let failover = Duration::from_secs(seconds);
        let fleet = Fleet::new(64);
        let mut workers: Vec<Running> = (0..8)
            .map(|number| fleet.start_with_failover(&format!("rust-{number}"), failover))
            .collect();
        balanced(&fleet, &workers, 8).await;
        fleet.pass(Duration::from_secs(30)).await;
        let cost = a_minute(&fleet).await;
        assert_eq!(cost.renewals, 0, "{cost:?}");
        assert_near("heartbeats", cost.other_writes, heartbeats);
        assert!(cost.read_units <= reads, "{cost:?}");
        workers.remove(7).kill();
        let took = fleet
            .until_held_by("the leases of one that was killed", &workers)
            .await;
        println!("after a kill: {took:?}");
        assert!(took <= failover + Duration::from_secs(1), "{took:?}");
    }
}
