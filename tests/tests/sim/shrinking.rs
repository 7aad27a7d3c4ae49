use tests::sim::{Mutant, Wish, World, quiet_panics, run_world, shrink};

#[test]
fn a_failing_world_is_made_small_and_still_fails() {
    quiet_panics();
    let wish = Wish {
        seed: 1,
        mutant: Some(Mutant::CheckpointBeforeProcess),
        first_only: true,
        ..Wish::default()
    };
    let invariant = run_world(&wish)
        .violations
        .first()
        .expect("the world fails")
        .invariant;
    let mut steps = 0;
    let overrides = shrink(&wish, |_| steps += 1).expect("the world fails");
    let (before, after) = (
        World::of(wish.seed, &wish.overrides),
        World::of(wish.seed, &overrides),
    );
    assert!(steps > 3, "{steps} steps");
    assert!(!overrides.off.is_empty(), "nothing was switched off");
    assert!(
        after.fleet.workers < before.fleet.workers && after.shards < before.shards,
        "{before}\n{after}"
    );
    assert!(after.faults_ms < before.faults_ms / 4, "{before}\n{after}");
    let found = run_world(&Wish { overrides, ..wish }).violations;
    assert!(
        found
            .iter()
            .any(|violation| violation.invariant == invariant),
        "{found:?}"
    );
}

#[test]
fn a_world_that_keeps_every_promise_is_not_made_smaller() {
    quiet_panics();
    let wish = Wish {
        seed: 1,
        ..Wish::default()
    };
    assert!(shrink(&wish, |_| {}).is_none());
}
