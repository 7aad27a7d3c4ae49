use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::decide::expiry::Timing;
use crate::decide::fleet::{OwnTokens, Scan};
use crate::lease::malformed::Malformed;
use crate::lease::{Changed, Consistency, Error, MalformedRow, ScanPage, with_causes};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};
use crate::runtime::Clock;
use crate::tenancy::table_client::TableClient;
use crate::worker::event::Event;
use crate::worker::single_flight::SingleFlight;
use crate::worker::worker::WorkerInner;

use super::create::AT_ONCE;
use super::error::CoordinationError;
use super::kills::{EndedIncarnations, HolderRows};
use super::link::WantedPhase;
use super::listing::APART;

/// What the loop and its jobs work with. Nothing in it decides about a lease: jobs run side by side,
/// and would otherwise depend on which of them is first.
pub(super) struct Context {
    /// The worker: its settings, streams, events, metrics.
    pub(super) inner: Arc<WorkerInner>,
    /// The calls of the table, each bounded in time.
    pub(super) client: TableClient,
    /// The times that follow from the failover time.
    pub(super) timing: Timing,
    /// What the root wants: see [`is_working`](Self::is_working).
    wanted: WantedPhase,
    /// Since when shards that the service did not know are missing from the listing. One listing may
    /// lack a shard that is there, so a shard has left only after it was missing for a while.
    unlisted: Mutex<BTreeMap<LeaseKey, Moment>>,
    /// Audits that this worker has done. Its row tells the number to the other workers, which then
    /// need not audit.
    audits: AtomicU64,
    /// The rows of the table, for those who need them for the sake of one lease. When a stream is
    /// resharded, hundreds of leases need them at the same moment: one read serves all.
    rows: SingleFlight<ScanPage, CoordinationError>,
    /// Turns of those who read the rows of parents.
    parents: Semaphore,
    /// Incarnations of other workers of which no heartbeat can land any more.
    pub(super) ended: EndedIncarnations,
    /// The rows of workers whose leases are to be taken.
    pub(super) holders: HolderRows,
    /// The way to the announcer, which ends with the loop.
    pub(super) announcer: OnceLock<mpsc::WeakUnboundedSender<Changed>>,
}

/// What an audit has shown and done.
pub(super) struct Audited {
    /// The rows as they were before anything was created.
    pub(super) look: Scan,
    /// The leases that it made.
    pub(super) made: Vec<LeaseKey>,
    /// Those of them that are this worker's.
    pub(super) acquired: Vec<Acquired>,
    /// Rows were missing that were there of late, or that somebody else is making: another audit
    /// has to come soon.
    pub(super) put_off: bool,
    /// Leases that this worker was to make for itself had been made by somebody else meanwhile:
    /// what it has seen of the fleet is old.
    pub(super) overtaken: bool,
    /// A stream is not there yet, or is still being made, and has no leases: another audit has to
    /// come soon.
    pub(super) not_yet: bool,
}

/// A lease that was acquired, and when the acquiring write was sent.
pub(super) type Acquired = (Lease, Moment);

/// How often a page of a listing or of the table is tried before the whole is given up for now.
pub(super) const TRIES: u32 = 5;
/// From the first try to the second; after each further one that much more.
pub(super) const BETWEEN_TRIES: Duration = Duration::from_millis(200);

impl Context {
    /// The calls of this worker, each bounded, with their troubles and malformed rows told as
    /// events.
    pub(super) fn new(inner: Arc<WorkerInner>, wanted: WantedPhase) -> Self {
        let timing = inner.parts.settings.timing();
        let client = TableClient::new(
            Arc::clone(&inner.parts.table),
            Arc::clone(&inner.parts.clock),
            timing.call_limit,
        );
        let outlet = inner.outlet.clone();
        let mut client = client.telling(move |lease, error| {
            outlet.say(Event::StepFailed {
                what: "to write a lease",
                stream: None,
                error: format!("{lease}: {error}").into(),
            });
        });
        let told = Arc::clone(&inner);
        client.malformed = Malformed::new(move |row| tell(&told, row));
        client.health = inner.table_health.clone();
        Self {
            inner,
            client,
            timing,
            wanted,
            unlisted: Mutex::default(),
            audits: AtomicU64::new(0),
            rows: SingleFlight::default(),
            // A consistent read of one row is a small call, so more of them than of creations.
            parents: Semaphore::new(AT_ONCE * 4),
            ended: EndedIncarnations::default(),
            holders: HolderRows::default(),
            announcer: OnceLock::new(),
        }
    }

    /// This worker's name.
    pub(super) fn me(&self) -> &WorkerId {
        &self.inner.parts.worker
    }

    /// The clock of the worker. Only differences of its times mean anything.
    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.parts.clock
    }

    /// Whether a lease is one of a stream that this worker reads.
    pub(super) fn knows(&self, key: &LeaseKey) -> bool {
        self.inner.parts.streams.of(key).is_some()
    }

    /// The whole table, less the leases of other streams: those are not this worker's.
    pub(super) async fn snapshot(&self, consistency: Consistency) -> Result<ScanPage, Error> {
        let mut whole = self.whole_table(consistency).await?;
        let mut replaced = None;
        let mut strays = Vec::new();
        whole.leases.retain(|lease| {
            let is_known = self.knows(&lease.key);
            if !is_known && self.client.begun.is_abandoned(lease) {
                strays.push(lease.clone());
            }
            if !is_known && replaced.is_none() {
                replaced = self.inner.parts.streams.replaced_by(&lease.key);
            }
            is_known
        });
        self.free(strays).await;
        if let Some(of) = replaced {
            // Somebody else has seen it first. When that is not so, the rows are those of nobody,
            // and the question is cheap.
            if let Err(trouble) = self.describe_anew(&of).await {
                tracing::debug!(stream = %of.name, trouble = %with_causes(&trouble), "other workers read a stream that was created again");
            }
        }
        Ok(whole)
    }

    /// Frees leases of streams that this worker does not read any more, and whose release was not
    /// settled. Nobody works on them, and its heartbeats would hold them for as long as it lives. What
    /// is not freed now is found by the next scan.
    async fn free(&self, strays: Vec<Lease>) {
        for row in strays {
            let is_mine = row.actual_owner() == Some(self.me());
            if is_mine
                && self.is_working()
                && let Err(error) = self.give_back(&row, None).await
            {
                tracing::debug!(lease = %row.key, error = %with_causes(&error), "an abandoned lease was not freed");
            }
        }
    }

    /// The whole table, with the leases of all streams.
    pub(super) async fn whole_table(&self, consistency: Consistency) -> Result<ScanPage, Error> {
        self.client.whole_table(consistency).await
    }

    /// Whether the worker is to take and keep leases, not to give them up.
    pub(super) fn is_working(&self) -> bool {
        self.wanted.is_work()
    }

    /// The worker cannot go on: nothing more is taken.
    pub(super) fn stop_working(&self) {
        self.wanted.stop();
    }

    /// The worker is to stop. Cancel safe.
    pub(super) async fn drain(&self) {
        self.wanted.drain().await;
    }

    /// Locked for the moment: no await may come before the guard is dropped.
    pub(super) fn unlisted(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Moment>> {
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn to read the row of a parent: thousands of leases that begin together are not to crowd
    /// out the renewals.
    pub(super) async fn parents_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.parents.acquire().await.ok()
    }

    /// Tells the other workers of a change, as long as the loop runs.
    pub(super) fn tell_all(&self, changed: Changed) {
        if let Some(announcer) = self
            .announcer
            .get()
            .and_then(mpsc::WeakUnboundedSender::upgrade)
        {
            // Nobody is left to hear it otherwise.
            let _ = announcer.send(changed);
        }
    }

    /// How many audits this worker has done.
    pub(super) fn audits(&self) -> u64 {
        self.audits.load(Ordering::Relaxed)
    }

    /// Another audit is done. Relaxed: the heartbeat may tell the number one beat late.
    pub(super) fn count_audit(&self) {
        self.audits.fetch_add(1, Ordering::Relaxed);
    }

    /// All rows, by a consistent read that was asked for after this question, shared as a listing
    /// is.
    pub(super) async fn all_rows(&self) -> Result<Arc<ScanPage>, CoordinationError> {
        let rows = self.rows.ask(&**self.clock(), APART, async {
            Ok(self.snapshot(Consistency::Strong).await?)
        });
        rows.await
            .map_err(|trouble| CoordinationError::again(&trouble))
    }
}

/// Tells of a malformed row, unless it is a lease of a stream that is not read here.
fn tell(inner: &WorkerInner, row: &MalformedRow) -> bool {
    if row
        .lease()
        .is_some_and(|key| inner.parts.streams.of(key).is_none())
    {
        return false;
    }
    inner.outlet.say(Event::RowMalformed {
        row: Arc::new(row.clone()),
    });
    true
}
