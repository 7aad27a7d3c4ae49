use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::counts::{Counts, Fault};
use super::dice::Dice;
use super::history::{Event, History, LifeId, ProcessorId};
use super::judge::Judge;
use super::link::Service;
use super::mutant::Mutant;
use super::runtime::{At, Origin};
use super::truth::{Consumers, StreamTruth, TableTruth};
use super::units::TableUnits;
use super::world::{LinkFaults, World};

/// A world while it runs. Every part of it has a handle.
#[derive(Clone, Debug)]
pub(crate) struct Sim(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: World,
    /// The links after the heal: to the table, to the stream.
    mended: [LinkFaults; 2],
    origin: Origin,
    mutant: Option<Mutant>,
    state: Mutex<WorldState>,
    healed: Notify,
    violated: Notify,
}

/// What changes in a world.
#[derive(Debug)]
pub(crate) struct WorldState {
    pub(crate) table: TableTruth,
    pub(crate) stream: StreamTruth,
    pub(crate) consumers: Consumers,
    pub(crate) history: History,
    pub(crate) judge: Judge,
    pub(crate) counts: Counts,
    /// The dice of the links.
    pub(crate) dice: Dice,
    pub(crate) healed: bool,
    /// Whether what happens is judged.
    pub(crate) judged: bool,
    /// Nobody is restarted any more.
    pub(crate) closing: bool,
    /// Calls that workers sent to the lease table.
    pub(crate) table_calls: u64,
    /// What the calls that came to it would cost.
    pub(crate) units: TableUnits,
    /// Who was last told of a shard that it has ended, when it had not, and when for the first
    /// time.
    pub(crate) told_end: BTreeMap<(LifeId, usize), At>,
    lives: u32,
    processors: u32,
}

impl Sim {
    /// A new world, on whose runtime this is called.
    pub(crate) fn new(world: World, mutant: Option<Mutant>, keep: bool) -> Self {
        let dice = Dice::new(world.seed, "links");
        let state = WorldState {
            table: TableTruth::default(),
            stream: StreamTruth::new(world.streams),
            consumers: Consumers::default(),
            history: History::new(keep),
            judge: Judge::new(&world),
            counts: Counts::default(),
            dice,
            healed: false,
            judged: true,
            closing: false,
            table_calls: 0,
            units: TableUnits::default(),
            told_end: BTreeMap::new(),
            lives: 0,
            processors: 0,
        };
        let mended = [world.table.healed(), world.stream.healed()];
        Self(Arc::new(Shared {
            world,
            mended,
            origin: Origin::here(),
            mutant,
            state: Mutex::new(state),
            healed: Notify::new(),
            violated: Notify::new(),
        }))
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    /// The faults of a link.
    pub(crate) fn link(&self, service: Service, healed: bool) -> &LinkFaults {
        match service {
            _ if healed => &self.0.mended[service as usize],
            Service::Table => &self.0.world.table,
            Service::Stream => &self.0.world.stream,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.0.origin
    }

    pub(crate) fn now(&self) -> At {
        self.0.origin.now()
    }

    /// The defect that is built in.
    pub(crate) fn mutant(&self) -> Option<Mutant> {
        self.0.mutant
    }

    /// Everything here is changed in one step: a panic of a handler never happens while it is
    /// locked.
    pub(crate) fn state(&self) -> MutexGuard<'_, WorldState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event down and has it judged.
    pub(crate) fn say(&self, event: Event) {
        let at = self.now();
        let mut state = self.state();
        state.say(at, event);
        if !state.judge.violations().is_empty() {
            self.0.violated.notify_one();
        }
    }

    pub(crate) fn count(&self, fault: Fault) {
        self.state().counts.add(fault);
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.state().healed
    }

    /// The faults are over.
    pub(crate) fn heal(&self) {
        self.state().healed = true;
        self.0.healed.notify_waiters();
    }

    /// Waits until something was that must not be. Told by the events that are said without the
    /// state's lock; there are always more.
    pub(crate) async fn until_violated(&self) {
        self.0.violated.notified().await;
    }

    /// Hangs: until the faults are over, or for good where that has to show.
    pub(crate) async fn hang(&self) {
        if self.mutant() == Some(Mutant::BeatWhileHung) {
            std::future::pending::<()>().await;
        } else {
            self.until_healed().await;
        }
    }

    /// Waits until the faults are over.
    pub(crate) async fn until_healed(&self) {
        let healed = self.0.healed.notified();
        if !self.is_healed() {
            healed.await;
        }
    }
}

impl WorldState {
    /// Writes an event down and has it judged.
    pub(crate) fn say(&mut self, at: At, event: Event) {
        let entry = self.history.add(at, event);
        if self.judged {
            self.judge.on(&entry, &self.stream, &self.table);
        }
    }

    pub(crate) fn next_life(&mut self) -> LifeId {
        self.lives += 1;
        LifeId(self.lives - 1)
    }

    pub(crate) fn next_processor(&mut self) -> ProcessorId {
        self.processors += 1;
        ProcessorId(self.processors - 1)
    }
}
