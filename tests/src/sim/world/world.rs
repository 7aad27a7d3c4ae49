use std::fmt;

use kcl_core::worker::Liveness;

use crate::sim::dice::Dice;

use super::{Chaos, FanOut, Handlers, LinkFaults, Overrides, SimLoad, differences};

/// The workers and their settings.
#[derive(Clone, Debug, PartialEq)]
pub struct SimFleet {
    /// How many workers there are when none is down.
    pub workers: usize,
    /// `failover`, in milliseconds.
    pub failover_ms: u64,
    /// `failover` of each worker where they differ, in milliseconds.
    pub failovers_ms: Vec<u64>,
    /// `max_leases` of each worker where there are bounds.
    pub caps: Vec<usize>,
    /// `liveness` of each worker where they differ.
    pub liveness: Vec<Liveness>,
    /// `max_records`.
    pub max_records: u32,
    /// `calls_per_second`.
    pub calls_per_second: usize,
    /// `idle_ceiling`, in milliseconds.
    pub idle_ms: u64,
    /// `call_limit` of the stream, in milliseconds.
    pub call_limit_ms: u64,
    /// `checkpoint_every`, in milliseconds.
    pub checkpoint_every_ms: u64,
    /// `handler_budget`, in milliseconds.
    pub handler_budget_ms: u64,
    /// `audit_every`, in milliseconds.
    pub audit_every_ms: u64,
    /// How long a shard may be quiet before its processor is told, in milliseconds; 0: it is not.
    pub idle_every_ms: u64,
    /// `capacity` of each worker, by its place; 0 for one that balances by count. Empty: all have 1.
    pub capacities: Vec<u32>,
    /// Whether a failed record is skipped.
    pub skip_failed: bool,
    /// Whether the workers begin at `LATEST`.
    pub latest: bool,
    /// How often the change signal is worth reading, in milliseconds.
    pub beacon_ms: u64,
    /// How much faster or slower a worker's clock may run than the world's, in millionths.
    pub drift_ppm: u64,
}

/// A world: who is in it and what goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// What it was drawn from.
    pub seed: u64,
    /// Streams that each worker reads.
    pub streams: usize,
    /// Shards of all streams at the beginning: one a stream at the least.
    pub shards: u32,
    /// How long the faults go on, in milliseconds.
    pub faults_ms: u64,
    /// No lease may move in the whole of that time, but for its first five minutes.
    pub calm: bool,
    /// The workers.
    pub fleet: SimFleet,
    /// What is put, and what becomes of the shards.
    pub load: SimLoad,
    /// The processors.
    pub handlers: Handlers,
    /// The way to the lease table.
    pub table: LinkFaults,
    /// The way to the stream.
    pub stream: LinkFaults,
    /// How the streams push records, where they are read so.
    pub fan_out: Option<FanOut>,
    /// Processes and networks.
    pub chaos: Chaos,
}

impl SimFleet {
    /// `max_leases` of the worker in this place.
    #[must_use]
    pub fn cap_of(&self, slot: usize) -> usize {
        self.caps.get(slot).copied().unwrap_or(usize::MAX)
    }

    /// `liveness` of the worker in this place.
    #[must_use]
    pub fn liveness_of(&self, slot: usize) -> Liveness {
        self.liveness.get(slot).copied().unwrap_or(Liveness::Auto)
    }

    /// `capacity` of the worker in this place. Not the number of cores: that would be another world
    /// on another machine.
    #[must_use]
    pub fn capacity_of(&self, slot: usize) -> u32 {
        self.capacities.get(slot).copied().unwrap_or(1)
    }

    /// `failover` of the worker in this place, in milliseconds.
    #[must_use]
    pub fn failover_of(&self, slot: usize) -> u64 {
        self.failovers_ms
            .get(slot)
            .copied()
            .unwrap_or(self.failover_ms)
    }

    /// The longest `failover` of a worker, in milliseconds.
    #[must_use]
    pub fn longest_failover(&self) -> u64 {
        self.failovers_ms
            .iter()
            .copied()
            .fold(self.failover_ms, u64::max)
    }
}

impl World {
    /// The world of this seed.
    #[must_use]
    pub fn of(seed: u64, overrides: &Overrides) -> Self {
        let mut dice = Dice::new(seed, "world");
        let failover_ms = dice.pick(&[2_000, 3_000, 5_000, 10_000, 10_000, 15_000, 20_000]);
        let workers = dice.pick(&[1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8]);
        let shards = dice.pick(&[1, 2, 4, 6, 8, 10, 12, 12, 14, 16, 16, 20, 24, 32]);
        let fleet = SimFleet {
            workers,
            failover_ms,
            failovers_ms: Vec::new(),
            caps: Vec::new(),
            liveness: Vec::new(),
            max_records: dice.pick(&[5, 20, 100, 10_000, 10_000]),
            calls_per_second: dice.pick(&[1, 2, 5]),
            idle_ms: dice.pick(&[1_000, 2_000, 5_000, 5_000]),
            call_limit_ms: dice.pick(&[2_000, 10_000, 30_000]),
            checkpoint_every_ms: dice.pick(&[1, 200, 1_000, 5_000]),
            handler_budget_ms: dice.pick(&[10_000, 30_000, 300_000]),
            audit_every_ms: dice.pick(&[2_000, 10_000, 60_000]),
            idle_every_ms: 0,
            capacities: Vec::new(),
            skip_failed: dice.chance(0.2),
            latest: dice.chance(0.15),
            beacon_ms: dice.pick(&[200, 500]),
            drift_ppm: if dice.chance(0.5) {
                dice.log(100.0, 30_000.0) as u64
            } else {
                0
            },
        };
        let faults_ms = dice.log(90_000.0, 300_000.0) as u64;
        let table = LinkFaults::draw(&mut dice, failover_ms * 18 / 100, failover_ms);
        let stream = LinkFaults::draw(&mut dice, fleet.call_limit_ms, failover_ms);
        let chaos = Chaos::draw(&mut dice, failover_ms);
        let handlers = Handlers::draw(&mut dice, failover_ms);
        let load = SimLoad::draw(&mut dice);
        if seed % CALM_EVERY == CALM_EVERY - 1 {
            let mut world = Self::calm(seed, workers.min(4), shards.min(16), 4, 60_000);
            overrides.apply(&mut world);
            return world;
        }
        let mut several = Dice::new(seed, "streams");
        let streams = if several.chance(0.25) {
            several.range(2, 3).min(u64::from(shards)) as usize
        } else {
            1
        };
        let calm = false;
        let mut world = Self {
            seed,
            streams,
            shards,
            faults_ms,
            calm,
            fleet,
            load,
            handlers,
            table,
            stream,
            fan_out: None,
            chaos,
        };
        differences::draw(&mut world);
        overrides.apply(&mut world);
        world
    }
}

/// One world of so many is a calm one.
const CALM_EVERY: u64 = 20;

impl World {
    /// A steady load for so many hours, on a table that is slow now and then, loses one answer in a
    /// hundred and throttles as many calls, with clocks that are off by up to one part in a
    /// hundred: nothing may move.
    #[must_use]
    pub fn calm(seed: u64, workers: usize, shards: u32, hours: u64, failover_ms: u64) -> Self {
        let fleet = SimFleet {
            workers,
            failover_ms,
            failovers_ms: Vec::new(),
            caps: Vec::new(),
            liveness: Vec::new(),
            max_records: 10_000,
            calls_per_second: 5,
            idle_ms: 60_000,
            call_limit_ms: 30_000,
            checkpoint_every_ms: 5_000,
            handler_budget_ms: 300_000,
            audit_every_ms: 60_000,
            idle_every_ms: 0,
            capacities: Vec::new(),
            skip_failed: false,
            latest: false,
            beacon_ms: (failover_ms / 12).max(500),
            drift_ppm: 10_000,
        };
        let table = LinkFaults {
            base_ms: 5,
            tail: 0.05,
            tail_ms: failover_ms * 15 / 100,
            lost_answer: 0.01,
            throttled: 0.01,
            stale_ms: 500,
            ..LinkFaults::quiet()
        };
        let load = SimLoad {
            every_ms: 600_000,
            quiet: 0.2,
            burst: 0.0,
            aggregated: 0.1,
            reshard_every_ms: 0,
            retention_ms: 0,
            listing_lag_ms: 0,
            shards_a_page: 1000,
        };
        let handlers = Handlers::calm();
        let stream = LinkFaults::quiet();
        let faults_ms = hours * 3_600_000;
        let chaos = Chaos::none();
        Self {
            seed,
            streams: 1,
            shards,
            faults_ms,
            calm: true,
            fleet,
            load,
            handlers,
            table,
            stream,
            fan_out: None,
            chaos,
        }
    }
}

impl World {
    /// Two workers that are killed and stopped now and then, and a shard that an operator pauses for so
    /// many hours, and an hour besides.
    #[must_use]
    pub fn long_pause(seed: u64, hours: u64) -> Self {
        let mut world = Self::calm(seed, 2, 4, hours + 1, 60_000);
        world.calm = false;
        // A day has many seconds, and a pause is seen with a scan as well.
        world.fleet.beacon_ms = 30_000;
        world.chaos = Chaos {
            long_pause_ms: hours * 3_600_000,
            crash_every_ms: 7_200_000,
            stop_every_ms: 7_200_000,
            down_ms: 120_000,
            ..Chaos::none()
        };
        world
    }

    /// A quiet world of steady load in which what the lease table would cost in DynamoDB is counted.
    #[must_use]
    pub fn in_dynamodb(workers: usize, shards: u32, failover_ms: u64) -> Self {
        let mut world = Self::calm(0, workers, shards, 1, failover_ms).quiet();
        world.fleet.beacon_ms = 650;
        world
    }

    /// The same world without any fault.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        (self.table, self.stream) = (LinkFaults::quiet(), LinkFaults::quiet());
        self.fleet.drift_ppm = 0;
        self
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}world {}: {} shards in {} streams, faults for {} s",
            if self.calm { "calm " } else { "" },
            self.seed,
            self.shards,
            self.streams,
            self.faults_ms / 1000
        )?;
        writeln!(f, "  {:?}", self.fleet)?;
        writeln!(f, "  {:?}", self.load)?;
        writeln!(f, "  {:?}", self.handlers)?;
        writeln!(f, "  table {:?}", self.table)?;
        writeln!(f, "  stream {:?}", self.stream)?;
        if let Some(fan_out) = &self.fan_out {
            writeln!(f, "  {fan_out:?}")?;
        }
        write!(f, "  {:?}", self.chaos)
    }
}
