//! An operator who sets where shards are read on, step by step as `kcl seek` does, and whose program may
//! end after any of the steps.

use kcl_core::lease::{Changed, Expect, Write};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Timestamp};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::Event;
use crate::sim::mutant::Mutant;
use crate::sim::runtime::sleep;
use crate::sim::state::Sim;
use crate::sim::truth::wall;

use super::operator::{NOT_ANNOUNCED, steerable, write};

/// How often the program ends in the middle: the shard stays paused until the heal.
const KILLED: f64 = 0.2;
/// How often it does not wait until the lease is free: the table has to refuse that.
const IMPATIENT: f64 = 0.15;
/// How often the row is looked at while it is waited for.
const BETWEEN_MS: u64 = 250;

/// A seek of one shard, as its operator wants it.
struct Seek {
    key: LeaseKey,
    is_told: bool,
    /// After how many steps the program ends; there are four.
    steps: usize,
    /// Whether it waits until nobody holds the lease.
    waits: bool,
    /// How long it waits for that.
    patience_ms: u64,
    /// How old the row is when it is set.
    late_ms: u64,
    to: SeekTo,
}

#[derive(Clone, Copy)]
enum SeekTo {
    TrimHorizon,
    Latest,
    /// So long ago, in milliseconds.
    Ago(u64),
}

/// Sets shards, one after the other, until the world is healed.
pub(crate) async fn seek_shards(sim: Sim, mean: u64) {
    let mut dice = Dice::new(sim.world().seed, "which shard is set");
    loop {
        sleep(dice.wait(mean).max(10)).await;
        if sim.is_healed() {
            return;
        }
        if let Some(seek) = Seek::draw(&sim, &mut dice) {
            seek.run(&sim).await;
        }
    }
}

impl Seek {
    fn draw(sim: &Sim, dice: &mut Dice) -> Option<Self> {
        let rows = steerable(&sim.state());
        let key = rows.get(dice.index(rows.len()))?.clone();
        let is_killed = dice.chance(KILLED);
        let steps = dice.range(1, 3) as usize;
        Some(Self {
            key,
            is_told: !dice.chance(NOT_ANNOUNCED),
            steps: if is_killed { steps } else { usize::MAX },
            waits: !dice.chance(IMPATIENT),
            patience_ms: dice.log(500.0, 60_000.0) as u64,
            late_ms: dice.pick(&[0, 0, 0, 300, 3_000]),
            to: match dice.range(0, 5) {
                0 => SeekTo::Latest,
                1 | 2 => SeekTo::TrimHorizon,
                _ => SeekTo::Ago(dice.log(1_000.0, 120_000.0) as u64),
            },
        })
    }

    /// Pause, wait, set, resume. What is healed meanwhile was resumed by others.
    async fn run(&self, sim: &Sim) {
        let at = Timestamp::from_millis(sim.now().0 as i64);
        self.write(sim, &Write::pause(at));
        if self.steps == 1 {
            return;
        }
        if let Some(free) = self.wait(sim).await {
            if self.steps == 2 {
                return;
            }
            sleep(self.late_ms).await;
            if sim.is_healed() {
                return;
            }
            self.set(sim, &free);
            if self.steps == 3 {
                return;
            }
        }
        if !sim.is_healed() {
            self.write(sim, &Write::resume());
        }
    }

    fn write(&self, sim: &Sim, wanted: &Write) {
        write(sim, &mut sim.state(), &self.key, wanted, self.is_told);
    }

    /// The row when nobody holds its lease any more.
    async fn wait(&self, sim: &Sim) -> Option<Lease> {
        let end = sim.now().plus(self.patience_ms);
        loop {
            let row = sim.state().table.get(&self.key).cloned()?;
            if row.checkpoint.is_shard_end() || sim.is_healed() {
                return None;
            }
            if row.owner.is_none() || !self.waits {
                return Some(row);
            }
            if sim.now() >= end {
                return None;
            }
            sleep(BETWEEN_MS).await;
        }
    }

    /// Sets the checkpoint, if the row is as it was seen.
    fn set(&self, sim: &Sim, seen: &Lease) {
        let now = sim.now();
        let (to, start_at) = match self.to {
            SeekTo::TrimHorizon => (Checkpoint::TrimHorizon, None),
            SeekTo::Latest => (Checkpoint::Latest, Some(wall(now))),
            SeekTo::Ago(millis) => {
                let at = wall(now).as_millis() - millis as i64;
                let at = Timestamp::from_millis(at.max(0));
                (Checkpoint::AtTimestamp, Some(at))
            }
        };
        let mut seek = Write::seek(seen, to, start_at);
        if sim.mutant() == Some(Mutant::SeekWithoutCondition) {
            seek.expect = Expect::default();
            seek.expect.not_ended = true;
        }
        let state = &mut *sim.state();
        let before = state.table.get(&self.key).cloned();
        let set = state.table.update(&self.key, &seek, now);
        let (Some(before), Ok(after)) = (before, set) else {
            return;
        };
        if self.is_told {
            state.table.announce(&[Changed::Lease(self.key.clone())]);
        }
        state.counts.add(Fault::Sought);
        let (before, after) = (Box::new(before), Box::new(after));
        state.say(now, Event::Sought { before, after });
    }
}
