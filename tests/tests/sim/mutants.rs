use tests::sim::{Mutant, Wish, quiet_panics, run_world};

/// So many of them, as each takes seconds without optimisation. `sim mutants` builds in all.
const EACH: usize = 9;

/// So many worlds are tried besides the one that found it last: a change of the worker changes what
/// happens in every world.
const WORLDS: u64 = 100;

#[test]
fn defects_that_are_built_in_are_found() {
    quiet_panics();
    for mutant in Mutant::ALL.iter().step_by(EACH) {
        let finds = |seed: &u64| {
            let outcome = run_world(&Wish {
                seed: *seed,
                mutant: Some(*mutant),
                first_only: true,
                ..Wish::default()
            });
            !outcome.violations.is_empty()
        };
        let known = mutant.known_world();
        let found = std::iter::once(known).chain(0..WORLDS).find(finds);
        assert!(
            found.is_some(),
            "no world of {WORLDS} finds {mutant}: {}",
            mutant.what()
        );
        if found != Some(known) {
            println!("{mutant} is found by world {found:?}, no more by {known}");
        }
    }
}

#[test]
fn each_defect_has_a_world_that_found_it() {
    for mutant in Mutant::ALL {
        let _ = mutant.known_world();
    }
}
