//! Reads a lease table again and again, and remembers when each row was last seen to change.
//!
//! ```text
//!   look --- probe, probe, probe ... --- look --> FleetView
//!   scan     only workers that are        scan
//!            not judged yet
//! ```
//!
//! An operator's question must not cost what a worker's does: a scan of 10,000 leases every two
//! seconds. So it scans at the beginning and at the end, and in between reads single rows, as few
//! as answer the question.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::decide::members::Members;
use crate::lease::{Consistency, Error, LeaseTable, ScanPage};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};
use crate::runtime::{Clock, SystemClock, pause};

use super::{FleetView, Life, STUCK_AFTER, judge};

/// The KCL's default failover time, by which Java workers and tables without rows of workers are
/// judged. A Java worker with a longer one that is slow to renew may look dead here. It stores no
/// failover time that could be read.
const KCL_FAILOVER: Duration = Duration::from_secs(10);
/// The longest pause between two looks at the workers, because a person is waiting.
const PROBE: Duration = Duration::from_millis(250);
/// How many leases of a worker without a row are read to see whether it renews one. A Java worker
/// renews all its leases in one round, so a few show as much as all. More would cost a read each.
const LEASES_PROBED: usize = 4;

/// Reads all rows of a table. Cost: a read of every row. Pages are read one after the other, so
/// rows may come from different times. Cancel safe: it writes nothing.
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

/// Watches a lease table from outside, as a worker would, without writing.
///
/// A look is a scan of the table. Between two looks, only the rows of workers are read of which it
/// is not known yet whether they are alive: one read each or, for a worker without a row, up to
/// four of its leases.
///
/// # Examples
/// With a progress bar, for at most as long as it takes to know of each worker:
///
/// ```
/// use std::sync::Arc;
///
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::admin::Observer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::lease::Error> {
/// let mut observer = Observer::new(Arc::new(MemoryLeaseTable::new()));
/// observer.look().await?;
/// let limit = observer.long_enough();
/// let fleet = observer
///     .go_on_watching(limit, |at| println!("{} of {} workers", at.judged, at.workers))
///     .await?;
/// assert!(fleet.judged, "there are no workers, so there was nothing to wait for");
/// # Ok(())
/// # }
/// ```
pub struct Observer {
    /// Only its reading methods are called.
    table: Arc<dyn LeaseTable>,
    /// This program's own: others' clocks are not compared.
    clock: Arc<dyn Clock>,
    /// What a worker of the fleet would know of it, in the same type.
    members: Members,
    /// The last scan. Probes update `members` and not these, so a view shows rows of one time.
    rows: ScanPage,
    /// The leases as they were first read.
    before: BTreeMap<LeaseKey, Lease>,
    /// When they were first read.
    begun: Option<Moment>,
    /// When a row was last read.
    last: Moment,
    /// From how long a standstill on a lease counts as stuck.
    stuck_after: Duration,
}

/// The progress of an [`Observer`], for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watching {
    /// How many workers are known to be alive or dead. A worker that is only named in a request
    /// counts, too: watching it longer would show nothing.
    pub judged: usize,
    /// How many workers there are.
    pub workers: usize,
    /// How long the table has been watched.
    pub watched: Duration,
}

impl Watching {
    fn is_complete(self) -> bool {
        self.judged == self.workers
    }
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
    /// Creates an observer on the system clock, which has seen nothing yet.
    #[must_use]
    pub fn new(table: Arc<dyn LeaseTable>) -> Self {
        Self::with_clock(table, Arc::new(SystemClock))
    }

    /// Creates an observer on another clock.
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
            stuck_after: STUCK_AFTER,
        }
    }

    /// The same, with another time in place of [`STUCK_AFTER`]: how long a handler may fail, or be in
    /// one call, or a shard be unreadable, before its lease counts as stuck. Workers say it after
    /// 10 s at the earliest.
    #[must_use]
    pub const fn stuck_after(mut self, span: Duration) -> Self {
        self.stuck_after = span;
        self
    }

    /// The times by which these workers are judged: those of the shortest failover time that one of
    /// them declares. A worker with a longer one is judged by its own.
    fn timing(&self) -> Timing {
        let declared = self.rows.workers.iter().map(|row| row.failover).min();
        Timing::for_failover(declared.unwrap_or(KCL_FAILOVER))
    }

    /// Reads the whole table. The first look is what later ones are compared with. Cancel safe: a
    /// look that was dropped leaves the view of the last one.
    ///
    /// # Errors
    /// As of a scan.
    pub async fn look(&mut self) -> Result<FleetView, Error> {
        let sent = self.clock.now();
        self.rows = read_table(&*self.table, Consistency::Eventual).await?;
        let now = self.clock.now();
        let timing = self.timing();
        // If looks are frequent enough, earlier ones count; after a pause, they do not. A scan that
        // follows probes is not after a pause.
        if self.begun.is_none() || self.is_late(sent) {
            self.members
                .look(&self.rows.leases, &self.rows.workers, sent, now, &timing);
        } else {
            let Self { members, rows, .. } = self;
            members.see_table(&rows.leases, &rows.workers, now, &timing);
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

    /// Whether the last read of a row is so long ago that an unchanged row proves nothing: this
    /// program was suspended, or the table unreachable.
    fn is_late(&self, now: Moment) -> bool {
        now.since(self.last) >= self.timing().failover / 2
    }

    /// The current view of the fleet. Reads nothing.
    #[must_use]
    pub fn fleet(&self) -> FleetView {
        judge::fleet(&self.seen())
    }

    /// What is known at this moment, for the judge.
    fn seen(&self) -> judge::Seen<'_> {
        judge::Seen {
            rows: &self.rows,
            before: &self.before,
            members: &self.members,
            timing: self.timing(),
            begun: self.begun.unwrap_or_default(),
            now: self.clock.now(),
            stuck_after: self.stuck_after,
        }
    }

    /// Reads the rows of the workers of which it is not known yet whether they are alive. If the
    /// last read is half a failover time ago, it scans first: what happened in between is not
    /// known, and every age starts anew.
    ///
    /// # Errors
    /// As for the read of one row. A malformed row is skipped.
    pub async fn probe(&mut self) -> Result<Watching, Error> {
        if self.is_late(self.clock.now()) {
            self.look().await?;
        }
        for worker in &self.unjudged() {
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
        Ok(self.watching())
    }

    /// Reads a few leases of a worker that has no row, as a Java worker.
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

    /// The workers of which it is not known yet whether they are alive. A worker that is only named
    /// as a requester is left out, because watching it longer would not help.
    fn unjudged(&self) -> Vec<WorkerId> {
        let seen = self.seen();
        let lives = seen.lives();
        let open = lives.into_iter().filter(|life| self.is_open(life));
        open.map(|(worker, _)| worker.clone()).collect()
    }

    /// Whether another read may show if this worker is alive.
    fn is_open(&self, (worker, life): &(&WorkerId, Life)) -> bool {
        *life == Life::Unknown && self.members.last_life(worker).is_some()
    }

    fn watching(&self) -> Watching {
        let seen = self.seen();
        let lives = seen.lives();
        let open = lives
            .iter()
            .filter(|(worker, life)| self.is_open(&(worker, **life)));
        Watching {
            judged: lives.len() - open.count(),
            workers: lives.len(),
            watched: self.last.since(self.begun.unwrap_or_default()),
        }
    }

    /// Looks, and then watches until it is known of each worker whether it is alive, but for no
    /// longer than `limit`; if it has watched, it looks once more. In a fleet that works, it takes
    /// a third of the failover time: until each worker has sent its next heartbeat. Cancel safe.
    ///
    /// # Errors
    /// As of a scan.
    pub async fn watch(&mut self, limit: Duration) -> Result<FleetView, Error> {
        self.look().await?;
        self.go_on_watching(limit, |_| {}).await
    }

    /// The same after a look. `tell` is called after each look at the workers. Returns at once if
    /// `limit` is zero. Cancel safe.
    ///
    /// # Errors
    /// As of a scan. The observer keeps what it knows, and can be called again.
    pub async fn go_on_watching(
        &mut self,
        limit: Duration,
        mut tell: impl FnMut(Watching),
    ) -> Result<FleetView, Error> {
        let end = self.clock.now() + limit;
        let mut watching = self.watching();
        if watching.is_complete() || limit.is_zero() {
            return Ok(self.fleet());
        }
        while !watching.is_complete() && self.clock.now() < end {
            let left = end.since(self.clock.now());
            pause(&*self.clock, self.timing().look.min(PROBE).min(left)).await;
            watching = self.probe().await?;
            tell(watching);
        }
        self.look().await
    }

    /// The longest time between two heartbeats of a worker of this table that lives, with some room
    /// for a late one: half of the longest failover time that a row declares, since a heartbeat
    /// comes with each third. Zero if no worker says how far behind its leases are, so that there is
    /// nothing to wait for.
    #[must_use]
    pub fn next_heartbeats(&self) -> Duration {
        let saying = self.rows.workers.iter().filter(|row| row.lag.is_some());
        saying.map(|row| row.failover).max().unwrap_or_default() / 2
    }

    /// The longest time for which a worker of this table may be silent before it counts as dead,
    /// plus a tenth, because a judgement follows a look. Watching longer is not necessary.
    #[must_use]
    pub fn long_enough(&self) -> Duration {
        let declared = self.rows.workers.iter().map(|row| row.failover).max();
        declared.unwrap_or_default().max(KCL_FAILOVER) * 11 / 10
    }
}
