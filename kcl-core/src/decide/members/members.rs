//! The memory of an observer. It is all that a worker knows of the others, and all that an
//! operator's `kcl` knows.
//!
//! Nothing in it is ever written to the table, and no two observers have the same. That is safe, as
//! what one concludes from it is a conditional write, which fails if the row has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::lease::WorkerRow;
use crate::model::{Assignee, Lease, LeaseKey, Moment, Token, WorkerId};

use super::lease_evidence::LeaseEvidence;
use super::lease_observation::{LeaseObservation, ReadingResult};
use super::seen_lease::SeenLease;
use super::worker_observation::WorkerObservation;

/// The KCL's default failover time. An owner that declares no failover time is judged by it, unless
/// this worker's is longer.
const KCL_FAILOVER: Duration = Duration::from_secs(10);

/// What one observer has seen of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// One for each row of the last scan, and for rows that were read since.
    leases: BTreeMap<LeaseKey, LeaseObservation>,
    /// Those with a row, and those that have written a lease.
    workers: BTreeMap<WorkerId, WorkerObservation>,
    /// Workers of another framework that are known to answer requests. A KCL 3.x worker shows it by
    /// a row of its own kind.
    answering: BTreeSet<WorkerId>,
    /// When the last scan began. `None` before the first one and after one that failed.
    last_look: Option<Moment>,
    /// When a row was last seen to name another worker, or a worker to join or leave. The fleet is
    /// calm if that is long ago: then nobody is about to make the moves that were planned for it.
    changed: Option<Moment>,
    /// The longest time between two readings of a worker's row that count as watching it. `None` if
    /// all rows are read by the scans alone.
    attention: Option<Duration>,
    /// Whether the fleet is quiet: then scans are far apart on purpose, and the change signal tells
    /// of what others do.
    pub(crate) is_quiet: bool,
}

impl Members {
    /// The memory of an observer that reads rows of workers between its scans. A row counts as watched
    /// while two readings of it are less than `attention` apart.
    #[must_use]
    pub fn attentive(attention: Duration) -> Self {
        Self {
            attention: Some(attention),
            ..Self::default()
        }
    }

    /// Adds a scan of the whole table that began and ended at these moments.
    ///
    /// A new counter may have been written until the scan *ended*, so its age begins there. Rows
    /// that are not in it are forgotten. If the last scan is half a failover time ago or more, all
    /// ages start at its end: a worker that was suspended for a minute would otherwise wake up and
    /// find every lease of the fleet expired. Not that of a row which was watched meanwhile.
    pub fn look(
        &mut self,
        rows: &[Lease],
        workers: &[WorkerRow],
        begun: Moment,
        ended: Moment,
        timing: &Timing,
    ) {
        let attention = timing.failover / 2;
        let is_first = self.last_look.is_none();
        if self
            .last_look
            .is_none_or(|last| ended.since(last) >= attention)
        {
            self.leases
                .values_mut()
                .for_each(|sight| sight.since = ended);
            let is_watched = self.attention.is_some() && !is_first;
            for worker in self.workers.values_mut() {
                if !(is_watched && worker.is_watched(attention, ended)) {
                    worker.start_anew(ended);
                }
            }
            // Of what others do in a quiet fleet, the change signal tells.
            if is_first || !self.is_quiet {
                self.changed = Some(ended);
            }
        }
        self.last_look = Some(begun);
        self.see_table(rows, workers, ended, timing);
    }

    /// Adds all rows of the table without asking how long the last scan is ago, for an observer
    /// that knows from other reads that it was not paused. What is no longer there is forgotten, so
    /// that an observer that watches for weeks does not keep every worker that ever was.
    pub fn see_table(
        &mut self,
        rows: &[Lease],
        workers: &[WorkerRow],
        ended: Moment,
        timing: &Timing,
    ) {
        let listed: BTreeSet<_> = workers.iter().map(|row| &row.worker).collect();
        for (id, worker) in &mut self.workers {
            if !listed.contains(id) && worker.see_none(ended) {
                self.changed = Some(ended);
            }
        }
        workers.iter().for_each(|row| self.see_worker(row, ended));
        rows.iter().for_each(|row| self.see(row, ended));
        let keys: BTreeSet<_> = rows.iter().map(|row| &row.key).collect();
        self.leases.retain(|key, _| keys.contains(key));
        self.forget_strangers(rows, ended, timing);
    }

    /// Forgets workers that have no row, are named by no lease, and have been silent for long.
    fn forget_strangers(&mut self, rows: &[Lease], now: Moment, timing: &Timing) {
        let named: BTreeSet<_> = rows
            .iter()
            .flat_map(|row| row.owner.iter().chain(&row.checkpoint_owner))
            .collect();
        let silent: Vec<_> = self
            .workers
            .keys()
            .filter(|id| !named.contains(id) && self.is_silent(id, now, timing))
            .cloned()
            .collect();
        for id in silent {
            if self
                .workers
                .get(&id)
                .is_some_and(|worker| worker.row.is_none())
            {
                self.workers.remove(&id);
            }
        }
    }

    /// Adds a single lease that was read at this moment at the latest. This does not count as a
    /// scan. A hint, or the answer to a write of this worker, brings it between two scans.
    pub fn see(&mut self, row: &Lease, at: Moment) {
        let (ReadingResult { life, renamed }, foreign) = match self.leases.get_mut(&row.key) {
            Some(sight) => (sight.take_in(row, at), sight.foreign),
            None => {
                let (sight, shown) = LeaseObservation::first(row, at);
                let foreign = sight.foreign;
                self.leases.insert(row.key.clone(), sight);
                (shown, foreign)
            }
        };
        if let Some(worker) = life {
            let worker = self.workers.entry(worker).or_default();
            worker.lives(at);
            worker.foreign = foreign;
        }
        if renamed {
            self.changed = Some(at);
        }
    }

    /// Sets which workers of another framework are known to answer requests, as the table shows
    /// now.
    pub fn see_answering(&mut self, workers: impl IntoIterator<Item = WorkerId>) {
        self.answering = workers.into_iter().collect();
    }

    /// Adds the row of a worker that was read on its own.
    pub fn see_worker(&mut self, row: &WorkerRow, at: Moment) {
        if self
            .workers
            .entry(row.worker.clone())
            .or_default()
            .see(row, at, self.attention)
        {
            self.changed = Some(at);
        }
    }

    /// How long the row of a worker has stood still, as far as it was watched. `None` if it has none.
    #[must_use]
    pub fn stands_still(&self, worker: &WorkerId, now: Moment) -> Option<Duration> {
        let row = self.workers.get(worker)?.row.as_ref()?;
        Some(now.since(row.since()))
    }

    /// Notes that the row of a worker was looked for on its own and does not exist. That is how a
    /// worker that has left is seen before the next scan.
    pub fn see_no_worker(&mut self, worker: &WorkerId, at: Moment) {
        if self.workers.entry(worker.clone()).or_default().see_none(at) {
            self.changed = Some(at);
        }
    }

    /// Notes that a scan failed: what happened in the meantime is not known, so every age starts
    /// again with the next scan. A table that was unreachable for 12 s must not make every worker
    /// take everything.
    pub const fn failed(&mut self) {
        self.last_look = None;
    }

    /// Whether the last scan is recent enough to judge by ages: less than half a failover time ago.
    /// If not, nothing is taken from a silent worker and nothing requested.
    #[must_use]
    pub fn is_watching(&self, now: Moment, timing: &Timing) -> bool {
        self.last_look
            .is_some_and(|last| now.since(last) < timing.failover / 2)
    }

    /// How long no worker was seen to join, to leave, or to be newly named by a lease.
    #[must_use]
    pub fn calm(&self, now: Moment) -> Duration {
        self.changed
            .map_or(Duration::ZERO, |changed| now.since(changed))
    }

    /// How long the counter of this lease has stood still. `None` if the lease was never seen.
    #[must_use]
    pub fn age(&self, key: &LeaseKey, now: Moment) -> Option<Duration> {
        self.leases.get(key).map(|seen| now.since(seen.since))
    }

    /// A lease: this row of it, and what was seen of it.
    #[must_use]
    pub fn lease<'a>(&'a self, row: &'a Lease) -> SeenLease<'a> {
        SeenLease::new(row, self.leases.get(&row.key))
    }

    /// What shows that a lease is held, by its token and by the row of its holder.
    pub(super) fn evidence(&self, row: &Lease, holder: &WorkerId) -> LeaseEvidence<'_> {
        let incarnation = row.token.as_ref().and_then(Token::incarnation);
        let (Some(incarnation), Some(worker)) = (incarnation, self.workers.get(holder)) else {
            return LeaseEvidence::Counter;
        };
        LeaseEvidence::of(incarnation, worker)
    }

    /// Whether any lease was seen whose holder knows no tokens, and was never seen to have a row. That
    /// of a finished shard counts while its counter moves.
    #[must_use]
    pub fn sees_foreign_leases(&self, now: Moment, timing: &Timing) -> bool {
        self.leases.values().any(|seen| {
            seen.owner.as_ref().is_some_and(|worker| {
                self.failover(worker).is_none()
                    && seen.shows_foreign(now, self.silence(worker, true, timing))
            })
        })
    }

    /// The live workers of another framework: they were seen to write leases in a way that only a
    /// KCL does. A missing token alone proves nothing.
    #[must_use]
    pub fn foreign(&self, now: Moment, timing: &Timing) -> BTreeSet<WorkerId> {
        let proven = self
            .leases
            .values()
            .filter(|sight| sight.proven)
            .filter_map(|sight| sight.holder(now));
        proven
            .filter(|worker| self.failover(worker).is_none() && self.is_alive(worker, now, timing))
            .cloned()
            .collect()
    }

    /// Whether a worker of another framework is known to answer requests. KCL versions before 3.0
    /// do not.
    #[must_use]
    pub fn is_answering(&self, worker: &WorkerId) -> bool {
        self.answering.contains(worker)
    }

    /// How long a worker may be silent: judged by the longer of its own failover time and this
    /// worker's.
    pub(super) fn silence(&self, worker: &WorkerId, foreign: bool, timing: &Timing) -> Duration {
        match self.workers.get(worker).and_then(|worker| worker.failover) {
            Some(failover) if failover > timing.failover => {
                Timing::for_failover(failover).expires_after
            }
            // Workers of another framework are judged as the KCL does: by the whole failover time.
            None if foreign => timing.failover.max(KCL_FAILOVER),
            _ => timing.expires_after,
        }
    }

    /// How long a worker may be silent before it counts as dead. An operator sees it as the time
    /// after which a worker is dead.
    #[must_use]
    pub fn patience(&self, worker: &WorkerId, timing: &Timing) -> Duration {
        let foreign = self.workers.get(worker).is_some_and(|sight| sight.foreign);
        self.silence(worker, foreign, timing)
    }

    /// Whether a worker has been silent for so long that it is dead. One whose row was not read for
    /// a while is as it was then: nobody knows what it has written since.
    #[must_use]
    pub fn is_silent(&self, worker: &WorkerId, now: Moment, timing: &Timing) -> bool {
        let Some(sight) = self.workers.get(worker) else {
            return true;
        };
        let now = match self.attention {
            Some(attention) => sight.known_until(now, attention),
            None => now,
        };
        sight
            .since
            .is_none_or(|since| now.since(since) >= self.silence(worker, sight.foreign, timing))
    }

    /// Whether a worker has been active recently and is not about to leave. Leases count for such
    /// workers, and only they are given any.
    #[must_use]
    pub fn is_alive(&self, worker: &WorkerId, now: Moment, timing: &Timing) -> bool {
        !self.is_leaving(worker) && !self.is_silent(worker, now, timing)
    }

    /// Whether a worker was seen alive once, and is silent now or leaving. A worker that was never
    /// seen is not dead: it may have just joined.
    #[must_use]
    pub fn is_dead(&self, worker: &WorkerId, now: Moment, timing: &Timing) -> bool {
        // A missing row says nothing about a worker that never had one.
        let was_seen =
            |sight: &WorkerObservation| sight.since.is_some() || sight.failover.is_some();
        self.workers.get(worker).is_some_and(was_seen) && !self.is_alive(worker, now, timing)
    }

    /// Whether a worker has set the leaving mark in its row. Its row is proof enough, however old:
    /// only a new process with the same id takes the mark back.
    #[must_use]
    pub fn is_leaving(&self, worker: &WorkerId) -> bool {
        self.workers
            .get(worker)
            .and_then(|worker| worker.row.as_ref())
            .is_some_and(|watched| watched.row().leaving)
    }

    /// Those of the `live` workers that an operator drains: they give their leases to the others and
    /// take none. Nobody is drained if there is no other worker, because somebody has to read.
    #[must_use]
    pub fn drained(&self, live: &[WorkerId]) -> BTreeSet<WorkerId> {
        let drained: BTreeSet<WorkerId> = live
            .iter()
            .filter(|worker| self.row(worker).is_some_and(WorkerRow::is_draining))
            .cloned()
            .collect();
        if drained.len() == live.len() {
            BTreeSet::new()
        } else {
            drained
        }
    }

    /// The newest known row of a worker.
    fn row(&self, worker: &WorkerId) -> Option<&WorkerRow> {
        Some(self.workers.get(worker)?.row.as_ref()?.row())
    }

    /// Whether the row of a worker is that of this very process.
    #[must_use]
    pub fn is_process(&self, of: &Assignee) -> bool {
        self.row(&of.worker)
            .is_some_and(|row| row.incarnation == of.incarnation)
    }

    /// When a worker was last seen alive. It does not restart after a pause of the observer, unlike
    /// the time from which silence counts.
    #[must_use]
    pub fn last_life(&self, worker: &WorkerId) -> Option<Moment> {
        self.workers.get(worker)?.life
    }

    /// When the row of a worker was last looked for.
    #[must_use]
    pub fn last_read(&self, worker: &WorkerId) -> Option<Moment> {
        self.workers.get(worker)?.read
    }

    /// The failover time that a worker last declared.
    #[must_use]
    pub fn failover(&self, worker: &WorkerId) -> Option<Duration> {
        self.workers.get(worker)?.failover
    }

    /// The live workers, ordered by name. The order is the same for every observer, so plans can
    /// refer to a worker by its place.
    #[must_use]
    pub fn live(&self, now: Moment, timing: &Timing) -> Vec<WorkerId> {
        self.workers
            .keys()
            .filter(|worker| self.is_alive(worker, now, timing))
            .cloned()
            .collect()
    }

    /// The newest known rows of the workers, ordered by name, except those that this observer has
    /// deleted.
    pub fn rows(&self) -> impl Iterator<Item = &WorkerRow> {
        self.workers
            .values()
            .filter(|worker| !worker.is_reaped)
            .filter_map(|worker| Some(worker.row.as_ref()?.row()))
    }

    /// The row of a dead worker, to be deleted. It is not given again unless the table shows it
    /// again.
    pub fn reap(&mut self, worker: &WorkerId) -> Option<WorkerRow> {
        let dead = self.workers.get_mut(worker)?;
        let row = dead.row.as_ref().filter(|_| !dead.is_reaped)?.row().clone();
        dead.is_reaped = true;
        Some(row)
    }

    /// The workers that were seen alive after this moment.
    pub fn alive_after(&self, moment: Moment) -> impl Iterator<Item = &WorkerId> {
        let is_alive = move |worker: &WorkerObservation| worker.life > Some(moment);
        self.workers
            .iter()
            .filter(move |(_, worker)| is_alive(worker))
            .map(|(id, _)| id)
    }

    /// Whether any worker has a row. In a fleet together with an old KCL, none has.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.workers.values().any(|worker| worker.row.is_some())
    }
}

#[cfg(test)]
#[path = "members_test.rs"]
mod tests;
