use super::run::{Wish, run_world};
use super::world::Overrides;

/// Makes a failing world smaller: switches off what it does not need, then halves what is left, as
/// long as the same invariant fails. Nothing when the world does not fail.
pub fn shrink(wish: &Wish, mut tell: impl FnMut(&Overrides)) -> Option<Overrides> {
    // What comes after its first violation does not count: no world is run for longer.
    let wish = &Wish {
        first_only: true,
        ..wish.clone()
    };
    let invariant = run_world(wish).violations.first()?.invariant;
    let with = |overrides: &Overrides| Wish {
        overrides: overrides.clone(),
        ..wish.clone()
    };
    let still = |overrides: &Overrides| {
        let outcome = run_world(&with(overrides));
        outcome
            .violations
            .iter()
            .any(|violation| violation.invariant == invariant)
    };
    let mut best = wish.overrides.clone();
    let mut try_it = |candidate: Overrides, best: &mut Overrides| {
        let fails = still(&candidate);
        if fails {
            tell(&candidate);
            *best = candidate;
        }
        fails
    };
    for (name, _) in Overrides::OFF {
        let mut candidate = best.clone();
        candidate.off.push(name.to_owned());
        // What changes nothing is not worth a run.
        if with(&candidate).drawn() != with(&best).drawn() {
            try_it(candidate, &mut best);
        }
    }
    loop {
        let world = with(&best).drawn();
        let smaller = [
            Overrides {
                workers: Some(world.fleet.workers / 2),
                ..best.clone()
            },
            Overrides {
                workers: Some(world.fleet.workers - 1),
                ..best.clone()
            },
            Overrides {
                shards: Some(world.shards / 2),
                ..best.clone()
            },
            Overrides {
                shards: Some(world.shards - 1),
                ..best.clone()
            },
            Overrides {
                seconds: Some(world.faults_ms / 2000),
                ..best.clone()
            },
            Overrides {
                seconds: Some(world.faults_ms * 9 / 10_000),
                ..best.clone()
            },
        ];
        let changes = |candidate: &Overrides| with(candidate).drawn() != world;
        if !smaller
            .into_iter()
            .filter(changes)
            .any(|candidate| try_it(candidate, &mut best))
        {
            return Some(best);
        }
    }
}
