use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kcl_core::lease::LeaseTable;

use super::counts::Counts;
use super::fleet::{direct, lone_table};
use super::judge::{States, Violation};
use super::mutant::Mutant;
use super::runtime::{At, run_paused};
use super::state::Sim;
use super::world::{Overrides, World};

/// What a handler panics with when its world wants it to.
pub(crate) const SIMULATED_PANIC: &str = "a simulated panic";

/// Which world, and how it is to be run.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its seed.
    pub seed: u64,
    /// What is changed in it.
    pub overrides: Overrides,
    /// Run this world in place of the one of the seed.
    pub world: Option<World>,
    /// The defect that is built in.
    pub mutant: Option<Mutant>,
    /// Whether the history is to be kept as text.
    pub trace: bool,
    /// End the world at its first violation: enough to know that a defect is found.
    pub first_only: bool,
}

impl Wish {
    /// The world: in one that is to show a defect of fan-out, records are pushed.
    pub(crate) fn drawn(&self) -> World {
        let drawn = || {
            let fan_out = self.overrides.fan_out || self.mutant.is_some_and(Mutant::is_of_fan_out);
            World::of(
                self.seed,
                &Overrides {
                    fan_out,
                    ..self.overrides.clone()
                },
            )
        };
        self.world.clone().unwrap_or_else(drawn)
    }
}

/// How a world went.
#[derive(Debug)]
pub struct Outcome {
    /// The world.
    pub world: World,
    /// What must not be, the first ones.
    pub violations: Vec<Violation>,
    /// How often each fault happened.
    pub counts: Counts,
    /// How often each interesting state was reached.
    pub states: States,
    /// How long it lasted in its own time.
    pub lasted: At,
    /// How many events there were.
    pub events: u64,
    /// How many calls its workers sent to the lease table.
    pub table_calls: u64,
    /// The history, if it was wished for: a line an event.
    pub trace: Option<String>,
}

/// Runs one world to its end.
#[must_use]
pub fn run_world(wish: &Wish) -> Outcome {
    let world = wish.drawn();
    let run = || {
        run_paused(wish.seed, async {
            let sim = Sim::new(world.clone(), wish.mutant, wish.trace);
            tokio::select! {
                biased;
                () = sim.until_violated(), if wish.first_only => {}
                () = direct(&sim) => {}
            }
            let mut state = sim.state();
            let trace = state.history.text();
            Outcome {
                world: world.clone(),
                violations: state.judge.violations().to_vec(),
                counts: state.counts.clone(),
                states: state.judge.states().clone(),
                lasted: sim.now(),
                events: state.history.next_number(),
                table_calls: state.table_calls,
                trace,
            }
        })
    };
    let failed = |what: String| Outcome {
        world: world.clone(),
        violations: vec![Violation {
            invariant: "harness",
            number: 0,
            at: At(0),
            what,
        }],
        counts: Counts::default(),
        states: States::default(),
        lasted: At(0),
        events: 0,
        table_calls: 0,
        trace: None,
    };
    match std::panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => failed(format!("no runtime: {error}")),
        Err(_) => failed("the simulator panicked".to_owned()),
    }
}

/// Runs worlds on so many threads, and gives each outcome to `each` as it comes; `each` says
/// whether to go on.
pub fn run_all(
    seeds: std::ops::Range<u64>,
    threads: usize,
    wish: &Wish,
    each: impl FnMut(Outcome) -> bool + Send,
) {
    let next = AtomicU64::new(seeds.start);
    let each = Mutex::new(each);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run_world(&Wish {
                        seed,
                        ..wish.clone()
                    });
                    let go_on = each.lock().is_ok_and(|mut each| each(outcome));
                    if !go_on {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Keeps the panics of simulated handlers, which the worker catches, out of the output.
pub fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&SIMULATED_PANIC) {
            usual(info);
        }
    }));
}

/// Gives `work` the lease table that the workers of a world are given, in a world without faults:
/// what it answers can then be compared with what other tables answer.
///
/// # Errors
/// When there is no runtime.
pub fn with_fake_table<T, F: Future<Output = T>>(
    work: impl FnOnce(Arc<dyn LeaseTable>) -> F,
) -> std::io::Result<T> {
    run_paused(0, async {
        let sim = Sim::new(World::calm(0, 1, 1, 1, 10_000).quiet(), None, false);
        sim.state().judged = false;
        work(lone_table(&sim)).await
    })
}
