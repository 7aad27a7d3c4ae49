//! The table of the simulated fleets: the conditions and effects of the protocol's writes come from
//! `crate::lease`, only time and the age of readings are made up here.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::lease::{WorkerRow, Write};
use crate::model::{Checkpoint, Lease, LeaseKey, WorkerId};

/// All rows at one instant. A scan of a real table is not such an instant; that workers cope with
/// torn scans is shown elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct TableRows {
    pub(super) leases: BTreeMap<LeaseKey, Lease>,
    pub(super) workers: BTreeMap<WorkerId, WorkerRow>,
}

/// What others are to hear of. A worker that gets announcements reads just these rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    Lease(LeaseKey),
    Worker(WorkerId),
}

/// A lease table: the conditions and effects of the protocol's writes, and readings that may be
/// old.
#[derive(Clone, Debug, Default)]
pub(super) struct TestTable {
    pub(super) now: TableRows,
    /// The rows as they were at the ends of the last steps, the newest last. Shared while nothing
    /// changes, which is most of the time.
    past: VecDeque<Rc<TableRows>>,
    /// Whether something was written in this step.
    pub(super) changed: bool,
    /// Every announcement.
    pub(super) announced: Vec<Hint>,
    /// Tokens are counted and not random, so a failing run is the same every time.
    tokens: usize,
    /// How many bytes a second arrive in each shard.
    pub(super) arrives: BTreeMap<LeaseKey, u64>,
    /// The same before they began to change.
    pub(super) usual: Option<BTreeMap<LeaseKey, u64>>,
    /// How many percent a measurement is off at most, and the last random number for that.
    pub(super) off: u64,
    chance: u64,
    /// How often a lease was claimed after it was handed over. Each is a hand-over in good order.
    pub(super) claims: usize,
    /// How often one was taken from an owner. Each loses what its owner has not stored. In a fleet
    /// without a crash there must be none.
    pub(super) taken_over: usize,
}

/// For how many steps old rows are kept.
pub(super) const PAST: usize = 6;

impl TestTable {
    pub(super) fn new(leases: usize) -> Self {
        let leases = (0..leases).map(|shard| LeaseKey::single(format!("shardId-{shard:012}")));
        let leases = leases
            .map(|key| (key.clone(), Lease::new(key, Checkpoint::TrimHorizon)))
            .collect();
        Self {
            now: TableRows {
                leases,
                workers: BTreeMap::new(),
            },
            ..Self::default()
        }
    }

    /// How many bytes an owner takes in of a shard in so many milliseconds, more or less.
    pub(super) fn takes_in(&mut self, key: &LeaseKey, millis: u64) -> u64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let percent = 100 - self.off + (self.chance >> 33) % (2 * self.off + 1);
        let arrives = self.arrives.get(key).copied().unwrap_or_default();
        arrives * millis * percent / 100_000
    }

    pub(super) fn token(&mut self) -> String {
        self.tokens += 1;
        format!("token-{}", self.tokens)
    }

    /// The row after the write, or the row that stood against it. Nothing comes between the
    /// condition and its effect, as in every table.
    pub(super) fn write(&mut self, key: &LeaseKey, write: &Write) -> Result<Lease, Lease> {
        let row = self
            .now
            .leases
            .get_mut(key)
            .expect("no lease is deleted here");
        if !write.expect.holds(row) {
            return Err(row.clone());
        }
        write.edits().apply(row);
        self.changed = true;
        Ok(row.clone())
    }

    /// The same, and others are to hear of it.
    pub(super) fn write_aloud(&mut self, key: &LeaseKey, write: &Write) -> Result<Lease, Lease> {
        let written = self.write(key, write)?;
        self.announced.push(Hint::Lease(key.clone()));
        Ok(written)
    }

    /// Without a condition: the caller compares the row first, and nothing comes in between.
    pub(super) fn write_worker(&mut self, id: &WorkerId, row: Option<WorkerRow>) {
        self.changed = true;
        match row {
            Some(row) => drop(self.now.workers.insert(id.clone(), row)),
            None => drop(self.now.workers.remove(id)),
        }
    }

    pub(super) fn announce_worker(&mut self, id: &WorkerId) {
        self.announced.push(Hint::Worker(id.clone()));
    }

    /// Keeps the rows for readings that lag behind.
    pub(super) fn step_ends(&mut self) {
        let same = self.past.back().filter(|_| !self.changed).cloned();
        self.past
            .push_back(same.unwrap_or_else(|| Rc::new(self.now.clone())));
        if self.past.len() > PAST {
            self.past.pop_front();
        }
        self.changed = false;
    }

    /// The rows as they were so many steps ago.
    pub(super) fn as_of(&self, steps: usize) -> TableRows {
        self.past
            .iter()
            .rev()
            .nth(steps)
            .map_or_else(|| self.now.clone(), |rows| TableRows::clone(rows))
    }
}
