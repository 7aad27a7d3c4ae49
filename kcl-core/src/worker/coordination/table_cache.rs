//! What this worker knows of the table: the rows, each as new as it has been read, and who is
//! alive.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::fleet::LeaseEntries;
use crate::decide::members::Members;
use crate::lease::{ForeignWorkers, MalformedRow, ScanPage, WorkerRow};
use crate::model::{Lease, Moment, WorkerId};

#[derive(Debug, Default)]
pub(super) struct TableCache {
    pub(super) leases: LeaseEntries,
    pub(super) workers: BTreeMap<WorkerId, WorkerRow>,
    pub(super) members: Members,
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
        let patience = self.patience(timing);
        self.leases
            .scan(leases, (begun, ended), me, timing.look, patience);
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

    /// Takes in a row that was read by itself, or returned by a write.
    pub(super) fn see(&mut self, row: Lease, at: Moment) {
        self.members.see(&row, at);
        self.leases.see(row, at);
    }

    /// Whether every row could be read, and nothing is known to have changed that was not read
    /// since. What a scan shows of such a row may be older than the change.
    pub(super) fn is_whole(&self) -> bool {
        !self.has_malformed && self.leases.is_whole()
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
