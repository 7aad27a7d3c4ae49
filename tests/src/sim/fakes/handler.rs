use std::sync::{Arc, Mutex};

use kcl_core::handler::{
    ByRecordProcessor, DeadLetter, Letter, RecordContext, RecordHandler, Retries, by_key, in_order,
    unordered,
};
use kcl_core::model::Record;
use kcl_core::processor::ShardRef;
use kcl_core::{BoxError, RecordProcessorFactory};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::{Event, InOrder};
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::truth::index_of;
use crate::sim::world::Style;

use super::processor::Desk;

/// A handler of single records that writes down when the work on each begins and ends, and does it
/// as well as its world lets it.
#[derive(Debug)]
pub(crate) struct SimHandler {
    desk: Arc<Desk>,
    dice: Mutex<Dice>,
    order: InOrder,
    /// A record that fails is passed over at once: the worker skips what failed, and the handler
    /// has no retries of its own.
    skips: bool,
}

/// What gives the records of a shard to such a handler, in the styles that are of single records.
pub(super) fn handler_of_records(
    style: Style,
    desk: &Arc<Desk>,
    dice: &mut Dice,
    shard: &ShardRef,
) -> Option<ByRecordProcessor<SimHandler>> {
    let order = match style {
        Style::InOrder => InOrder::All,
        Style::ByKey => InOrder::OfAKey,
        Style::Unordered => InOrder::None,
        _ => return None,
    };
    let (at_work, window) = (
        dice.pick(&[1, 2, 3, 8, 64]),
        dice.pick(&[1, 4, 16, 256, 10_000]),
    );
    let has_retries = !dice.chance(0.5);
    let handler = SimHandler {
        desk: Arc::clone(desk),
        dice: Mutex::new(Dice::new(
            desk.life.sim.world().seed,
            &format!("handler {}", desk.id.0),
        )),
        order,
        skips: !has_retries && desk.life.sim.world().fleet.skip_failed,
    };
    let by_record = match order {
        InOrder::All => in_order(handler),
        InOrder::OfAKey if desk.life.sim.mutant() == Some(Mutant::KeysOutOfOrder) => {
            unordered(at_work, handler)
        }
        InOrder::OfAKey => by_key(at_work, handler),
        InOrder::None | InOrder::AllTogether | InOrder::KeyTogether => unordered(at_work, handler),
    };
    let by_record = by_record.window(window);
    if !has_retries {
        return Some(by_record.processor(shard));
    }
    let letters = SimLetters::new(desk);
    let retries = Retries::attempts(dice.range(1, 4) as u32).dead_letter(letters);
    Some(by_record.retries(retries).processor(shard))
}

/// Dead letters that are taken after a while, or not: a record whose letter was taken is done.
pub(super) struct SimLetters {
    desk: Arc<Desk>,
    dice: Mutex<Dice>,
}

impl SimLetters {
    pub(super) fn new(desk: &Arc<Desk>) -> Self {
        Self {
            desk: Arc::clone(desk),
            dice: Mutex::new(Dice::new(
                desk.life.sim.world().seed,
                &format!("letters {}", desk.id.0),
            )),
        }
    }
}

impl DeadLetter for SimLetters {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let Some(record) = index_of(&letter.record.data, self.desk.shard) else {
            return Ok(());
        };
        let (millis, taken) = {
            let mut dice = self.dice.lock().unwrap();
            (
                dice.range(0, 200),
                dice.chance(0.7) || self.desk.life.sim.is_healed(),
            )
        };
        let desk = Arc::clone(&self.desk);
        let keep = async move {
            sleep(millis).await;
            desk.life.gate.pass().await;
            if taken {
                desk.life.sim.say(Event::Handled {
                    processor: desk.id,
                    record,
                    done: true,
                });
            }
        };
        if self.desk.life.sim.mutant() == Some(Mutant::DeadLetterAfterCheckpoint) {
            spawn(keep);
            return Ok(());
        }
        keep.await;
        if taken {
            Ok(())
        } else {
            Err("a simulated failure to keep a letter".into())
        }
    }
}

/// What becomes of the work on a record.
pub(super) enum WorkFate {
    Done,
    Fails,
    Panics,
    Hangs,
}

/// How long the work takes, in milliseconds, and how it ends.
pub(super) fn fate(desk: &Desk, dice: &Mutex<Dice>) -> (u64, WorkFate) {
    let (handlers, mut dice) = (desk.handlers(), dice.lock().unwrap());
    let sim = &desk.life.sim;
    if dice.chance(handlers.hang) {
        sim.count(Fault::HungHandler);
        return (0, WorkFate::Hangs);
    }
    let millis = if dice.chance(handlers.slow) {
        sim.count(Fault::SlowHandler);
        dice.range(handlers.usual_ms, handlers.slow_ms.max(handlers.usual_ms))
    } else {
        dice.range(0, handlers.usual_ms)
    };
    let fate = if dice.chance(handlers.panic) {
        sim.count(Fault::PanickedHandler);
        WorkFate::Panics
    } else if dice.chance(handlers.fail) {
        sim.count(Fault::FailedHandler);
        WorkFate::Fails
    } else {
        WorkFate::Done
    };
    (millis, fate)
}

impl RecordHandler for SimHandler {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        let sim = &self.desk.life.sim;
        let index = index_of(&record.data, self.desk.shard).unwrap_or(u32::MAX - 1);
        if index == u32::MAX - 1 && self.desk.is_of_successor(&record.data) {
            return Ok(());
        }
        let (processor, order) = (self.desk.id, self.order);
        sim.say(Event::Began {
            processor,
            record: index,
            order,
        });
        self.desk
            .life
            .point("between the check and the hand-over")
            .await;
        let (millis, fate) = fate(&self.desk, &self.dice);
        sleep(millis).await;
        if matches!(fate, WorkFate::Hangs) {
            sim.hang().await;
        }
        self.desk.life.gate.pass().await;
        let done = self.skips || matches!(fate, WorkFate::Done | WorkFate::Hangs);
        sim.say(Event::Handled {
            processor,
            record: index,
            done,
        });
        match fate {
            WorkFate::Fails => return Err("a simulated failure".into()),
            WorkFate::Panics => std::panic::panic_any(crate::sim::run::SIMULATED_PANIC),
            WorkFate::Done | WorkFate::Hangs => {}
        }
        if sim.mutant() == Some(Mutant::CheckpointAtGreatestDone) {
            let checkpointer = self.desk.checkpointer.lock().unwrap().clone();
            if let Some(checkpointer) = checkpointer {
                let _ = checkpointer.checkpoint_at_position(&record.position).await;
            }
        }
        Ok(())
    }
}
