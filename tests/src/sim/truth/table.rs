use std::collections::{BTreeMap, VecDeque};

use kcl_core::lease::{
    ChangeSignal, Changed, Error, Expect, MalformedRow, RowKey, WorkerRow, Write,
};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, WorkerId};

use crate::sim::runtime::At;

/// The rows of the lease table, with their recent past for stale reads.
#[derive(Debug, Default)]
pub(crate) struct TableTruth {
    leases: BTreeMap<LeaseKey, Versions<Lease>>,
    workers: BTreeMap<WorkerId, Versions<WorkerRow>>,
    announcements: u64,
    signal: ChangeSignal,
    /// A lease whose row somebody has edited so that it cannot be read: what it held is there again
    /// when it is repaired.
    malformed: Option<LeaseKey>,
}

/// A row, and what it was before.
#[derive(Debug)]
struct Versions<T> {
    now: Option<T>,
    /// The oldest first, each with the moment at which it came to be.
    past: VecDeque<(At, Option<T>)>,
}

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self {
            now: None,
            past: VecDeque::new(),
        }
    }
}

/// How far back stale reads can reach, in versions.
const KEPT: usize = 12;

impl<T: Clone> Versions<T> {
    fn set(&mut self, row: Option<T>, at: At) {
        self.now.clone_from(&row);
        self.past.push_back((at, row));
        if self.past.len() > KEPT {
            self.past.pop_front();
        }
    }

    /// As it was at `seen`, as far as that is known.
    fn at(&self, seen: At) -> Option<&T> {
        let later = self.past.partition_point(|(at, _)| *at <= seen);
        match later.checked_sub(1) {
            Some(index) => self.past[index].1.as_ref(),
            // Older than what is kept: the oldest version is the nearest, unless the row was made
            // since.
            None if self.past.len() < KEPT => None,
            None => self.past.front().and_then(|(_, row)| row.as_ref()),
        }
    }
}

impl TableTruth {
    pub(crate) fn get(&self, key: &LeaseKey) -> Option<&Lease> {
        self.leases.get(key).and_then(|row| row.now.as_ref())
    }

    /// The last position that the row of a lease had, as far as that is known.
    pub(crate) fn was_at(&self, key: &LeaseKey) -> Option<Checkpoint> {
        let rows = self.leases.get(key)?.past.iter().rev();
        let mut checkpoints = rows.filter_map(|(_, row)| Some(&row.as_ref()?.checkpoint));
        checkpoints
            .find(|checkpoint| matches!(checkpoint, Checkpoint::At(_)))
            .cloned()
    }

    /// Makes the row of a lease unreadable.
    pub(crate) fn spoil(&mut self, key: &LeaseKey) {
        self.malformed = Some(key.clone());
    }

    /// Makes it readable again.
    pub(crate) fn repair(&mut self) -> Option<LeaseKey> {
        self.malformed.take()
    }

    /// The lease whose row cannot be read.
    pub(crate) const fn malformed(&self) -> Option<&LeaseKey> {
        self.malformed.as_ref()
    }

    /// What is said of the row that cannot be read.
    pub(crate) fn malformed_row(&self) -> Option<MalformedRow> {
        let row = RowKey::Lease(self.malformed.clone()?);
        Some(MalformedRow::new(
            row,
            "leaseCounter",
            Some("many"),
            "a number",
        ))
    }

    /// The row of a lease as a call finds it.
    pub(crate) fn readable(&self, key: &LeaseKey) -> Result<Option<&Lease>, Error> {
        match self.malformed_row() {
            Some(row) if row.lease() == Some(key) => Err(row.into()),
            _ => Ok(self.get(key)),
        }
    }

    /// All rows as they are.
    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values().filter_map(|row| row.now.as_ref())
    }

    /// The rows after this key as they were at `seen`, at most so many, and whether there are more.
    pub(crate) fn page(
        &self,
        after: Option<&LeaseKey>,
        limit: usize,
        seen: impl Fn() -> At,
    ) -> (Vec<Lease>, bool) {
        use std::ops::Bound;
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let readable = self
            .leases
            .range::<LeaseKey, _>((begin, Bound::Unbounded))
            .filter(|(key, _)| self.malformed() != Some(*key));
        let mut rows = readable.filter_map(|(_, row)| row.at(seen()));
        let page: Vec<Lease> = rows.by_ref().take(limit).cloned().collect();
        let more = rows.next().is_some();
        (page, more)
    }

    pub(crate) fn workers_at(&self, seen: At) -> Vec<WorkerRow> {
        self.workers
            .values()
            .filter_map(|row| row.at(seen))
            .cloned()
            .collect()
    }

    pub(crate) fn worker(&self, id: &WorkerId) -> Option<&WorkerRow> {
        self.workers.get(id).and_then(|row| row.now.as_ref())
    }

    pub(crate) fn create(&mut self, lease: &Lease, at: At) -> Result<Lease, Error> {
        if let Some(row) = self.readable(&lease.key)? {
            return Err(Error::conflict(Some(row.clone())));
        }
        self.leases
            .entry(lease.key.clone())
            .or_default()
            .set(Some(lease.clone()), at);
        Ok(lease.clone())
    }

    pub(crate) fn update(&mut self, key: &LeaseKey, write: &Write, at: At) -> Result<Lease, Error> {
        let row = write.apply(self.readable(key)?)?;
        self.leases
            .entry(key.clone())
            .or_default()
            .set(Some(row.clone()), at);
        Ok(row)
    }

    pub(crate) fn delete(&mut self, key: &LeaseKey, expect: &Expect, at: At) -> Result<(), Error> {
        expect.check(self.readable(key)?)?;
        self.leases.entry(key.clone()).or_default().set(None, at);
        Ok(())
    }

    /// Puts a worker's row in the place of `seen`: nothing for a creation, no `row` for a deletion.
    pub(crate) fn worker_write(
        &mut self,
        id: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
        at: At,
    ) -> Result<(), Error> {
        let now = self.worker(id).map(WorkerRow::without_lag);
        if now != seen.map(WorkerRow::without_lag) || row.is_some_and(|row| row.worker != *id) {
            return Err(Error::conflict(None));
        }
        self.workers
            .entry(id.clone())
            .or_default()
            .set(row.cloned(), at);
        Ok(())
    }

    /// How many announcements there were.
    pub(crate) const fn announcements(&self) -> u64 {
        self.announcements
    }

    /// The change signal for one who has read of this announcement last.
    pub(crate) fn signal_for(&self, heard: u64) -> ChangeSignal {
        if heard == self.announcements {
            ChangeSignal::new(self.signal.value.clone())
        } else {
            self.signal.clone()
        }
    }

    pub(crate) fn announce(&mut self, changed: &[Changed]) {
        if !changed.is_empty() {
            self.announcements += 1;
            self.signal
                .announce(self.announcements.to_string(), changed);
        }
    }
}
