use std::fmt;

use super::counts::Counts;
use super::judge::States;
use super::run::Outcome;
use super::runtime::Stopwatch;

/// What a run of many worlds came to: one line.
#[derive(Debug)]
pub struct Summary {
    began: Stopwatch,
    /// Worlds that were run.
    pub seeds: u64,
    /// Worlds with a violation.
    pub failed: Vec<u64>,
    violations: usize,
    simulated_ms: u64,
    events: u64,
    counts: Counts,
    /// The interesting states that were reached.
    pub states: States,
    /// Of the calm worlds: calls of the lease table, and minutes of all workers.
    calm: (u64, u64),
    workers: Vec<u64>,
    shards: Vec<u64>,
    seconds: Vec<u64>,
}

impl Summary {
    /// Nothing yet.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            began: Stopwatch::start(),
            seeds: 0,
            failed: Vec::new(),
            violations: 0,
            simulated_ms: 0,
            events: 0,
            counts: Counts::default(),
            states: States::default(),
            calm: (0, 0),
            workers: Vec::new(),
            shards: Vec::new(),
            seconds: Vec::new(),
        }
    }

    /// Adds a world.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.violations += outcome.violations.len();
        if !outcome.violations.is_empty() {
            self.failed.push(outcome.world.seed);
        }
        self.simulated_ms += outcome.lasted.0;
        self.events += outcome.events;
        self.counts.merge(&outcome.counts);
        self.states.merge(&outcome.states);
        if outcome.world.calm {
            self.calm.0 += outcome.table_calls;
            self.calm.1 += outcome.lasted.0 / 60_000 * outcome.world.fleet.workers as u64;
        }
        self.workers.push(outcome.world.fleet.workers as u64);
        self.shards.push(u64::from(outcome.world.shards));
        self.seconds.push(outcome.lasted.0 / 1000);
    }

    /// Worlds a second so far, on all threads together.
    #[must_use]
    pub fn pace(&self) -> f64 {
        self.seeds as f64 / self.began.seconds().max(0.001)
    }

    /// The seconds since the beginning.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.seconds()
    }
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {} violations in {} of them, {:.1} simulated fleet hours, median {} workers, {} shards, {} simulated seconds; \
             {} events; {} kinds of fault at least 1000 times: {}; {} of {} interesting states at least 100 times; \
             {:.0} calls of the lease table a minute of a worker in calm worlds; {:.1} seeds/s",
            self.seeds,
            self.violations,
            self.failed.len(),
            self.simulated_ms as f64 / 3_600_000.0,
            median(&self.workers),
            median(&self.shards),
            median(&self.seconds),
            self.events,
            self.counts.reached(1000),
            self.counts,
            self.states.reached(100).1,
            self.states.reached(100).0,
            self.calm.0 as f64 / self.calm.1.max(1) as f64,
            self.pace(),
        )
    }
}
