use std::collections::BTreeMap;

use crate::sim::history::{Entry, Event, LifeId, Said};
use crate::sim::runtime::At;
use crate::sim::truth::{StreamTruth, TableTruth};
use crate::sim::world::World;

use super::board::Board;
use super::fold::{Fold, See, Sink, Violation};
use super::states::{Finder, States};
use super::{
    i01_no_regress, i02_fence, i03_epochs, i04_overlap, i05_no_skip, i06_resume, i07_order, i08_bounds, i09_parents, i10_reshard,
    i12_delete, i14_lifecycle, i15_unknown, l4_clean_stop,
};

/// All invariants of a world, and what they have found.
#[derive(Debug)]
pub(crate) struct Judge {
    world: World,
    board: Board,
    folds: Vec<Box<dyn Fold>>,
    finder: Finder,
    found: Vec<Violation>,
    number: u64,
    at: At,
}

impl Judge {
    pub(crate) fn new(world: &World) -> Self {
        let folds: Vec<Box<dyn Fold>> = vec![
            Box::new(i01_no_regress::NoRegress::default()),
            Box::new(i02_fence::Fence),
            Box::new(i03_epochs::Epochs),
            Box::new(i04_overlap::Overlap),
            Box::new(i05_no_skip::NoSkip),
            Box::new(i06_resume::Resume::default()),
            Box::new(i07_order::Order::default()),
            Box::new(i08_bounds::Bounds),
            Box::new(i09_parents::Parents),
            Box::new(i10_reshard::Reshard),
            Box::new(i12_delete::Delete),
            Box::new(i14_lifecycle::Lifecycle::default()),
            Box::new(i15_unknown::Unknown),
            Box::new(l4_clean_stop::CleanStop),
        ];
        Self {
            world: world.clone(),
            board: Board::new(world),
            folds,
            finder: Finder::default(),
            found: Vec::new(),
            number: 0,
            at: At(0),
        }
    }

    pub(crate) fn on(&mut self, entry: &Entry, stream: &StreamTruth, table: &TableTruth) {
        let Self { world, board, folds, finder, found, number, at } = self;
        (*number, *at) = (entry.number, entry.at);
        board.on(entry);
        if let Event::Said { said: Said::Gap(key, _), .. } = &entry.event
            && let Some((index, _)) = stream.leased(key)
        {
            board.on_said(entry, index);
        }
        if let Event::Trimmed { shard, left: true, .. } = &entry.event {
            let key = &stream.shards()[*shard].key;
            if board.made.contains_key(key) && !board.finished.contains(key) {
                board.left_behind.insert(*shard);
            }
        }
        let see = See { world, board, stream, table };
        finder.on(entry, &see);
        for fold in folds {
            let mut sink = Sink { kept: found, invariant: fold.name(), number: entry.number, at: entry.at };
            fold.on(entry, &see, &mut sink);
        }
    }

    /// The interesting states that were reached so far.
    pub(crate) const fn states(&self) -> &States {
        &self.finder.found
    }

    /// How often a lease has come to somebody so far.
    pub(crate) fn acquisitions(&self) -> usize {
        self.board.tenancies.len()
    }

    /// Who holds too many or too few of the unfinished leases, if somebody does.
    pub(crate) fn unbalanced(&self, table: &TableTruth) -> Option<String> {
        let alive = self.board.lives.iter().filter(|(_, info)| info.alive);
        let mut held: BTreeMap<LifeId, usize> = alive.map(|(life, _)| (*life, 0)).collect();
        if held.len() != self.world.fleet.workers {
            return Some(format!("{} of {} workers live", held.len(), self.world.fleet.workers));
        }
        for row in table.leases().filter(|row| !row.checkpoint.is_shard_end()) {
            if row.checkpoint_owner.is_some() {
                return Some(format!("the hand-over of {} is still under way", row.key));
            }
            let Some(count) = self.board.current_of(&row.key).and_then(|tenancy| held.get_mut(&tenancy.life)) else {
                return Some(format!("{} has no live owner", row.key));
            };
            *count += 1;
        }
        let (most, least) = (held.values().max()?, held.values().min()?);
        (*most > least + 1).then(|| format!("leases are held like this: {held:?}"))
    }

    /// A promise about a healed fleet was not kept.
    pub(crate) fn not_calm(&mut self, at: At, what: String) {
        self.at = at;
        self.report("L3 balance", what);
    }

    /// A calm fleet asks too much of its lease table.
    pub(crate) fn too_many_calls(&mut self, at: At, what: String) {
        self.at = at;
        self.report("B2 cost", what);
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.found
    }

    fn report(&mut self, invariant: &'static str, what: String) {
        let (number, at) = (self.number, self.at);
        Sink { kept: &mut self.found, invariant, number, at }.report(|| what);
    }

    /// Something went wrong that has no invariant of its own.
    pub(crate) fn defect(&mut self, what: String) {
        self.report("defect", what);
    }

    /// The deadline has passed.
    pub(crate) fn not_alive(&mut self, at: At, missing: String) {
        self.at = at;
        self.report("L1/L2 liveness", missing);
    }

    /// What is not done yet, in a healed world: nothing when every shard has a live owner, every record is done, and every closed
    /// shard is at its end.
    pub(crate) fn unfinished(&self, stream: &StreamTruth, table: &TableTruth) -> Option<String> {
        for (index, shard) in stream.shards().iter().enumerate() {
            let key = shard.key.clone();
            let Some(row) = table.get(&key) else {
                // A shard that was closed before an application began at LATEST, or that left unread, needs no lease.
                if (self.world.fleet.latest && !shard.is_open()) || shard.left.is_some() {
                    continue;
                }
                return Some(format!("{} has no lease", shard.key));
            };
            if row.checkpoint.is_shard_end() {
                continue;
            }
            if !shard.is_open() {
                return Some(format!("{} is closed and its lease is at {} (owner {:?})", shard.key, row.checkpoint, row.owner));
            }
            let alive = |life| self.board.lives.get(&life).is_some_and(|life| life.alive);
            if !self.board.current_of(&key).is_some_and(|tenancy| alive(tenancy.life)) {
                return Some(format!("{} has no live owner (owner {:?})", shard.key, row.owner));
            }
            let from = self.start_of(index, stream, table).max(shard.trimmed());
            if let Some(record) = self.board.progress_of(index).first_not_done(from, shard.len()) {
                return Some(format!(
                    "record {record} of {} is not done (owner {:?}, checkpoint {})",
                    shard.key, row.owner, row.checkpoint
                ));
            }
            if self.world.handlers.automatic() && shard.after(&row.checkpoint, &row.facts) < shard.len() && shard.len() > from {
                return Some(format!("{} is done and its checkpoint is still {}", shard.key, row.checkpoint));
            }
        }
        None
    }

    /// The first record of a shard that the application has to do.
    fn start_of(&self, index: usize, stream: &StreamTruth, _: &TableTruth) -> u32 {
        let shard = &stream.shards()[index];
        let key = shard.key.clone();
        self.board.made.get(&key).map_or(0, |(checkpoint, facts)| shard.after(checkpoint, facts))
    }

    /// The last scan: every record of the truth against what was done, and the rows.
    pub(crate) fn scan(&mut self, stream: &StreamTruth, table: &TableTruth) {
        for index in 0..stream.shards().len() {
            let shard = &stream.shards()[index];
            let key = shard.key.clone();
            if !self.board.made.contains_key(&key) && (self.world.fleet.latest || shard.left.is_some()) {
                continue;
            }
            let start = self.start_of(index, stream, table);
            // What left the stream before it was read has been judged by the reports of those who passed it. A shard that left whole and
            // unread, with a lease that nobody had brought to its end, has to be reported too. One that was read to its end from the oldest
            // record there was, had lost nothing that anybody could know of.
            let given = self.board.processors.iter().any(|info| info.shard == index && info.given.is_some());
            if self.board.left_behind.contains(&index) && !given && shard.len() > start && !self.board.gaps.contains_key(&index) {
                let id = shard.key.clone();
                self.report("scan: nothing lost", format!("{id} left the stream unread, and nobody reported a gap"));
            }
            let shard = &stream.shards()[index];
            let from = start.max(shard.trimmed());
            if let Some(record) = self.board.progress_of(index).first_not_done(from, shard.len()) {
                let (trimmed, id) = (shard.trimmed(), shard.key.clone());
                self.report("scan: nothing lost", format!("record {record} of {id} was never done ({trimmed} were trimmed)"));
            }
        }
        let held: Vec<String> =
            table.leases().filter(|row| row.owner.is_some()).map(|row| format!("{} by {:?}", row.key, row.owner)).collect();
        if !held.is_empty() {
            self.report("L4 clean stop", format!("leases are still held after every worker has stopped: {}", held.join(", ")));
        }
        let Self { world, board, folds, found, number, at, .. } = self;
        let see = See { world, board, stream, table };
        for fold in folds {
            let mut sink = Sink { kept: found, invariant: fold.name(), number: *number, at: *at };
            fold.at_end(&see, &mut sink);
        }
    }
}
