use std::time::Duration;

use crate::sim::Dice;

use super::network::{Harm, HarmedService, Trouble};
use super::script::{Action, Script, Whom};

/// What a soak is drawn from: the same plan gives the same script.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where chance comes from.
    pub seed: u64,
    /// How long it goes on.
    pub span: Duration,
    /// How many workers begin.
    pub workers: u32,
    /// How many shards the stream begins with.
    pub shards: u32,
    /// The failover time of the workers.
    pub failover: Duration,
    /// What may happen to requests.
    pub harms: Vec<Harm>,
    /// Whether requests to the table can be harmed too.
    pub table: bool,
}

/// The worker processes are kept near this number.
const FEWEST: usize = 4;
const MOST: usize = 6;
/// The open shards are kept in this range.
pub(super) const OPEN_SHARDS: std::ops::RangeInclusive<usize> = 2..=32;
/// The shortest time between two steps, and what is added to it on average, in milliseconds.
const STEP: (u64, u64) = (200, 600);
/// How long a killed or stopped worker is missing at most, in milliseconds.
const MISSING: u64 = 3000;

/// What a step may be, with how often it is drawn in relation to the others.
const STEPS: [(PlanStep, usize); 8] = [
    (PlanStep::Kill, 36),
    (PlanStep::Restart, 10),
    (PlanStep::Freeze, 17),
    (PlanStep::Stop, 5),
    (PlanStep::Harm, 16),
    (PlanStep::Join, 3),
    (PlanStep::Split, 4),
    (PlanStep::Merge, 4),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlanStep {
    Kill,
    Restart,
    Freeze,
    Stop,
    Harm,
    Join,
    Split,
    Merge,
}

/// What is known of the fleet while the script is drawn, as nothing happens to it that is not in
/// the script.
struct Drawn {
    dice: Dice,
    steps: Vec<(u64, Action)>,
    /// The numbers of the workers, with the time from which each may be frozen or told to end.
    workers: Vec<(usize, u64)>,
    /// How many workers were started.
    names: usize,
    /// When workers are to be started that replace others.
    missing: Vec<u64>,
    open: usize,
}

impl Plan {
    /// The script.
    #[must_use]
    pub fn script(&self) -> Script {
        let names = self.workers as usize;
        let mut drawn = Drawn {
            dice: Dice::new(self.seed, "soak"),
            steps: Vec::new(),
            workers: (1..=names).map(|number| (number, 0)).collect(),
            names,
            missing: Vec::new(),
            open: self.shards as usize,
        };
        let end = millis(self.span);
        let mut now = 0;
        loop {
            now += STEP.0 + drawn.dice.wait(STEP.1);
            drawn.replace(now.min(end));
            if now >= end {
                break;
            }
            self.step(now, &mut drawn);
        }
        let steps = drawn.steps.into_iter();
        Script(
            steps
                .map(|(time, action)| (Duration::from_millis(time), action))
                .collect(),
        )
    }

    fn step(&self, now: u64, drawn: &mut Drawn) {
        let allowed = |step| match step {
            PlanStep::Kill | PlanStep::Restart | PlanStep::Stop => {
                drawn.workers.len() + drawn.missing.len() >= FEWEST && drawn.workers.len() > 2
            }
            PlanStep::Freeze => true,
            PlanStep::Harm => !self.harms.is_empty(),
            PlanStep::Join => drawn.workers.len() + drawn.missing.len() < MOST,
            PlanStep::Split => drawn.open < *OPEN_SHARDS.end(),
            PlanStep::Merge => drawn.open > *OPEN_SHARDS.start(),
        };
        let steps: Vec<PlanStep> = STEPS
            .iter()
            .filter(|(step, _)| allowed(*step))
            .flat_map(|(step, often)| vec![*step; *often])
            .collect();
        let step = drawn.dice.pick(&steps);
        let place = match step {
            // Who is frozen may be killed, and harmed.
            PlanStep::Kill | PlanStep::Restart | PlanStep::Harm => {
                Some(drawn.dice.index(drawn.workers.len()))
            }
            PlanStep::Freeze | PlanStep::Stop => drawn.free(now),
            PlanStep::Join | PlanStep::Split | PlanStep::Merge => Some(0),
        };
        let Some(place) = place else { return };
        let whom = Whom::Number(drawn.workers[place].0);
        let action = match step {
            PlanStep::Kill | PlanStep::Stop => {
                drawn.workers.swap_remove(place);
                let many = drawn.workers.len() + drawn.missing.len() >= FEWEST;
                if !many || drawn.dice.chance(0.5) {
                    let after = drawn.dice.range(0, MISSING);
                    drawn.missing.push(now + after);
                }
                if step == PlanStep::Kill {
                    Action::Kill(whom)
                } else {
                    Action::Stop(whom)
                }
            }
            PlanStep::Restart => {
                drawn.workers[place].1 = now;
                Action::Restart(whom)
            }
            PlanStep::Freeze => {
                // From a short pause to one after which others have long read on.
                let span = drawn.span(self.failover.mul_f64(0.2), self.failover.mul_f64(2.5));
                drawn.workers[place].1 = now + millis(span) + 500;
                Action::Freeze(whom, Some(span))
            }
            PlanStep::Harm => Action::Harm(whom, self.trouble(drawn)),
            PlanStep::Join => {
                drawn.join();
                Action::Add
            }
            PlanStep::Split => {
                drawn.open += 1;
                Action::Split
            }
            PlanStep::Merge => {
                drawn.open -= 1;
                Action::Merge
            }
        };
        drawn.steps.push((now, action));
    }

    fn trouble(&self, drawn: &mut Drawn) -> Trouble {
        let harm = drawn.dice.pick(&self.harms);
        let table = self.table && harm != Harm::Odd && drawn.dice.chance(0.5);
        let span = drawn.span(self.failover.mul_f64(0.2), self.failover * 4);
        let percent = drawn.dice.pick(&[100, 100, 50, 20]);
        Trouble {
            harm,
            service: if table {
                HarmedService::Table
            } else {
                HarmedService::Stream
            },
            span,
            percent,
        }
    }
}

impl Drawn {
    /// Starts the workers that are due.
    fn replace(&mut self, now: u64) {
        self.missing.sort_unstable();
        while self.missing.first().is_some_and(|due| *due <= now) {
            let due = self.missing.remove(0);
            self.join();
            self.steps.push((due, Action::Add));
        }
        self.steps.sort_by_key(|(time, _)| *time);
    }

    fn join(&mut self) {
        self.names += 1;
        self.workers.push((self.names, 0));
    }

    /// One that is not frozen.
    fn free(&mut self, now: u64) -> Option<usize> {
        let free: Vec<usize> = (0..self.workers.len())
            .filter(|place| self.workers[*place].1 <= now)
            .collect();
        // One is left that works.
        (free.len() > 1).then(|| self.dice.pick(&free))
    }

    fn span(&mut self, from: Duration, to: Duration) -> Duration {
        Duration::from_millis(
            self.dice
                .log(from.as_millis() as f64, to.as_millis() as f64) as u64,
        )
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
