//! How soon a large fleet settles, and what that asks of its lease table.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::sim::judge::Violation;
use crate::sim::runtime::{At, run_paused, sleep, start};
use crate::sim::state::Sim;
use crate::sim::units::TableUnits;
use crate::sim::world::World;

use super::process::{Process, Processes, join};
use super::{producer, reshards};

/// A fleet that settled after something had happened.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What had happened.
    pub after: &'static str,
    /// Seconds until all leases were held in equal parts; the longest, if it happened several times.
    pub seconds: f64,
    /// Write units a minute, from its beginning on, for a minute at least.
    pub writes: f64,
    /// Read units a minute, likewise.
    pub reads: f64,
    /// Leases that came to a worker.
    pub moved: usize,
    /// Leases that a worker lost while it lived, and did not give.
    pub broken: usize,
}

/// What a large fleet has shown.
#[derive(Clone, Debug)]
pub struct Settling {
    /// Each step, in order.
    pub steps: Vec<Settled>,
    /// Promises that were not kept.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            after,
            seconds,
            writes,
            reads,
            moved,
            broken,
        } = self;
        write!(
            f,
            "{after:22}  {seconds:7.1} s  {moved:6}  {broken:6}  {writes:10.0}  {reads:14.0}"
        )
    }
}

/// A step is given up after so long.
const PATIENCE_MS: u64 = 300_000;
/// How often it is looked whether the fleet has settled.
const LOOK_MS: u64 = 250;
/// What a step costs is counted for so long.
const MINUTE_MS: u64 = 60_000;
/// A worker that was stopped is started again after so long.
const RESTART_MS: u64 = 2_000;
/// How long a worker may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// A fleet starts, a worker joins, one is killed, and all are restarted, a tenth of them at a time, the next
/// when the fleet has settled. `told` hears of each step as soon as it is over. Calls take no time.
///
/// # Errors
/// When there is no runtime.
pub fn settle(
    leases: u32,
    workers: usize,
    failover_ms: u64,
    mut told: impl FnMut(&Settled),
) -> io::Result<Settling> {
    let world = World::in_dynamodb(workers, leases, failover_ms);
    run_paused(0, async {
        let fleet = SettlingFleet {
            sim: Sim::new(world, None, false),
            processes: Processes::default(),
        };
        let steps = fleet.steps(workers, &mut told).await;
        let violations = fleet.sim.state().judge.violations().to_vec();
        Settling { steps, violations }
    })
}

/// The fleet, as it is acted on.
#[derive(Clone)]
struct SettlingFleet {
    sim: Sim,
    processes: Processes,
}

/// What had been counted when a step began.
struct Before {
    at: At,
    acquisitions: usize,
    units: TableUnits,
}

impl SettlingFleet {
    async fn steps(&self, workers: usize, told: &mut impl FnMut(&Settled)) -> Vec<Settled> {
        let mut steps = Vec::new();
        let mut over = |settled: Settled| {
            told(&settled);
            steps.push(settled);
        };
        reshards::open_first(&self.sim);
        let before = self.before();
        for slot in 0..workers {
            self.join(slot);
        }
        start(producer::produce(self.sim.clone()));
        over(self.settled("the start of all", &before, workers).await);

        let before = self.before();
        self.join(workers);
        over(self.settled("a join", &before, workers + 1).await);

        let before = self.before();
        self.processes.kill_first();
        over(self.settled("a kill", &before, workers).await);

        let before = self.before();
        let restarted = self.restart_all(workers).await;
        let rest = self.settled("a restart of all", &before, workers).await;
        over(Settled {
            seconds: restarted,
            ..rest
        });
        steps
    }

    /// Restarts all, a tenth at a time. Gives how long the slowest tenth took.
    async fn restart_all(&self, workers: usize) -> f64 {
        let all = self.processes.all();
        let mut longest = 0.0_f64;
        for some in all.chunks(workers.div_ceil(10)) {
            let before = self.before();
            let restarts: Vec<_> = some.iter().map(|process| self.restart(process)).collect();
            for restarted in restarts {
                let _ = restarted.await;
            }
            longest = longest.max(self.until_settled(&before, workers).await);
        }
        longest
    }

    /// Stops a worker in good order and starts it again under its name. Gives something when it is
    /// started.
    fn restart(&self, process: &Process) -> oneshot::Receiver<()> {
        let (worker, fleet) = (process.worker.clone(), self.clone());
        let (life, slot) = (process.life.id, process.life.slot);
        start(async move {
            worker.shutdown(STOP).await;
            while fleet.processes.has(life) {
                sleep(LOOK_MS).await;
            }
            sleep(RESTART_MS).await;
            fleet.join(slot);
        })
    }

    fn join(&self, slot: usize) {
        join(&self.sim, &self.processes, slot);
    }

    fn before(&self) -> Before {
        let state = self.sim.state();
        Before {
            at: self.sim.now(),
            acquisitions: state.judge.acquisitions(),
            units: state.units,
        }
    }

    /// Waits until so many workers hold all leases in equal parts. Gives the seconds since then.
    async fn until_settled(&self, before: &Before, workers: usize) -> f64 {
        loop {
            sleep(LOOK_MS).await;
            let now = self.sim.now();
            let state = self.sim.state();
            let uneven = state.judge.unbalanced(workers, &state.stream, &state.table);
            if uneven.is_none() {
                return now.since(before.at) as f64 / 1000.0;
            }
            if now.since(before.at) >= PATIENCE_MS {
                return f64::INFINITY;
            }
        }
    }

    async fn settled(&self, after: &'static str, before: &Before, workers: usize) -> Settled {
        let seconds = self.until_settled(before, workers).await;
        let gone = self.sim.now().since(before.at);
        sleep(MINUTE_MS.saturating_sub(gone)).await;
        let minutes = self.sim.now().since(before.at) as f64 / MINUTE_MS as f64;
        let state = self.sim.state();
        Settled {
            after,
            seconds,
            writes: f64::from(state.units.writes - before.units.writes) / minutes,
            reads: (state.units.reads - before.units.reads) / minutes,
            moved: state.judge.acquisitions() - before.acquisitions,
            broken: state.judge.broken_since(before.at),
        }
    }
}
