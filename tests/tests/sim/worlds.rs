use tests::sim::{
    FanOut, Mutant, Overrides, Wish, World, quiet_panics, regressions, run_all, run_world,
};

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Wants the worlds in which records are pushed.
fn pushed() -> Overrides {
    Overrides {
        fan_out: true,
        ..Overrides::default()
    }
}

fn promises_are_kept(seeds: std::ops::Range<u64>, overrides: Overrides) {
    quiet_panics();
    let mut failures = Vec::new();
    run_all(
        seeds,
        threads(),
        &Wish {
            overrides,
            ..Wish::default()
        },
        |outcome| {
            failures.extend(
                outcome
                    .violations
                    .iter()
                    .map(|violation| format!("world {}: {violation}", outcome.world.seed)),
            );
            true
        },
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_first_worlds_keep_every_promise() {
    promises_are_kept(0..12, Overrides::default());
}

#[test]
fn the_first_worlds_keep_every_promise_where_records_are_pushed() {
    promises_are_kept(0..4, pushed());
}

#[test]
fn worlds_that_failed_once_do_not_fail_again() {
    quiet_panics();
    for regression in regressions().expect("the files of regressions") {
        let outcome = run_world(&Wish {
            seed: regression.seed,
            overrides: regression.overrides.clone(),
            ..Wish::default()
        });
        assert!(
            outcome.violations.is_empty(),
            "{}: {}: {:#?}",
            regression.file,
            regression.why,
            outcome.violations
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    quiet_panics();
    for (seed, overrides) in (100..103)
        .map(|seed| (seed, Overrides::default()))
        .chain([(106, pushed())])
    {
        let trace = || {
            run_world(&Wish {
                seed,
                overrides: overrides.clone(),
                trace: true,
                ..Wish::default()
            })
            .trace
            .expect("a history")
        };
        let (one, other) = (trace(), trace());
        assert!(one.lines().count() > 500, "world {seed} is a toy");
        assert!(one == other, "world {seed} went in two ways");
    }
}

/// Workers come and go meanwhile, each with a look at the paused lease: nobody takes it, nobody is given
/// its records, and when it is resumed, all of them are processed.
#[test]
fn a_shard_paused_for_24_hours_is_left_alone_and_loses_nothing() {
    quiet_panics();
    let pause = |mutant| {
        run_world(&Wish {
            world: Some(World::long_pause(1, 24)),
            mutant,
            first_only: mutant.is_some(),
            trace: mutant.is_none(),
            ..Wish::default()
        })
    };
    let outcome = pause(None);
    assert_eq!(outcome.violations, []);
    let trace = outcome.trace.expect("a history");
    let hours = |what: &str| {
        let line = trace.lines().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no {what}"));
        let number: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        number
    };
    let (paused, resumed) = (hours("Paused { key"), hours("on: false"));
    assert!(paused < resumed, "{paused} {resumed}");
    let counts = outcome.counts.to_string();
    assert!(
        counts.contains("Crash ") && counts.contains("Stop "),
        "{counts}"
    );
    let overlooked = pause(Some(Mutant::PauseOverlooked));
    let said: Vec<_> = overlooked
        .violations
        .iter()
        .map(|it| it.invariant)
        .collect();
    assert_eq!(said, ["I13 plans"]);
}

#[test]
fn worlds_are_no_toys() {
    let worlds: Vec<World> = (0..2_000)
        .map(|seed| World::of(seed, &Overrides::default()))
        .collect();
    let median = |of: fn(&World) -> u64| {
        let mut values: Vec<u64> = worlds.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    assert!(median(|world| world.fleet.workers as u64) >= 3);
    assert!(median(|world| u64::from(world.shards)) >= 12);
    // The phases after the faults come on top.
    assert!(median(|world| world.faults_ms) >= 150_000);
    let with = |of: fn(&World) -> bool| worlds.iter().filter(|world| of(world)).count();
    for (fault, count) in [
        ("crashes", with(|world| world.chaos.crash_every_ms > 0)),
        ("standstills", with(|world| world.chaos.freeze_every_ms > 0)),
        ("lost answers", with(|world| world.table.lost_answer > 0.0)),
        ("late writes", with(|world| world.table.late > 0.0)),
        ("reshards", with(|world| world.load.reshard_every_ms > 0)),
        ("retention", with(|world| world.load.retention_ms > 0)),
        ("failing handlers", with(|world| world.handlers.fail > 0.0)),
        ("drift", with(|world| world.fleet.drift_ppm > 0)),
    ] {
        assert!(
            count > 200 && count < 1_800,
            "{fault} in {count} of 2000 worlds: each kind of fault has to be off in some"
        );
    }
    let pushed: Vec<FanOut> = (0..2_000)
        .filter_map(|seed| World::of(seed, &pushed()).fan_out)
        .collect();
    assert_eq!(pushed.len(), 2_000);
    let with = |of: fn(&FanOut) -> bool| pushed.iter().filter(|world| of(world)).count();
    for (fault, count) in [
        (
            "short subscriptions",
            with(|world| world.session_ms < 300_000),
        ),
        ("ends", with(|world| world.end > 0.0)),
        ("resets", with(|world| world.reset > 0.0)),
        ("silence", with(|world| world.silent > 0.0)),
        ("late events", with(|world| world.late > 0.0)),
        ("empty events", with(|world| world.empty > 0.0)),
        ("refusals", with(|world| world.busy > 0.0)),
        (
            "consumers that go",
            with(|world| world.removed_every_ms > 0),
        ),
        ("several modes", with(|world| world.mixed)),
    ] {
        assert!(
            count > 200 && count < 1_800,
            "{fault} in {count} of 2000 worlds: each kind of fault has to be off in some"
        );
    }
}
