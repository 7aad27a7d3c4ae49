//! What this worker knows of the table: the rows, each as new as it has been read, and who is
//! alive.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::lease::{ForeignWorkers, MalformedRow, ScanPage, WorkerRow};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

#[derive(Debug, Default)]
pub(super) struct TableCache {
    pub(super) leases: BTreeMap<LeaseKey, Lease>,
    pub(super) workers: BTreeMap<WorkerId, WorkerRow>,
    pub(super) members: Members,
    /// When a row was last read by itself or written by this worker.
    fresh: BTreeMap<LeaseKey, Moment>,
    /// When a row was last seen to be there.
    there: BTreeMap<LeaseKey, Moment>,
    /// What shows that somebody else gives the leases away, as the last scan of all rows has shown
    /// it.
    pub(super) led: Option<String>,
    /// Whether the last scan of all rows has shown one that cannot be read: when it is repaired,
    /// nobody announces it.
    has_malformed: bool,
    /// Audits of all other workers, as they were seen last.
    audits: u64,
}

/// Rows that were read, between two moments.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) leases: Vec<Lease>,
    pub(super) workers: Vec<WorkerRow>,
    /// See [`ScanPage::malformed`].
    pub(super) malformed: Vec<MalformedRow>,
    pub(super) foreign: ForeignWorkers,
    pub(super) begun: Moment,
    pub(super) ended: Moment,
}

impl Scan {
    pub(super) fn new(rows: ScanPage, begun: Moment, ended: Moment) -> Self {
        let ScanPage {
            leases,
            workers,
            malformed,
            foreign,
            ..
        } = rows;
        Self {
            leases,
            workers,
            malformed,
            foreign,
            begun,
            ended,
        }
    }
}

impl TableCache {
    /// Takes in a scan of the whole table. It may be stale: a row that was read by itself since, or
    /// not long before, stays, unless somebody asks `me` for it.
    pub(super) fn look(&mut self, look: Scan, me: &WorkerId, timing: &Timing) {
        let Scan {
            leases,
            workers,
            malformed,
            foreign,
            begun,
            ended,
        } = look;
        self.members.see_answering(foreign.answering);
        self.led = foreign.leading;
        self.has_malformed = !malformed.is_empty();
        self.members.look(&leases, &workers, begun, ended, timing);
        self.fresh.retain(|_, at| *at + timing.look > begun);
        let mut before = std::mem::take(&mut self.leases);
        self.leases = leases
            .into_iter()
            .map(|row| (row.key.clone(), row))
            .collect();
        for key in self.fresh.keys() {
            match before.remove(key) {
                Some(row)
                    if self
                        .leases
                        .get(key)
                        .is_none_or(|seen| !is_newer(seen, &row, me)) =>
                {
                    self.leases.insert(key.clone(), row);
                }
                Some(_) => {}
                // It was read, and not there, or it is not known what it is.
                None => drop(self.leases.remove(key)),
            }
        }
        let patience = self.patience(timing);
        self.there.retain(|_, at| *at + patience > ended);
        self.there
            .extend(self.leases.keys().map(|key| (key.clone(), ended)));
        self.workers = workers
            .into_iter()
            .map(|row| (row.worker.clone(), row))
            .collect();
    }

    /// How long a row that somebody deleted is left to its holder: it puts the row back with its
    /// next write, or not at all.
    pub(super) fn patience(&self, timing: &Timing) -> Duration {
        let failover = self
            .workers
            .values()
            .map(|row| row.failover)
            .fold(timing.failover, Duration::max);
        let holder = Timing::for_failover(failover);
        holder.renew_every + holder.call_limit + timing.look
    }

    /// The rows that are there, or were a short while ago.
    pub(super) fn there_of_late(
        &self,
        now: Moment,
        timing: &Timing,
    ) -> impl Iterator<Item = &LeaseKey> {
        let patience = self.patience(timing);
        self.there
            .iter()
            .filter(move |(_, at)| **at + patience > now)
            .map(|(key, _)| key)
    }

    /// Takes in a row that was read by itself, or returned by a write.
    pub(super) fn see(&mut self, row: Lease, at: Moment) {
        self.members.see(&row, at);
        self.there.insert(row.key.clone(), at);
        self.fresh.insert(row.key.clone(), at);
        self.leases.insert(row.key.clone(), row);
    }

    /// Whether a read of the row that was begun at this moment may show it as it was before what is
    /// known of it.
    pub(super) fn is_older(&self, key: &LeaseKey, begun: Moment) -> bool {
        self.fresh.get(key).is_some_and(|at| *at > begun)
    }

    /// The row was read and is not there, or is not known any more.
    pub(super) fn forget(&mut self, key: &LeaseKey, at: Moment) {
        self.fresh.insert(key.clone(), at);
        self.leases.remove(key);
    }

    /// Whether every row could be read, and nothing is known to have changed that was not read
    /// since. What a scan shows of such a row may be older than the change.
    pub(super) fn is_whole(&self) -> bool {
        !self.has_malformed && self.fresh.keys().all(|key| self.leases.contains_key(key))
    }

    pub(super) fn see_worker(&mut self, worker: &WorkerId, row: Option<WorkerRow>, at: Moment) {
        if let Some(row) = row {
            self.members.see_worker(&row, at);
            self.workers.insert(worker.clone(), row);
        } else {
            self.members.see_no_worker(worker, at);
            self.workers.remove(worker);
        }
    }

    /// Whether an audit of anybody else's has been seen since this was asked last. Those of `me`
    /// are known, and from when they count.
    pub(super) fn has_new_audit(&mut self, me: &WorkerId) -> bool {
        let audits = self
            .workers
            .values()
            .filter(|row| row.worker != *me)
            .map(|row| row.audits)
            .sum();
        let new = audits > self.audits;
        self.audits = audits;
        new
    }
}

/// Whether a row of a scan goes before the one that is known, whenever it was read. A request moves
/// no counter; one that was withdrawn before the row was read costs an answer that the table
/// refuses.
fn is_newer(seen: &Lease, known: &Lease, me: &WorkerId) -> bool {
    let asked = |row: &Lease| row.checkpoint_owner.as_ref() == Some(me);
    let is_request = asked(seen) && !asked(known) && known.owner.as_ref() == Some(me);
    seen.counter > known.counter || seen.counter == known.counter && is_request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Token;

    #[test]
    fn the_own_audit_of_a_worker_is_no_news_to_it() {
        let (me, other) = (WorkerId::from("me"), WorkerId::from("other"));
        let mut view = TableCache::default();
        for (worker, audits, is_news) in [
            (&me, 1, false),
            (&other, 1, true),
            (&me, 2, false),
            (&other, 2, true),
        ] {
            let mut row = WorkerRow::new(
                worker.clone(),
                Token::new("incarnation"),
                Duration::from_secs(3),
            );
            row.audits = audits;
            view.workers.insert(worker.clone(), row);
            assert_eq!(view.has_new_audit(&me), is_news, "{worker} {audits}");
        }
    }
}
