use std::io;

use kcl_core::worker::Liveness;

use crate::sim::runtime::{run_paused, sleep, start};
use crate::sim::state::Sim;
use crate::sim::units::TableUnits;
use crate::sim::world::World;

use super::process::{Processes, join};
use super::{producer, reshards};

/// What a fleet costs in an hour.
#[derive(Clone, Copy, Debug)]
pub struct Bill {
    /// Write units a minute.
    pub writes: f64,
    /// Read units a minute.
    pub reads: f64,
}

/// Dollars for a unit of DynamoDB, on demand, in us-east-1, in November 2026.
const WRITE_PRICE: f64 = 0.625e-6;
const READ_PRICE: f64 = 0.125e-6;
/// Minutes in a day.
const DAY: f64 = 1440.0;
const QUARTER_MS: u64 = 15 * 60_000;
const MINUTES: f64 = 60.0;
/// How long the fleet may take until every worker has its share.
const SETTLE_MS: u64 = 300_000;

impl Bill {
    /// Dollars a day.
    #[must_use]
    pub fn dollars(&self) -> f64 {
        (self.writes * WRITE_PRICE + self.reads * READ_PRICE) * DAY
    }
}

/// The bill of so many workers with so many leases, which share them when the hour begins. A shard is
/// split after a quarter of it, a worker joins after a half, and one is killed after three quarters. A
/// fifth of the shards has no records, the others have one in ten minutes. Nothing goes wrong, and
/// calls take no time.
///
/// # Errors
/// When there is no runtime.
pub fn bill(leases: u32, workers: usize, failover_ms: u64, liveness: Liveness) -> io::Result<Bill> {
    let mut world = World::in_dynamodb(workers, leases, failover_ms);
    world.fleet.liveness = vec![liveness; workers + 1];
    let units = run_paused(0, async {
        let sim = Sim::new(world, None, false);
        sim.state().judged = false;
        an_hour(&sim).await
    })?;
    Ok(Bill {
        writes: f64::from(units.writes) / MINUTES,
        reads: units.reads / MINUTES,
    })
}

async fn an_hour(sim: &Sim) -> TableUnits {
    let (processes, workers) = (Processes::default(), sim.world().fleet.workers);
    reshards::open_first(sim);
    for slot in 0..workers {
        join(sim, &processes, slot);
    }
    start(producer::produce(sim.clone()));
    sleep(SETTLE_MS).await;
    sim.state().units = TableUnits::default();
    sleep(QUARTER_MS).await;
    {
        let (now, mut state) = (sim.now(), sim.state());
        if let Some(shard) = state.stream.open_shards().first().copied() {
            reshards::split(&mut state, shard, now, true);
        }
    }
    sleep(QUARTER_MS).await;
    join(sim, &processes, workers);
    sleep(QUARTER_MS).await;
    processes.kill_first();
    sleep(QUARTER_MS).await;
    sim.state().units
}
