use std::ops::Range;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tests::model::ModelBounds;
use tests::sim::{Mutant, Overrides};

/// Runs the real worker in simulated worlds, each drawn from a seed, and judges what happens.
///
/// `docs/reliability.md` says what a world is, what is judged, and what was shown. Each command
/// exits with 0 if everything held, with 1 if something did not, and with 2 if it was called
/// wrongly.
#[derive(Parser)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Runs the worlds of these seeds. Shows how far it is every 5 s, prints each world that fails
    /// with the command that replays it, and ends with one line.
    Run {
        /// For example `0..1000`.
        #[arg(value_parser = seeds)]
        seeds: Range<u64>,
        #[arg(long, default_value_t = threads())]
        threads: usize,
        /// Stop after so many worlds with a violation.
        #[arg(long, default_value_t = 20)]
        failures: usize,
        /// Begin no further world after so many seconds.
        #[arg(long)]
        within: Option<f64>,
        /// Print how often each interesting state was reached.
        #[arg(long)]
        states: bool,
        #[command(flatten)]
        changes: Changes,
    },
    /// Runs one world and prints its history.
    Replay {
        seed: u64,
        /// Print no history, only what the world is and what was found.
        #[arg(long)]
        quiet: bool,
        /// Only lines with one of these texts.
        #[arg(long)]
        grep: Vec<String>,
        /// Build this defect in.
        #[arg(long, value_parser = mutant)]
        mutant: Option<Mutant>,
        #[command(flatten)]
        changes: Changes,
    },
    /// Runs each world twice, the second time in another process: both histories must be equal,
    /// byte by byte.
    Meta {
        #[arg(value_parser = seeds)]
        seeds: Range<u64>,
        /// Prints a number for each history.
        #[arg(long, hide = true)]
        numbers: bool,
    },
    /// Builds each defect in, and runs the world that found it last, then others until one fails: every
    /// one must be found, and some of them by the invariant that is for them.
    Mutants {
        /// Only these.
        #[arg(value_parser = mutant)]
        only: Vec<Mutant>,
        /// As many worlds are tried for each.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        #[arg(long, default_value_t = threads())]
        threads: usize,
    },
    /// Makes a failing world small, and prints the command that replays it.
    Shrink {
        seed: u64,
        /// Build this defect in.
        #[arg(long, value_parser = mutant)]
        mutant: Option<Mutant>,
        #[command(flatten)]
        changes: Changes,
    },
    /// Looks through every state of one lease between two workers, and shows that each defect would
    /// be found there.
    Model {
        /// How far the counter of the row may come.
        #[arg(long, default_value_t = ModelBounds::HAND_OVER.counter)]
        counter: u8,
        /// How many tenancies are begun.
        #[arg(long, default_value_t = ModelBounds::HAND_OVER.tenancies)]
        tenancies: u8,
        /// How many writes are under way that nobody waits for.
        #[arg(long, default_value_t = ModelBounds::HAND_OVER.late)]
        late: usize,
        /// How often the lease is asked for.
        #[arg(long, default_value_t = ModelBounds::HAND_OVER.requests)]
        requests: u8,
        /// How many records the shard has.
        #[arg(long, default_value_t = ModelBounds::HAND_OVER.records)]
        records: u8,
    },
    /// Runs every world of `tests/regressions/`.
    Regressions,
    /// Lists the ways in which a protocol of leases can fail, and what shows that this one does
    /// not.
    Schedules,
    /// Prints what a fleet asks of DynamoDB in an hour with a reshard, a join and a kill, with each
    /// `liveness`.
    Bill {
        #[arg(long, default_value_t = 64)]
        leases: u32,
        #[arg(long, default_value_t = 8)]
        workers: usize,
        /// In seconds.
        #[arg(long, default_value_t = 10)]
        failover: u64,
    },
    /// Prints how soon a fleet settles after a start, a join, a kill and a restart of all its workers, a
    /// tenth of them at a time, and what it asks of DynamoDB then. Fails if a step takes longer than a
    /// minute, if a lease is lost that was not broken, or if a promise is.
    Settle {
        #[arg(long, default_value_t = 1000)]
        leases: u32,
        #[arg(long, default_value_t = 50)]
        workers: usize,
        /// In seconds.
        #[arg(long, default_value_t = 10)]
        failover: u64,
    },
    /// Runs one long world of steady load: no lease may move.
    Calm {
        #[arg(long, default_value_t = 0)]
        seed: u64,
        #[arg(long, default_value_t = 8)]
        workers: usize,
        #[arg(long, default_value_t = 512)]
        shards: u32,
        #[arg(long, default_value_t = 24)]
        hours: u64,
        /// In seconds.
        #[arg(long, default_value_t = 10)]
        failover: u64,
    },
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let found = Mutant::ALL
        .iter()
        .find(|mutant| mutant.to_string() == name)
        .copied();
    found.ok_or_else(|| format!("there is no `{name}`: {:?}", Mutant::ALL))
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Polling,
    /// By enhanced fan-out; in some worlds some of them poll.
    FanOut,
}

/// What is changed in the worlds.
#[derive(Args, Clone)]
pub(super) struct Changes {
    /// How the workers read.
    #[arg(long, value_enum, default_value_t = Mode::Polling)]
    mode: Mode,
    /// What is switched off, separated by commas.
    #[arg(long, value_delimiter = ',')]
    off: Vec<String>,
    /// At most so many workers.
    #[arg(long)]
    workers: Option<usize>,
    /// At most so many shards.
    #[arg(long)]
    shards: Option<u32>,
    /// Faults for at most so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
}

impl Changes {
    pub(super) fn overrides(self) -> Overrides {
        let Self {
            mode,
            off,
            workers,
            shards,
            seconds,
        } = self;
        Overrides {
            fan_out: mode == Mode::FanOut,
            off,
            workers,
            shards,
            seconds,
        }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parse = |number: &str| {
        number
            .parse::<u64>()
            .map_err(|error| format!("`{number}`: {error}"))
    };
    match text.split_once("..") {
        Some((from, to)) => Ok(parse(from)?..parse(to)?),
        None => parse(text).map(|seed| seed..seed + 1),
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
