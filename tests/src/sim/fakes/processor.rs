use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use kcl_core::BoxError;
use kcl_core::checkpoint::{CheckpointError, Checkpointer};
use kcl_core::handler::{
    BufferedProcessor, ByRecordProcessor, SharedBuffered, SharedBufferedProcessor,
};
use kcl_core::model::Position;
use kcl_core::processor::{
    IdleInput, InitializeInput, LeaseLostInput, ProcessRecordsInput, ShardEndedInput, ShardRef,
    ShutdownRequestedInput,
};
use kcl_core::{Failure, RecordProcessor, RecordProcessorFactory};

use crate::sim::counts::Fault;
use crate::sim::dice::Dice;
use crate::sim::history::{Call, Event, ProcessorId, Returned};
use crate::sim::link::Life;
use crate::sim::mutant::Mutant;
use crate::sim::runtime::{sleep, spawn};
use crate::sim::truth::{index_of, shard_in};
use crate::sim::world::{Handlers, Style};

use super::buffers::{SimBuffer, buffer_of_records};
use super::handler::{SimHandler, handler_of_records};
use super::shared_buffer::{SharedDesks, SimSharedBuffer, buffer_of_shards};

/// Makes the processors of one process.
#[derive(Debug)]
pub(crate) struct Processors {
    life: Arc<Life>,
    /// What the shards share in the style of that.
    shared: OnceLock<SharedBuffered<SimSharedBuffer>>,
    desks: SharedDesks,
}

impl Processors {
    pub(crate) fn new(life: Arc<Life>) -> Self {
        Self {
            life,
            shared: OnceLock::new(),
            desks: SharedDesks::default(),
        }
    }
}

impl RecordProcessorFactory for Processors {
    type Processor = SimProcessor;

    fn processor(&self, shard: &ShardRef) -> SimProcessor {
        let sim = &self.life.sim;
        let now = sim.now();
        let mut state = sim.state();
        let id = state.next_processor();
        let index = state
            .stream
            .leased(&shard.lease)
            .map_or(usize::MAX, |(index, _)| index);
        state.say(
            now,
            Event::Made {
                processor: id,
                life: self.life.id,
                shard: index,
                key: shard.lease.clone(),
            },
        );
        drop(state);
        let mut dice = Dice::new(sim.world().seed, &format!("processor {}", id.0));
        let style = dice.pick(&sim.world().handlers.styles);
        let desk = Arc::new(Desk {
            life: Arc::clone(&self.life),
            id,
            shard: index,
            checkpointer: Mutex::default(),
        });
        let records = match style {
            Style::Buffered => Some(Adapter::Buffer(buffer_of_records(&desk, shard))),
            Style::SharedBuffer => {
                self.desks.add(shard, &desk);
                let buffer = self
                    .shared
                    .get_or_init(|| buffer_of_shards(&self.life, &self.desks));
                Some(Adapter::Shared(buffer.processor(shard)))
            }
            _ => handler_of_records(style, &desk, &mut dice, shard).map(Adapter::Records),
        };
        SimProcessor {
            desk,
            dice,
            style,
            records,
        }
    }
}

/// A processor that writes down what it is given, and does its work as well as its world lets it.
#[derive(Debug)]
pub(crate) struct SimProcessor {
    desk: Arc<Desk>,
    dice: Dice,
    style: Style,
    /// What gives its records to a handler of single records or of buffers, in such a style.
    records: Option<Adapter>,
}

/// What works on records beside the calls.
#[derive(Debug)]
enum Adapter {
    Records(ByRecordProcessor<SimHandler>),
    Buffer(BufferedProcessor<SimBuffer>),
    Shared(SharedBufferedProcessor<SimSharedBuffer>),
}

impl RecordProcessor for Adapter {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        match self {
            Self::Records(records) => records.process_records(input).await,
            Self::Buffer(buffer) => buffer.process_records(input).await,
            Self::Shared(buffer) => buffer.process_records(input).await,
        }
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        match self {
            Self::Records(records) => records.lease_lost(input).await,
            Self::Buffer(buffer) => buffer.lease_lost(input).await,
            Self::Shared(buffer) => buffer.lease_lost(input).await,
        }
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        match self {
            Self::Records(records) => records.shard_ended(input).await,
            Self::Buffer(buffer) => buffer.shard_ended(input).await,
            Self::Shared(buffer) => buffer.shard_ended(input).await,
        }
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        match self {
            Self::Records(records) => records.shutdown_requested(input).await,
            Self::Buffer(buffer) => buffer.shutdown_requested(input).await,
            Self::Shared(buffer) => buffer.shutdown_requested(input).await,
        }
    }
}

/// What the tasks of a processor share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) life: Arc<Life>,
    pub(super) id: ProcessorId,
    pub(super) shard: usize,
    /// That of the last batch, for mutants of handlers of single records.
    pub(super) checkpointer: Mutex<Option<Checkpointer>>,
}

impl Desk {
    fn called(&self, call: Call) {
        self.life.sim.say(Event::Called {
            processor: self.id,
            call,
        });
    }

    fn returned(&self, returned: Returned) {
        self.life.sim.say(Event::Returned {
            processor: self.id,
            returned,
        });
    }

    /// Whether a record is one of the stream that was made under the name of this one: who had not
    /// read anything yet, or begins anew at a time, is given such records before it knows. They are
    /// read once more as the new stream's own.
    pub(super) fn is_of_successor(&self, data: &[u8]) -> bool {
        let state = self.life.sim.state();
        let shards = state.stream.shards();
        let (mine, of) = (
            &shards[self.shard],
            shard_in(data).and_then(|index| shards.get(index)),
        );
        mine.deleted && of.is_some_and(|of| of.stream == mine.stream && of.opened > mine.opened)
    }

    pub(super) fn handlers(&self) -> Handlers {
        let handlers = &self.life.sim.world().handlers;
        if self.life.sim.is_healed() {
            handlers.healed()
        } else {
            handlers.clone()
        }
    }

    /// The index behind this position.
    fn up_to(&self, position: &Position) -> u32 {
        self.life.sim.state().stream.shards()[self.shard].up_to(position)
    }

    /// Gives the number of the event: the answer names it.
    fn asks(&self, up_to: u32, prepare: bool) -> u64 {
        let now = self.life.sim.now();
        let mut state = self.life.sim.state();
        let ask = state.history.next_number();
        state.say(
            now,
            Event::Checkpointing {
                processor: self.id,
                ask,
                up_to,
                prepare,
            },
        );
        ask
    }

    fn answered(&self, ask: u64, up_to: u32, prepare: bool, answer: Result<(), &CheckpointError>) {
        let error = answer.err().map(|error| match error {
            CheckpointError::OutOfRange(_) => "out of range",
            CheckpointError::LeaseLost { .. } => "lease lost",
            CheckpointError::Throttled { .. } => "throttled",
            _ => "unusable",
        });
        self.life.sim.say(Event::Checkpointed {
            processor: self.id,
            ask,
            up_to,
            prepare,
            error,
        });
    }

    async fn checkpoint(&self, checkpointer: &Checkpointer, at: &Position) -> bool {
        let up_to = self.up_to(at);
        let ask = self.asks(up_to, false);
        let answer = checkpointer.checkpoint_at_position(at).await;
        self.answered(ask, up_to, false, answer.as_ref().copied());
        answer.is_ok()
    }

    async fn prepare_and_commit(&self, checkpointer: &Checkpointer, work: u64) {
        let up_to = self.up_to(checkpointer.end());
        let ask = self.asks(up_to, true);
        let prepared = checkpointer
            .prepare(Some(Bytes::from_static(b"state")))
            .await;
        self.answered(ask, up_to, true, prepared.as_ref().map(|_| ()));
        if let Ok(prepared) = prepared {
            sleep(work).await;
            self.life.gate.pass().await;
            let ask = self.asks(up_to, false);
            let answer = prepared.commit().await;
            self.answered(ask, up_to, false, answer.as_ref().copied());
        }
    }
}

impl SimProcessor {
    /// Whether the call fails or panics; a panic does not return.
    fn goes_wrong(&mut self, handlers: &Handlers) -> Option<BoxError> {
        if self.dice.chance(handlers.panic) {
            self.desk.life.sim.count(Fault::PanickedHandler);
            self.desk.returned(Returned::Panicked);
            std::panic::panic_any(crate::sim::run::SIMULATED_PANIC);
        }
        self.dice.chance(handlers.fail).then(|| {
            self.desk.life.sim.count(Fault::FailedHandler);
            "a simulated failure".into()
        })
    }

    /// The end of a call that does nothing but succeed or fail.
    async fn answer(&mut self) -> Result<(), BoxError> {
        self.desk.life.gate.pass().await;
        let handlers = self.desk.handlers();
        if let Some(error) = self.goes_wrong(&handlers) {
            self.desk.returned(Returned::Failed(None));
            return Err(error);
        }
        self.desk.returned(Returned::Done);
        Ok(())
    }

    /// The time that a batch takes.
    async fn work(&mut self, handlers: &Handlers) {
        let sim = &self.desk.life.sim;
        if self.dice.chance(handlers.hang) {
            sim.count(Fault::HungHandler);
            sim.hang().await;
        } else if self.dice.chance(handlers.slow) {
            sim.count(Fault::SlowHandler);
            sleep(self.dice.range(handlers.usual_ms, handlers.slow_ms)).await;
        } else {
            sleep(self.dice.range(0, handlers.usual_ms)).await;
        }
        self.desk.life.gate.pass().await;
    }

    /// Stores how far it is, in the style of this processor.
    async fn store(&mut self, handlers: &Handlers, checkpointer: Checkpointer) {
        match self.style {
            Style::Automatic
            | Style::Never
            | Style::MidBatch
            | Style::InOrder
            | Style::ByKey
            | Style::Unordered
            | Style::Buffered
            | Style::SharedBuffer => {}
            Style::EachBatch => {
                self.desk
                    .life
                    .point("between the hand-over and the checkpoint")
                    .await;
                self.desk
                    .checkpoint(&checkpointer, checkpointer.end())
                    .await;
            }
            Style::Prepared => {
                let work = self.dice.range(0, handlers.usual_ms);
                self.desk.prepare_and_commit(&checkpointer, work).await;
            }
            Style::Late => {
                let (desk, after) = (Arc::clone(&self.desk), self.dice.range(0, handlers.late_ms));
                spawn(async move {
                    sleep(after).await;
                    desk.life.gate.pass().await;
                    desk.checkpoint(&checkpointer, checkpointer.end()).await;
                });
            }
        }
    }
}

impl RecordProcessor for SimProcessor {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        self.desk.called(Call::Initialize {
            checkpoint: input.checkpoint,
            pending: input.pending.is_some(),
            fence: input.fence.0,
            attempt: input.attempt,
        });
        self.answer().await
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        if let Some(records) = &mut self.records {
            *self.desk.checkpointer.lock().unwrap() = Some(input.checkpointer.clone());
            return records.process_records(input).await;
        }
        let mut records: Vec<(u32, u32)> = Vec::with_capacity(1);
        for record in &input.records {
            let index = index_of(&record.data, self.desk.shard).unwrap_or(u32::MAX - 1);
            if index == u32::MAX - 1 && self.desk.is_of_successor(&record.data) {
                continue;
            }
            match records.last_mut() {
                Some((_, end)) if *end == index => *end += 1,
                _ => records.push((index, index + 1)),
            }
        }
        self.desk.called(Call::Process {
            records,
            attempt: input.attempt,
            at_end: input.is_at_shard_end,
        });
        if self.desk.life.sim.mutant() == Some(Mutant::CheckpointBeforeProcess) {
            let _ = input.checkpointer.checkpoint().await;
        }
        self.desk
            .life
            .point("between the check and the hand-over")
            .await;
        let handlers = self.desk.handlers();
        self.work(&handlers).await;
        let count = input.records.len();
        if self.style == Style::MidBatch {
            let middle = self.dice.index(count);
            self.desk
                .checkpoint(&input.checkpointer, &input.records[middle].position)
                .await;
        }
        if let Some(error) = self.goes_wrong(&handlers) {
            if self.desk.life.sim.mutant() == Some(Mutant::FailedBatchIsDone) {
                self.desk.returned(Returned::Failed(None));
                return Ok(());
            }
            if self.dice.chance(0.5) {
                let record = &input.records[self.dice.index(count)];
                self.desk
                    .returned(Returned::Failed(index_of(&record.data, self.desk.shard)));
                return Err(Failure::at(record, error));
            }
            self.desk.returned(Returned::Failed(None));
            return Err(Failure::new(error));
        }
        if self.style == Style::Late {
            self.desk.returned(Returned::Done);
            self.store(&handlers, input.checkpointer).await;
            return Ok(());
        }
        self.store(&handlers, input.checkpointer).await;
        self.desk.returned(Returned::Done);
        Ok(())
    }

    async fn idle(&mut self, _: IdleInput) -> Result<(), BoxError> {
        self.desk.called(Call::Idle);
        self.answer().await
    }

    async fn lease_lost(&mut self, input: LeaseLostInput) {
        self.desk.called(Call::LeaseLost(input.reason.clone()));
        self.desk.life.gate.pass().await;
        if let Some(records) = &mut self.records {
            records.lease_lost(input).await;
        }
        self.desk.returned(Returned::Done);
        if self.desk.life.sim.mutant() == Some(Mutant::HandsOutAfterLoss) {
            self.desk.called(Call::Process {
                records: vec![(0, 1)],
                attempt: 1,
                at_end: false,
            });
        }
    }

    async fn shard_ended(&mut self, input: ShardEndedInput) -> Result<(), BoxError> {
        self.desk.called(Call::ShardEnded {
            attempt: input.attempt,
        });
        if let Some(records) = &mut self.records {
            records.shard_ended(input).await?;
        }
        self.answer().await
    }

    async fn shutdown_requested(&mut self, input: ShutdownRequestedInput) {
        // With no await before the adapter hears of it: what is at work goes on meanwhile.
        self.desk.life.gate.pass().await;
        self.desk.called(Call::ShutdownRequested);
        if let Some(records) = &mut self.records {
            let last = self.desk.checkpointer.lock().unwrap().take();
            if let Some(last) =
                last.filter(|_| self.desk.life.sim.mutant() == Some(Mutant::AtWorkIsDone))
            {
                let _ = last.checkpoint().await;
            }
            records.shutdown_requested(input).await;
            self.desk.returned(Returned::Done);
            return;
        }
        if let Some(checkpointer) = input
            .checkpointer
            .filter(|_| self.style != Style::Automatic && self.style != Style::Never)
        {
            self.desk
                .checkpoint(&checkpointer, checkpointer.end())
                .await;
        }
        self.desk.returned(Returned::Done);
    }
}
