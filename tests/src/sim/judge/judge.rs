use std::collections::BTreeSet;

use crate::sim::history::{Entry, Event, Said};
use crate::sim::runtime::At;
use crate::sim::truth::{StreamTruth, TableTruth};
use crate::sim::world::World;

use super::board::{Board, Tenancy};
use super::finder::Finder;
use super::fold::{Fold, See, Sink, Violation};
use super::states::States;
use super::{
    b1_duplicates, i01_no_regress, i02_fence, i03_epochs, i04_overlap, i05_no_skip, i06_resume,
    i07_order, i08_bounds, i09_parents, i10_reshard, i11_cover, i12_delete, i13_plans,
    i14_lifecycle, i15_unknown, i16_removed, i17_pace, i18_listings, i19_lanes, l4_clean_stop,
};

/// All invariants of a world, and what they have found.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(super) world: World,
    pub(super) board: Board,
    pub(super) folds: Vec<Box<dyn Fold>>,
    finder: Finder,
    pub(super) found: Vec<Violation>,
    pub(super) number: u64,
    pub(super) at: At,
    /// Shards of a healed world that nobody has room for.
    pub(super) unread: BTreeSet<usize>,
}

impl Judge {
    pub(crate) fn new(world: &World) -> Self {
        let folds: Vec<Box<dyn Fold>> = vec![
            Box::new(i01_no_regress::NoRegress::default()),
            Box::new(i02_fence::Fence::default()),
            Box::new(i03_epochs::Epochs),
            Box::new(i04_overlap::Overlap),
            Box::new(i05_no_skip::NoSkip),
            Box::new(i06_resume::Resume::default()),
            Box::new(i07_order::Order::default()),
            Box::new(i08_bounds::Bounds),
            Box::new(i09_parents::Parents),
            Box::new(i10_reshard::Reshard),
            Box::new(i11_cover::Cover::default()),
            Box::new(i12_delete::Delete),
            Box::new(i13_plans::Plans::default()),
            Box::new(i14_lifecycle::Lifecycle::default()),
            Box::new(i15_unknown::Unknown),
            Box::new(i16_removed::Removed::default()),
            Box::new(i17_pace::Pace::default()),
            Box::new(i18_listings::Listings),
            Box::new(i19_lanes::Lanes::default()),
            Box::new(b1_duplicates::Duplicates::default()),
            Box::new(l4_clean_stop::CleanStop::default()),
        ];
        Self {
            world: world.clone(),
            board: Board::new(world),
            folds,
            finder: Finder::default(),
            found: Vec::new(),
            number: 0,
            at: At(0),
            unread: BTreeSet::new(),
        }
    }

    pub(crate) fn on(&mut self, entry: &Entry, stream: &StreamTruth, table: &TableTruth) {
        let Self {
            world,
            board,
            folds,
            finder,
            found,
            number,
            at,
            ..
        } = self;
        (*number, *at) = (entry.number, entry.at);
        board.on(entry, stream);
        if let Event::Said {
            said: Said::Gap(key, _),
            ..
        } = &entry.event
            && let Some((index, _)) = stream.leased(key)
        {
            board.on_said(entry, index);
        }
        if let Event::Trimmed {
            shard, left: true, ..
        } = &entry.event
        {
            let key = &stream.shards()[*shard].key;
            // Who came to its end found nothing in it: retention took its records before anybody
            // knew of them.
            let ended = board.found_empty.contains(shard)
                || board
                    .processors
                    .iter()
                    .any(|info| info.shard == *shard && info.ended);
            if board.made.contains_key(key) && !board.finished.contains(key) && !ended {
                board.left_behind.insert(*shard);
            }
        }
        let see = See {
            world,
            board,
            stream,
            table,
        };
        finder.on(entry, &see);
        let is_of_deleted = see.is_of_deleted(&entry.event);
        for fold in folds
            .iter_mut()
            .filter(|fold| !is_of_deleted || fold.judges_deleted())
        {
            let mut sink = Sink {
                kept: found,
                invariant: fold.name(),
                number: entry.number,
                at: entry.at,
            };
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

    /// How many leases were taken since then from workers that had not crashed.
    pub(crate) fn broken_since(&self, since: At) -> usize {
        let is_broken = |tenancy: &&Tenancy| {
            let ended = tenancy.ended.as_ref();
            ended.is_some_and(|end| end.at >= since && end.by != tenancy.life)
                && !self
                    .board
                    .lives
                    .get(&tenancy.life)
                    .is_some_and(|life| life.crashed)
        };
        self.board.tenancies.iter().filter(is_broken).count()
    }

    /// How those after the first so many came about: what became of the tenancy before, and how
    /// long it had shown no life.
    pub(crate) fn moves_after(&self, before: usize) -> String {
        let tenancies = &self.board.tenancies;
        let tell = |index: usize| {
            let tenancy = &tenancies[index];
            let former = tenancies[..index]
                .iter()
                .rev()
                .find(|former| former.key == tenancy.key);
            let end = former.and_then(|former| Some((former, former.ended.as_ref()?)));
            let how = end.map_or_else(String::new, |(former, end)| {
                let silent = end.at.since(former.written);
                format!(
                    " after {:?} had it, ended at {} by {:?} ({}) {silent} ms after its last write",
                    former.life, end.at, end.by, end.how
                )
            });
            format!("{} to {:?}{how}", tenancy.key, tenancy.life)
        };
        let some: Vec<String> = (before..tenancies.len()).take(6).map(tell).collect();
        some.join("; ")
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

    pub(super) fn report(&mut self, invariant: &'static str, what: String) {
        let (number, at) = (self.number, self.at);
        Sink {
            kept: &mut self.found,
            invariant,
            number,
            at,
        }
        .report(|| what);
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
}
