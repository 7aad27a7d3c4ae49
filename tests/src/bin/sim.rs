//! The fleet simulator; `--help` names its commands. See `tests::sim` and `docs/reliability.md`.

use std::ops::Range;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tests::model::{Defect, Explored, ModelBounds, check};
use tests::sim::{
    Mutant, Outcome, Overrides, Schedule, Stopwatch, Summary, Wish, World, quiet_panics,
    regressions, run_all, run_world, shrink,
};

/// Runs the real worker in simulated worlds, each drawn from a seed, and judges what happens.
///
/// `docs/reliability.md` says what a world is, what is judged, and what was shown. Each command
/// exits with 0 if everything held, with 1 if something did not, and with 2 if it was called
/// wrongly.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    /// Builds each defect in and runs worlds until one fails: every one must be found.
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
enum Mode {
    Polling,
    /// By enhanced fan-out; in some worlds some of them poll.
    FanOut,
}

/// What is changed in the worlds.
#[derive(Args, Clone)]
struct Changes {
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
    fn overrides(self) -> Overrides {
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

fn main() -> ExitCode {
    quiet_panics();
    match Options::parse().command {
        Command::Run {
            seeds,
            threads,
            failures,
            within,
            states,
            changes,
        } => {
            let wish = Wish {
                overrides: changes.overrides(),
                ..Wish::default()
            };
            run(seeds, threads, failures, within, states, &wish)
        }
        Command::Replay {
            seed,
            quiet,
            grep,
            mutant,
            changes,
        } => replay(
            &Wish {
                seed,
                overrides: changes.overrides(),
                trace: !quiet,
                mutant,
                ..Wish::default()
            },
            &grep,
        ),
        Command::Mutants {
            only,
            seeds,
            threads,
        } => mutants(&only, seeds, threads),
        Command::Shrink {
            seed,
            mutant,
            changes,
        } => smaller(&Wish {
            seed,
            mutant,
            overrides: changes.overrides(),
            ..Wish::default()
        }),
        Command::Model {
            counter,
            tenancies,
            late,
            requests,
            records,
        } => model(&ModelBounds {
            counter,
            tenancies,
            late,
            requests,
            records,
            ..ModelBounds::HAND_OVER
        }),
        Command::Regressions => run_regressions(),
        Command::Schedules => {
            schedules();
            ExitCode::SUCCESS
        }
        Command::Calm {
            seed,
            workers,
            shards,
            hours,
            failover,
        } => {
            let world = World::calm(seed, workers, shards, hours, failover * 1000);
            replay(
                &Wish {
                    seed,
                    world: Some(world),
                    ..Wish::default()
                },
                &[],
            )
        }
        Command::Meta {
            seeds,
            numbers: true,
        } => {
            for seed in seeds {
                println!("{seed} {:016x}", number(&trace(seed)));
            }
            ExitCode::SUCCESS
        }
        Command::Meta {
            seeds,
            numbers: false,
        } => meta(seeds),
    }
}

fn run(
    seeds: Range<u64>,
    threads: usize,
    failures: usize,
    within: Option<f64>,
    states: bool,
    wish: &Wish,
) -> ExitCode {
    let all = seeds.end.saturating_sub(seeds.start);
    let mut summary = Summary::begin();
    let mut told = 0.0;
    run_all(seeds, threads, wish, |outcome| {
        summary.add(&outcome);
        if !outcome.violations.is_empty() {
            print_failure(&outcome, wish);
        }
        if summary.seconds() - told > 5.0 {
            told = summary.seconds();
            eprintln!(
                "{} of {all} seeds, {} failed, {:.1} seeds/s",
                summary.seeds,
                summary.failed.len(),
                summary.pace()
            );
        }
        summary.failed.len() < failures && within.is_none_or(|within| summary.seconds() < within)
    });
    if states {
        print!("{}", summary.states);
    }
    println!("{summary}");
    if summary.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_failure(outcome: &Outcome, wish: &Wish) {
    eprintln!("{}", outcome.world);
    for violation in &outcome.violations {
        eprintln!("  {violation}");
    }
    let seed = outcome.world.seed;
    let mutant = wish
        .mutant
        .map_or_else(String::new, |mutant| format!(" --mutant {mutant}"));
    eprintln!(
        "  again: cargo run --release -p tests --bin sim -- replay {seed}{mutant}{}",
        wish.overrides.arguments()
    );
}

fn mutants(only: &[Mutant], seeds: u64, threads: usize) -> ExitCode {
    let wanted = |mutant: &&Mutant| only.is_empty() || only.contains(mutant);
    let (mut killed, mut all) = (0, 0);
    for mutant in Mutant::ALL.iter().filter(wanted) {
        let (began, mut runs, mut found) = (Stopwatch::start(), 0, None);
        run_all(
            0..seeds,
            threads,
            &Wish {
                mutant: Some(*mutant),
                first_only: true,
                ..Wish::default()
            },
            |outcome| {
                runs += 1;
                let by = outcome
                    .violations
                    .first()
                    .map(|violation| (outcome.world.seed, violation.invariant));
                found = found.take().or(by);
                found.is_none()
            },
        );
        all += 1;
        let name = mutant.to_string();
        match found {
            Some((seed, invariant)) => {
                killed += 1;
                println!(
                    "{name:28} found by {invariant} in world {seed}, the {runs}. that was run, {:.1} s",
                    began.seconds()
                );
            }
            None => println!("{name:28} NOT FOUND in {runs} worlds"),
        }
    }
    println!("{killed} of {all} mutants found");
    if killed == all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn model(bounds: &ModelBounds) -> ExitCode {
    let mut holds = true;
    let one_name = ModelBounds {
        one_name: true,
        requests: 0,
        late: bounds.late + 1,
        ..*bounds
    };
    let late = ModelBounds {
        counter: bounds.counter.min(ModelBounds::LATE.counter),
        late: bounds.late.max(ModelBounds::LATE.late),
        requests: bounds.requests.max(ModelBounds::LATE.requests),
        ..*bounds
    };
    let all = [
        ("two workers", *bounds),
        ("two workers, more late", late),
        ("two processes under one name", one_name),
    ];
    for (name, bounds) in all {
        let began = Stopwatch::start();
        match check(&bounds) {
            Ok(Explored { states, steps }) => {
                println!(
                    "{name}: {states} states, {steps} steps, all sound, {:.1} s",
                    began.seconds()
                );
            }
            Err(found) => {
                holds = false;
                println!("{name}: {}\n  {}", found.what, found.steps.join("\n  "));
            }
        }
    }
    for defect in Defect::ALL {
        match check(&bounds.with(defect)) {
            Err(found) => println!(
                "{defect:?}: found in {} steps: {}",
                found.steps.len(),
                found.what
            ),
            Ok(seen) => {
                holds = false;
                println!("{defect:?}: NOT FOUND in {} states", seen.states);
            }
        }
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn smaller(wish: &Wish) -> ExitCode {
    let Some(overrides) = shrink(wish, |found| eprintln!("still fails:{}", found.arguments()))
    else {
        println!("world {} does not fail", wish.seed);
        return ExitCode::FAILURE;
    };
    let smaller = Wish {
        overrides,
        ..wish.clone()
    };
    print_failure(&run_world(&smaller), &smaller);
    ExitCode::SUCCESS
}

fn run_regressions() -> ExitCode {
    let all = match regressions() {
        Ok(all) => all,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = 0;
    for regression in &all {
        let wish = Wish {
            seed: regression.seed,
            overrides: regression.overrides.clone(),
            ..Wish::default()
        };
        let outcome = run_world(&wish);
        if !outcome.violations.is_empty() {
            failed += 1;
            eprintln!("{}: {}", regression.file, regression.why);
            print_failure(&outcome, &wish);
        }
    }
    println!("{} regressions, {failed} failed", all.len());
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn schedules() {
    for schedule in Schedule::ALL {
        println!("{}: {}", schedule.name, schedule.what);
        for state in schedule.states() {
            println!("  state   {state}");
        }
        for mutant in schedule.mutants {
            println!("  defect  {mutant}: {}", mutant.what().trim());
        }
        for (file, text) in schedule.tests {
            println!("  test    {file}: {text}");
        }
    }
}

fn replay(wish: &Wish, grep: &[String]) -> ExitCode {
    let outcome = run_world(wish);
    for line in outcome.trace.iter().flat_map(|trace| trace.lines()) {
        if grep.is_empty() || grep.iter().any(|wanted| line.contains(wanted.as_str())) {
            println!("{line}");
        }
    }
    println!("{}", outcome.world);
    println!(
        "{} events in {} simulated seconds; {}",
        outcome.events, outcome.lasted, outcome.counts
    );
    for violation in &outcome.violations {
        println!("{violation}");
    }
    if outcome.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn trace(seed: u64) -> String {
    run_world(&Wish {
        seed,
        trace: true,
        ..Wish::default()
    })
    .trace
    .unwrap_or_default()
}

/// A number for a text: FNV-1a.
fn number(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn meta(seeds: Range<u64>) -> ExitCode {
    let here: Vec<String> = seeds
        .clone()
        .map(|seed| format!("{seed} {:016x}", number(&trace(seed))))
        .collect();
    let range = format!("{}..{}", seeds.start, seeds.end);
    let there = std::env::current_exe()
        .and_then(|program| {
            std::process::Command::new(program)
                .args(["meta", "--numbers", &range])
                .output()
        })
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let there = match there {
        Ok(there) => there,
        Err(error) => {
            eprintln!("the second process could not be run: {error}");
            return ExitCode::FAILURE;
        }
    };
    let different: Vec<&String> = here
        .iter()
        .filter(|line| !there.lines().any(|other| other == line.as_str()))
        .collect();
    println!(
        "{} seeds twice, {} different{}",
        here.len(),
        different.len(),
        if different.is_empty() { "" } else { ":" }
    );
    for line in &different {
        println!("  {line}");
    }
    if different.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
