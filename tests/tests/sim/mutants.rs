use tests::sim::{Mutant, Wish, quiet_panics, run_world};

/// So many of them, as each takes seconds without optimisation. `sim mutants` builds in all.
const EACH: usize = 9;

/// In the world that found it last.
#[test]
fn defects_that_are_built_in_are_found() {
    quiet_panics();
    for mutant in Mutant::ALL.iter().step_by(EACH) {
        let outcome = run_world(&Wish {
            seed: mutant.known_world(),
            mutant: Some(*mutant),
            first_only: true,
            ..Wish::default()
        });
        assert!(
            !outcome.violations.is_empty(),
            "world {} does not find {mutant} any more: {}. Does another one? `sim mutants {mutant}`",
            mutant.known_world(),
            mutant.what()
        );
    }
}

#[test]
fn each_defect_has_a_world_that_found_it() {
    for mutant in Mutant::ALL {
        let _ = mutant.known_world();
    }
}
