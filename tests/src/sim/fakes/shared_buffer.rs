use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::handler::{
    DeadLetter, Letter, Retries, ShardRecord, SharedBufferHandler, SharedBuffered,
    SharedFlushContext, shared_buffer,
};
use kcl_core::model::LeaseKey;
use kcl_core::processor::ShardRef;
use kcl_core::{BoxError, Failure};

use crate::sim::dice::Dice;
use crate::sim::history::{Event, InOrder};
use crate::sim::link::Life;
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::truth::index_of;

use super::handler::{SimLetters, WorkFate, fate};
use super::processor::Desk;

/// The processors of one process, by the leases that they were last made for.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedDesks(Arc<Mutex<BTreeMap<LeaseKey, Arc<Desk>>>>);

impl SharedDesks {
    pub(super) fn add(&self, shard: &ShardRef, desk: &Arc<Desk>) {
        let mut desks = self.0.lock().unwrap();
        desks.insert(shard.lease.clone(), Arc::clone(desk));
    }

    fn of(&self, shard: &ShardRef) -> Option<Arc<Desk>> {
        self.0.lock().unwrap().get(&shard.lease).cloned()
    }
}

/// A handler of the buffer of a process that writes down when the work on each record begins and
/// ends, and does it as well as its world lets it.
#[derive(Debug)]
pub(crate) struct SimSharedBuffer {
    life: Arc<Life>,
    desks: SharedDesks,
    dice: Mutex<Dice>,
    /// A record that is known to fail is passed over at once.
    skips: bool,
}

/// What gathers the records of all shards of a process for such a handler.
pub(super) fn buffer_of_shards(
    life: &Arc<Life>,
    desks: &SharedDesks,
) -> SharedBuffered<SimSharedBuffer> {
    let (seed, id) = (life.sim.world().seed, life.id);
    let mut dice = Dice::new(seed, &format!("shared buffer {id:?}"));
    let has_retries = dice.chance(0.5);
    let handler = SimSharedBuffer {
        life: Arc::clone(life),
        desks: desks.clone(),
        dice: Mutex::new(Dice::new(seed, &format!("shared flushes {id:?}"))),
        skips: !has_retries && life.sim.world().fleet.skip_failed,
    };
    let mut gathering = shared_buffer(handler)
        .records(dice.pick(&[1, 2, 5, 50]))
        .bytes(dice.pick(&[1, 500, 1_000_000]))
        .every(Duration::from_millis(dice.pick(&[100, 1_000, 5_000])))
        .window(dice.pick(&[1, 20, 10_000]));
    if dice.chance(0.3) {
        gathering = gathering.give_back();
    }
    if has_retries {
        let letters = SharedLetters(desks.clone());
        let attempts = dice.range(1, 4) as u32;
        gathering = gathering.retries(Retries::attempts(attempts).dead_letter(letters));
    }
    gathering
}

/// The dead letters of each shard as those of a processor of its own.
struct SharedLetters(SharedDesks);

impl DeadLetter for SharedLetters {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        match self.0.of(letter.shard) {
            Some(desk) => SimLetters::new(&desk).deliver(letter).await,
            None => Ok(()),
        }
    }
}

/// A record of a flush that is known: whose it is, and its index there.
struct KnownRecord<'a> {
    desk: Arc<Desk>,
    index: u32,
    one: &'a ShardRecord,
}

fn say_handled(records: &[(Arc<Desk>, u32)], done: bool) {
    for (desk, record) in records {
        desk.life.sim.say(Event::Handled {
            processor: desk.id,
            record: *record,
            done,
        });
    }
}

impl SharedBufferHandler for SimSharedBuffer {
    async fn flush(&self, records: &[ShardRecord], _: &SharedFlushContext) -> Result<(), Failure> {
        let known = records.iter().filter_map(|one| {
            let desk = self.desks.of(&one.shard)?;
            let index = index_of(&one.record.data, desk.shard);
            if index.is_none() && desk.is_of_successor(&one.record.data) {
                return None;
            }
            let index = index.unwrap_or(u32::MAX - 1);
            Some(KnownRecord { desk, index, one })
        });
        let known: Vec<_> = known.collect();
        let told: Vec<_> = known
            .iter()
            .map(|record| (Arc::clone(&record.desk), record.index))
            .collect();
        for (desk, record) in &told {
            desk.life.sim.say(Event::Began {
                processor: desk.id,
                record: *record,
                order: InOrder::AllTogether,
            });
        }
        if self.life.sim.mutant() == Some(Mutant::FlushAfterCheckpoint) {
            let life = Arc::clone(&self.life);
            spawn(async move {
                sleep(200).await;
                life.gate.pass().await;
                say_handled(&told, true);
            });
            return Ok(());
        }
        let Some(first) = known.first() else {
            return Ok(());
        };
        self.life.point("between the check and the hand-over").await;
        let (millis, fate) = fate(&first.desk, &self.dice);
        sleep(millis).await;
        if matches!(fate, WorkFate::Hangs) {
            self.life.sim.until_healed().await;
        }
        self.life.gate.pass().await;
        if matches!(fate, WorkFate::Done | WorkFate::Hangs) {
            say_handled(&told, true);
            return Ok(());
        }
        let named = {
            let mut dice = self.dice.lock().unwrap();
            (matches!(fate, WorkFate::Fails) && dice.chance(0.5)).then(|| dice.index(known.len()))
        };
        let done = named.unwrap_or(0);
        // Alone or by its name it is known, and passed over where that is wanted.
        let passed = done + usize::from(self.skips && (named.is_some() || records.len() == 1));
        say_handled(&told[..passed], true);
        say_handled(&told[passed..], false);
        if matches!(fate, WorkFate::Panics) {
            std::panic::panic_any(crate::sim::run::SIMULATED_PANIC);
        }
        Err(match named {
            Some(index) => known[index].one.failed("a simulated failure"),
            None => Failure::new("a simulated failure"),
        })
    }
}
