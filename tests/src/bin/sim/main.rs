//! The fleet simulator; `--help` names its commands. See `tests::sim` and `docs/reliability.md`.

use std::ops::Range;
use std::process::ExitCode;
use std::str::FromStr as _;

use clap::Parser as _;
use kcl_core::worker::Liveness;
use tests::model::{Defect, Explored, ModelBounds, check};
use tests::sim::{
    Mutant, Outcome, Schedule, Settled, Stopwatch, Summary, Wish, World, bill, quiet_panics,
    regressions, run_all, run_world, settle, shrink,
};

mod options;

use options::{Command, Options};

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
        Command::Bill {
            leases,
            workers,
            failover,
        } => bills(leases, workers, failover),
        Command::Settle {
            leases,
            workers,
            failover,
        } => settles(leases, workers, failover),
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
        let wish = Wish {
            mutant: Some(*mutant),
            // What its own invariant says may come after what others say.
            first_only: mutant.own_invariant().is_none(),
            ..Wish::default()
        };
        let mut judge = |outcome: Outcome| {
            runs += 1;
            let own = mutant.own_invariant();
            let tells = |said: &str| own.is_none_or(|own| own == said);
            let invariants = outcome.violations.iter().map(|it| it.invariant);
            let by = invariants.into_iter().find(|invariant| tells(invariant));
            found = found
                .take()
                .or_else(|| by.map(|invariant| (outcome.world.seed, invariant)));
            found.is_none()
        };
        let known = mutant.known_world();
        if judge(run_world(&Wish {
            seed: known,
            ..wish.clone()
        })) {
            run_all(0..seeds, threads, &wish, judge);
        }
        all += 1;
        let name = mutant.to_string();
        match found {
            Some((seed, invariant)) => {
                killed += 1;
                let no_more = if seed == known {
                    String::new()
                } else {
                    format!(", no more in {known}")
                };
                println!(
                    "{name:28} found by {invariant} in world {seed}{no_more}, the {runs}. that was \
                     run, {:.1} s",
                    began.seconds()
                );
            }
            None => println!(
                "{name:28} NOT FOUND in {runs} worlds{}",
                mutant
                    .own_invariant()
                    .map_or_else(String::new, |own| format!(" by {own}"))
            ),
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

fn bills(leases: u32, workers: usize, failover: u64) -> ExitCode {
    println!(
        "{leases} leases, {workers} workers, failover {failover} s, an hour with a reshard, a join and a \
         kill"
    );
    println!("liveness    writes/min  read units/min  dollars/day");
    for name in ["auto", "compatible", "kcl"] {
        let found = Liveness::from_str(name)
            .map_err(std::io::Error::other)
            .and_then(|liveness| bill(leases, workers, failover * 1000, liveness));
        match found {
            Ok(bill) => println!(
                "{name:10}  {:10.0}  {:14.0}  {:11.2}",
                bill.writes,
                bill.reads,
                bill.dollars()
            ),
            Err(error) => {
                eprintln!("no bill of {name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The fleet has so long after each step, in seconds.
const SETTLES_WITHIN: f64 = 60.0;

fn settles(leases: u32, workers: usize, failover: u64) -> ExitCode {
    println!("{leases} leases, {workers} workers, failover {failover} s");
    println!("after                   settled in   moved  broken  writes/min  read units/min");
    let found = settle(leases, workers, failover * 1000, |settled| {
        println!("{settled}");
    });
    let settling = match found {
        Ok(settling) => settling,
        Err(error) => {
            eprintln!("it could not be run: {error}");
            return ExitCode::FAILURE;
        }
    };
    for violation in &settling.violations {
        eprintln!("{violation}");
    }
    let is_good = |step: &Settled| step.seconds <= SETTLES_WITHIN && step.broken == 0;
    if settling.steps.iter().all(is_good) && settling.violations.is_empty() {
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
