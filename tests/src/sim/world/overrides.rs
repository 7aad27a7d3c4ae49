use super::{Chaos, FanOut, LinkFaults, World};

/// What is changed in a world after it was drawn: how `shrink` makes a failing world small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Names of what is switched off; see [`Overrides::OFF`].
    pub off: Vec<String>,
    /// Its streams push records.
    pub fan_out: bool,
    /// At most so many workers.
    pub workers: Option<usize>,
    /// At most so many shards.
    pub shards: Option<u32>,
    /// Faults for at most so many seconds.
    pub seconds: Option<u64>,
}

type Switch = (&'static str, fn(&mut World));

impl Overrides {
    /// What can be switched off.
    pub const OFF: [Switch; 49] = [
        ("crash", |w| w.chaos.crash_every_ms = 0),
        ("stop", |w| w.chaos.stop_every_ms = 0),
        ("freeze", |w| w.chaos.freeze_every_ms = 0),
        ("freeze-points", |w| w.chaos.freeze_one_in = 0),
        ("table-cut", |w| w.chaos.table_cut_every_ms = 0),
        ("stream-cut", |w| w.chaos.stream_cut_every_ms = 0),
        ("duplicate", |w| w.chaos.duplicate_every_ms = 0),
        ("chaos", |w| {
            w.chaos = Chaos {
                down_ms: w.chaos.down_ms,
                ..Chaos::none()
            }
        }),
        ("tail", |w| w.table.tail = 0.0),
        ("lost-request", |w| w.table.lost_request = 0.0),
        ("lost-answer", |w| w.table.lost_answer = 0.0),
        ("late", |w| w.table.late = 0.0),
        ("twice", |w| w.table.twice = 0.0),
        ("throttled", |w| w.table.throttled = 0.0),
        ("stale", |w| w.table.stale_ms = 0),
        ("stream-faults", |w| w.stream = LinkFaults::quiet()),
        ("reshard", |w| w.load.reshard_every_ms = 0),
        ("retention", |w| w.load.retention_ms = 0),
        ("listing-lag", |w| w.load.listing_lag_ms = 0),
        ("aggregates", |w| w.load.aggregated = 0.0),
        ("bursts", |w| w.load.burst = 0.0),
        ("slow", |w| w.handlers.slow = 0.0),
        ("hang", |w| w.handlers.hang = 0.0),
        ("fail", |w| w.handlers.fail = 0.0),
        ("panic", |w| w.handlers.panic = 0.0),
        ("skip", |w| w.fleet.skip_failed = false),
        ("drift", |w| w.fleet.drift_ppm = 0),
        ("latest", |w| w.fleet.latest = false),
        ("short-pages", |w| w.stream.short = 0.0),
        ("false-ends", |w| w.stream.false_end = 0.0),
        ("several-streams", |w| w.streams = 1),
        ("table-faults", |w| w.table = LinkFaults::quiet()),
        ("caps", |w| w.fleet.caps.clear()),
        ("failovers", |w| w.fleet.failovers_ms.clear()),
        ("liveness", |w| w.fleet.liveness.clear()),
        ("out-of-reach", |w| w.chaos.out_of_reach_ms = 0),
        ("capacities", |w| w.fleet.capacities.clear()),
        ("malformed", |w| w.chaos.malformed_ms = 0),
        ("pauses", |w| w.chaos.pauses_every_ms = 0),
        ("seeks", |w| w.chaos.seeks_every_ms = 0),
        ("moves", |w| w.chaos.moves_every_ms = 0),
        ("drains", |w| w.chaos.drains_every_ms = 0),
        ("replaced", |w| w.chaos.replaced_ms = 0),
        ("stream-changes", |w| w.chaos.streams_every_ms = 0),
        ("consumer", |w| {
            w.fan_out
                .iter_mut()
                .for_each(|fan_out| fan_out.removed_every_ms = 0);
        }),
        ("mixed", |w| {
            w.fan_out
                .iter_mut()
                .for_each(|fan_out| fan_out.mixed = false);
        }),
        ("unnamed", |w| {
            w.fan_out
                .iter_mut()
                .for_each(|fan_out| fan_out.unnamed = 0.0);
        }),
        ("endless", |w| {
            w.fan_out
                .iter_mut()
                .for_each(|fan_out| fan_out.endless = false);
        }),
        ("subscription-faults", |w| {
            w.fan_out = w.fan_out.as_ref().map(FanOut::healed);
        }),
    ];

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn apply(&self, world: &mut World) {
        if self.fan_out {
            world.fan_out = Some(FanOut::draw(world.seed));
        }
        for (_, switch) in Self::OFF
            .iter()
            .filter(|(name, _)| self.off.iter().any(|off| off == name))
        {
            switch(world);
        }
        if let Some(workers) = self.workers {
            world.fleet.workers = world.fleet.workers.min(workers).max(1);
        }
        if let Some(shards) = self.shards {
            world.shards = world.shards.min(shards).max(1);
            world.streams = world.streams.min(world.shards as usize);
        }
        if let Some(seconds) = self.seconds {
            world.faults_ms = world.faults_ms.min(seconds * 1000);
        }
    }

    /// The options of the command that bring them back.
    #[must_use]
    pub fn arguments(&self) -> String {
        let mut text = String::new();
        if self.fan_out {
            text.push_str(" --mode fan-out");
        }
        if !self.off.is_empty() {
            text.push_str(&format!(" --off {}", self.off.join(",")));
        }
        let numbers = [
            ("workers", self.workers.map(|workers| workers as u64)),
            ("shards", self.shards.map(u64::from)),
            ("seconds", self.seconds),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                text.push_str(&format!(" --{name} {value}"));
            }
        }
        text
    }
}
