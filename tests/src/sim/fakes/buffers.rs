use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::handler::{BufferHandler, BufferedProcessor, FlushContext, Retries, buffer};
use kcl_core::model::Record;
use kcl_core::processor::ShardRef;
use kcl_core::{Failure, RecordProcessorFactory};

use crate::sim::dice::Dice;
use crate::sim::history::{Event, InOrder};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::truth::index_of;

use super::handler::{SimLetters, WorkFate, fate};
use super::processor::Desk;

/// A handler of buffers that writes down when the work on each of its records begins and ends, and
/// does it as well as its world lets it.
#[derive(Debug)]
pub(crate) struct SimBuffer {
    desk: Arc<Desk>,
    dice: Mutex<Dice>,
    order: InOrder,
    /// A record that is known to fail is passed over at once.
    skips: bool,
}

/// What gathers the records of a shard for such a handler. Its numbers are drawn with dice of their
/// own.
pub(super) fn buffer_of_records(
    desk: &Arc<Desk>,
    shard: &ShardRef,
) -> BufferedProcessor<SimBuffer> {
    let (seed, id) = (desk.life.sim.world().seed, desk.id.0);
    let mut dice = Dice::new(seed, &format!("buffer {id}"));
    let by_key = dice.chance(0.5);
    let has_retries = dice.chance(0.5);
    let handler = SimBuffer {
        desk: Arc::clone(desk),
        dice: Mutex::new(Dice::new(seed, &format!("flushes {id}"))),
        order: if by_key {
            InOrder::KeyTogether
        } else {
            InOrder::AllTogether
        },
        skips: !has_retries && desk.life.sim.world().fleet.skip_failed,
    };
    let mut gathering = buffer(handler)
        .records(dice.pick(&[1, 2, 5, 50]))
        .bytes(dice.pick(&[1, 500, 1_000_000]))
        .every(Duration::from_millis(dice.pick(&[100, 1_000, 5_000])))
        .window(dice.pick(&[1, 20, 10_000]));
    if by_key {
        gathering = gathering.by_key(dice.range(1, 3) as usize);
    }
    if dice.chance(0.3) {
        gathering = gathering.give_back();
    }
    if desk.life.sim.mutant() == Some(Mutant::FilterDropsWork) {
        gathering = gathering.filter(|record| !record.sequence().to_string().ends_with('3'));
    }
    if has_retries {
        let letters = SimLetters::new(desk);
        let attempts = dice.range(1, 4) as u32;
        gathering = gathering.retries(Retries::attempts(attempts).dead_letter(letters));
    }
    gathering.processor(shard)
}

impl SimBuffer {
    fn say_handled(desk: &Desk, records: &[u32], done: bool) {
        for record in records {
            desk.life.sim.say(Event::Handled {
                processor: desk.id,
                record: *record,
                done,
            });
        }
    }
}

impl BufferHandler for SimBuffer {
    async fn flush(&self, records: &[Record], _: &FlushContext) -> Result<(), Failure> {
        let desk = Arc::clone(&self.desk);
        let known = |record: &&Record| {
            index_of(&record.data, desk.shard).is_some() || !desk.is_of_successor(&record.data)
        };
        let mine: Vec<&Record> = records.iter().filter(known).collect();
        let indexes: Vec<u32> = mine
            .iter()
            .map(|record| index_of(&record.data, desk.shard).unwrap_or(u32::MAX - 1))
            .collect();
        for record in &indexes {
            desk.life.sim.say(Event::Began {
                processor: desk.id,
                record: *record,
                order: self.order,
            });
        }
        if desk.life.sim.mutant() == Some(Mutant::FlushAfterCheckpoint) {
            let desk = Arc::clone(&desk);
            spawn(async move {
                sleep(200).await;
                desk.life.gate.pass().await;
                Self::say_handled(&desk, &indexes, true);
            });
            return Ok(());
        }
        desk.life.point("between the check and the hand-over").await;
        let (millis, fate) = fate(&desk, &self.dice);
        sleep(millis).await;
        if matches!(fate, WorkFate::Hangs) {
            desk.life.sim.until_healed().await;
        }
        desk.life.gate.pass().await;
        if matches!(fate, WorkFate::Done | WorkFate::Hangs) || mine.is_empty() {
            Self::say_handled(&desk, &indexes, true);
            return Ok(());
        }
        let named = {
            let mut dice = self.dice.lock().unwrap();
            (matches!(fate, WorkFate::Fails) && dice.chance(0.5)).then(|| dice.index(mine.len()))
        };
        let done = named.unwrap_or(0);
        // Alone or by its name it is known, and passed over where that is wanted.
        let passed = done + usize::from(self.skips && (named.is_some() || records.len() == 1));
        Self::say_handled(&desk, &indexes[..passed], true);
        Self::say_handled(&desk, &indexes[passed..], false);
        if matches!(fate, WorkFate::Panics) {
            std::panic::panic_any(crate::sim::run::SIMULATED_PANIC);
        }
        Err(match named {
            Some(index) => Failure::at(mine[index], "a simulated failure"),
            None => Failure::new("a simulated failure"),
        })
    }
}
