use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::lease::{Consistency, Error, LeaseTable, ScanPage};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};
use crate::runtime::{Clock, SystemClock, pause};

use super::{FleetView, judge};

/// What a worker of the Java KCL is judged by, and a table without rows of workers: the KCL's
/// default failover time.
const KCL_FAILOVER: Duration = Duration::from_secs(10);
/// Between two looks at the workers, at most: for a person who waits.
const PROBE: Duration = Duration::from_millis(250);
/// So many leases of a worker without a row are read to see whether it renews one.
const LEASES_PROBED: usize = 4;

/// All rows of a table. Cost: a read of every row.
///
/// # Errors
/// [`Error::Throttled`] or [`Error::Fatal`].
pub async fn read_table(
    table: &dyn LeaseTable,
    consistency: Consistency,
) -> Result<ScanPage, Error> {
    let mut all = table.scan(None, consistency).await?;
    while let Some(next) = all.next.take() {
        all.append(table.scan(Some(&next), consistency).await?);
    }
    Ok(all)
}

/// Watches a lease table from outside, as a worker would, and writes nothing.
///
/// A look is a scan of the table. Between two looks only the rows of workers of whom nothing is
/// known yet are read, one read each: of a worker without a row, up to four of its leases.
pub struct Observer {
    table: Arc<dyn LeaseTable>,
    clock: Arc<dyn Clock>,
    members: Members,
    rows: ScanPage,
    /// The rows as they were read first.
    before: BTreeMap<LeaseKey, Lease>,
    /// When they were.
    begun: Option<Moment>,
    /// When a row was read last.
    last: Moment,
}

/// How far an [`Observer`] is: for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watching {
    /// The workers whose life is judged.
    pub judged: usize,
    /// All workers.
    pub workers: usize,
    /// How long the table has been watched.
    pub watched: Duration,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("table", &self.table)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

impl Observer {
    /// An observer that has seen nothing yet, on the machine's clock.
    #[must_use]
    pub fn new(table: Arc<dyn LeaseTable>) -> Self {
        Self::with_clock(table, Arc::new(SystemClock))
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(table: Arc<dyn LeaseTable>, clock: Arc<dyn Clock>) -> Self {
        let last = clock.now();
        Self {
            table,
            clock,
            members: Members::default(),
            rows: ScanPage::default(),
            before: BTreeMap::new(),
            begun: None,
            last,
        }
    }

    /// The times that these workers are judged by: those of the shortest failover time that one
    /// declares. One with a longer time is judged by its own.
    fn timing(&self) -> Timing {
        let declared = self.rows.workers.iter().map(|row| row.failover).min();
        Timing::for_failover(declared.unwrap_or(KCL_FAILOVER))
    }

    /// Reads the whole table.
    ///
    /// # Errors
    /// As of a scan.
    pub async fn look(&mut self) -> Result<FleetView, Error> {
        let sent = self.clock.now();
        self.rows = read_table(&*self.table, Consistency::Eventual).await?;
        let now = self.clock.now();
        let timing = self.timing();
        // Whoever looks often enough goes by what was seen; after a pause nothing counts that was
        // seen before. A scan that follows probes is no pause.
        if self.begun.is_none() || self.is_late(sent) {
            self.members
                .look(&self.rows.leases, &self.rows.workers, sent, now, &timing);
        } else {
            let Self { members, rows, .. } = self;
            rows.workers
                .iter()
                .for_each(|row| members.see_worker(row, now));
            rows.leases.iter().for_each(|row| members.see(row, now));
        }
        self.members
            .see_answering(self.rows.foreign.answering.iter().cloned());
        if self.begun.is_none() {
            self.begun = Some(now);
            let keyed = |lease: &Lease| (lease.key.clone(), lease.clone());
            self.before = self.rows.leases.iter().map(keyed).collect();
        }
        self.last = now;
        Ok(self.fleet())
    }

    /// Whether so much time has passed since a row was read last that what stood still meanwhile
    /// shows nothing: this program was stopped, or the table was out of reach.
    fn is_late(&self, now: Moment) -> bool {
        now.since(self.last) >= self.timing().failover / 2
    }

    /// What is known now. Reads nothing.
    #[must_use]
    pub fn fleet(&self) -> FleetView {
        judge::fleet(&judge::Seen {
            rows: &self.rows,
            before: &self.before,
            members: &self.members,
            timing: self.timing(),
            begun: self.begun.unwrap_or_default(),
            now: self.clock.now(),
        })
    }

    /// Reads the rows of the workers of whom it is not known yet whether they are alive.
    ///
    /// # Errors
    /// As of a read of one row. A row that cannot be read is passed over.
    pub async fn probe(&mut self) -> Result<Watching, Error> {
        if self.is_late(self.clock.now()) {
            self.look().await?;
        }
        let open = self.unjudged();
        for worker in &open {
            let has_row = self.rows.workers.iter().any(|row| row.worker == *worker);
            if has_row {
                let row = self.table.get_worker(worker).await;
                let now = self.clock.now();
                match row {
                    Ok(Some(row)) => self.members.see_worker(&row, now),
                    Ok(None) => self.members.see_no_worker(worker, now),
                    Err(Error::Malformed(_)) => {}
                    Err(error) => return Err(error),
                }
            } else {
                self.probe_leases(worker).await?;
            }
        }
        self.last = self.clock.now();
        let fleet = self.fleet();
        Ok(Watching {
            judged: fleet.workers.len() - self.unjudged().len(),
            workers: fleet.workers.len(),
            watched: fleet.watched,
        })
    }

    async fn probe_leases(&mut self, worker: &WorkerId) -> Result<(), Error> {
        let held =
            |row: &&Lease| row.actual_owner() == Some(worker) && !row.checkpoint.is_shard_end();
        let keys: Vec<LeaseKey> = self
            .rows
            .leases
            .iter()
            .filter(held)
            .take(LEASES_PROBED)
            .map(|row| row.key.clone())
            .collect();
        for key in keys {
            match self.table.get(&key).await {
                Ok(Some(row)) => self.members.see(&row, self.clock.now()),
                Ok(None) | Err(Error::Malformed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The workers of whom it is not known yet whether they are alive. That one is named as an
    /// asker and nothing else shows nothing, however long it is watched.
    fn unjudged(&self) -> Vec<WorkerId> {
        let fleet = self.fleet();
        let open = fleet.workers.into_iter().filter(|worker| {
            worker.life == super::Life::Unknown && self.members.last_life(&worker.worker).is_some()
        });
        open.map(|worker| worker.worker).collect()
    }

    /// Looks, then watches until of each worker it is known whether it is alive, but for no longer
    /// than `limit`, and looks once more if it has watched. Cancel safe.
    ///
    /// # Errors
    /// As of a scan.
    pub async fn watch(&mut self, limit: Duration) -> Result<FleetView, Error> {
        self.look().await?;
        self.go_on_watching(limit, |_| {}).await
    }

    /// The same after a look; `tell` is called after each look at the workers.
    ///
    /// # Errors
    /// As of a scan.
    pub async fn go_on_watching(
        &mut self,
        limit: Duration,
        mut tell: impl FnMut(Watching),
    ) -> Result<FleetView, Error> {
        let end = self.clock.now() + limit;
        if self.unjudged().is_empty() || limit.is_zero() {
            return Ok(self.fleet());
        }
        while !self.unjudged().is_empty() && self.clock.now() < end {
            let left = end.since(self.clock.now());
            pause(&*self.clock, self.timing().look.min(PROBE).min(left)).await;
            tell(self.probe().await?);
        }
        self.look().await
    }

    /// How long a worker of this table may be silent before it counts as dead, at most: no longer
    /// needs to be watched. A tenth more, as a judgement follows a look.
    #[must_use]
    pub fn long_enough(&self) -> Duration {
        let declared = self.rows.workers.iter().map(|row| row.failover).max();
        declared.unwrap_or_default().max(KCL_FAILOVER) * 11 / 10
    }
}
