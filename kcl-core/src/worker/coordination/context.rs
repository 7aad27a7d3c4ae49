use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::BoxError;
use crate::decide::backoff::Backoff;
use crate::decide::expiry::Timing;
use crate::decide::shards::{Inconsistent, NewLease, ShardGraph};
use crate::lease::malformed::Malformed;
use crate::lease::{Consistency, Error, MalformedRow, ScanPage, with_causes};
use crate::model::{Lease, LeaseKey, Moment, ShardId, Timestamp, WorkerId};
use crate::runtime::{Clock, jitter, pause, within};
use crate::stream::{self, ErrorKind, ShardFilter};
use crate::tenancy::table_client::TableClient;
use crate::worker::error::RunError;
use crate::worker::event::Event;
use crate::worker::single_flight::SingleFlight;
use crate::worker::streams::ReadStream;
use crate::worker::worker::WorkerInner;

use super::link::WantedPhase;
use super::table_cache::Scan;

/// What the parts of the coordination work with.
pub(super) struct Context {
    pub(super) inner: Arc<WorkerInner>,
    pub(super) settler: TableClient,
    pub(super) timing: Timing,
    wanted: WantedPhase,
    /// Since when shards that the service did not know are missing from the listing.
    unlisted: Mutex<BTreeMap<LeaseKey, Moment>>,
    /// Audits that this worker has done.
    audits: AtomicU64,
    /// The rows of the table, for those who need them for the sake of one lease.
    rows: SingleFlight<ScanPage, CoordinationError>,
    /// Turns of those who read the rows of parents.
    parents: Semaphore,
}

/// What an audit has shown and done.
pub(super) struct Audited {
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

/// A listing of shards and the service's time when its first page was answered.
pub(crate) struct Listing {
    pub(crate) graph: ShardGraph,
    pub(crate) service_time: Timestamp,
}

/// Why something of the coordination did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoordinationError {
    #[error(transparent)]
    Table(#[from] Error),
    #[error(transparent)]
    Stream(#[from] stream::Error),
    #[error(transparent)]
    Listing(#[from] Inconsistent),
    #[error(transparent)]
    Fatal(RunError),
}

impl CoordinationError {
    /// The same of one stream of several: that it cannot be listed is no reason to stop reading the
    /// others.
    pub(super) fn of_stream(self, of: &ReadStream) -> Self {
        match self {
            Self::Stream(error)
                if of.is_one_of_several()
                    && matches!(error.kind, ErrorKind::Fatal | ErrorKind::Denied) =>
            {
                Self::Stream(stream::Error {
                    kind: ErrorKind::Unreachable,
                    ..error
                })
            }
            other => other,
        }
    }

    /// What it is to a reader, if the stream said it.
    pub(super) const fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Stream(error) => Some(error.kind),
            Self::Table(_) | Self::Listing(_) | Self::Fatal(_) => None,
        }
    }

    /// The cause, if trying again does not help.
    pub(super) fn fatal(self) -> Result<RunError, Self> {
        match self {
            Self::Fatal(error) => Ok(error),
            // That row alone: it is told of where it is seen.
            Self::Table(Error::Malformed(_)) => Err(self),
            Self::Table(error) if !error.is_transient() => Ok(RunError::LeaseTable(error)),
            Self::Stream(error)
                if matches!(
                    error.kind,
                    ErrorKind::Fatal | ErrorKind::Denied | ErrorKind::Gone
                ) =>
            {
                Ok(RunError::Stream(error))
            }
            other => Err(other),
        }
    }

    /// The stream is not there, or has no answer yet: that may change any moment.
    pub(super) fn is_not_yet(&self) -> bool {
        matches!(self, Self::Stream(error) if matches!(error.kind, ErrorKind::Gone | ErrorKind::Transient))
    }

    /// The same once more, for each of those who have asked for what did not work.
    pub(super) fn again(this: &Arc<Self>) -> Self {
        match &**this {
            Self::Table(Error::Conflict { row }) => {
                Self::Table(Error::Conflict { row: row.clone() })
            }
            Self::Table(Error::Unknown { .. }) => Self::Table(Error::Unknown {
                source: Cause::of(this),
            }),
            Self::Table(Error::Throttled { .. }) => Self::Table(Error::Throttled {
                source: Cause::of(this),
            }),
            Self::Table(Error::Malformed(row)) => Self::Table(Error::Malformed(row.clone())),
            Self::Table(Error::Denied { message }) => Self::Table(Error::Denied {
                message: message.clone(),
            }),
            Self::Table(Error::Fatal { message, source }) => Self::Table(Error::Fatal {
                message: message.clone(),
                source: source.as_ref().map(|_| Cause::of(this)),
            }),
            Self::Stream(error) => {
                let same = stream::Error::new(error.kind, error.operation, error.message.clone());
                Self::Stream(if error.source.is_some() {
                    same.caused_by(Cause::of(this))
                } else {
                    same
                })
            }
            Self::Listing(error) => Self::Listing(error.clone()),
            Self::Fatal(error) => Self::Fatal(RunError::Internal(with_causes(error))),
        }
    }
}

/// What is beneath a trouble that several have.
#[derive(Debug)]
struct Cause(Arc<CoordinationError>);

impl Cause {
    fn of(trouble: &Arc<CoordinationError>) -> BoxError {
        Box::new(Self(Arc::clone(trouble)))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .source()
            .map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(std::error::Error::source)
    }
}

/// From one try to get through to a stream to the next: 1 s, doubled up to 10 s, and down to half
/// of that.
const REACH: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
/// How often a page of a listing or of the table is tried before the whole is given up for now.
pub(super) const TRIES: u32 = 5;
pub(super) const BETWEEN_TRIES: Duration = Duration::from_millis(200);
/// How long after a question that many ask at a time was put it is put again at the earliest. The
/// service answers 100 `ListShards` a second and stream, for all who read it.
const APART: Duration = Duration::from_millis(200);

impl Context {
    pub(super) fn new(inner: Arc<WorkerInner>, wanted: WantedPhase) -> Self {
        let timing = inner.parts.settings.timing();
        let settler = TableClient::new(
            Arc::clone(&inner.parts.table),
            Arc::clone(&inner.parts.clock),
            timing.call_limit,
        );
        let outlet = inner.outlet.clone();
        let mut settler = settler.telling(move |lease, error| {
            outlet.say(Event::StepFailed {
                what: "to write a lease",
                stream: None,
                error: format!("{lease}: {error}").into(),
            });
        });
        let told = Arc::clone(&inner);
        settler.malformed = Malformed::new(move |row| tell(&told, row));
        settler.health = inner.table_health.clone();
        Self {
            inner,
            settler,
            timing,
            wanted,
            unlisted: Mutex::default(),
            audits: AtomicU64::new(0),
            rows: SingleFlight::default(),
            parents: Semaphore::new(AT_ONCE * 4),
        }
    }

    pub(super) fn me(&self) -> &WorkerId {
        &self.inner.parts.worker
    }

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
        whole.leases.retain(|lease| {
            let is_known = self.knows(&lease.key);
            if !is_known && replaced.is_none() {
                replaced = self.inner.parts.streams.replaced_by(&lease.key);
            }
            is_known
        });
        if let Some(of) = replaced {
            // Somebody else has seen it first. When that is not so, the rows are those of nobody,
            // and the question is cheap.
            if let Err(trouble) = self.describe_anew(&of).await {
                tracing::debug!(stream = %of.name, trouble = %with_causes(&trouble), "other workers read a stream that was created again");
            }
        }
        Ok(whole)
    }

    /// The whole table, with the leases of all streams.
    pub(super) async fn whole_table(&self, consistency: Consistency) -> Result<ScanPage, Error> {
        self.settler.whole_table(consistency).await
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

    pub(super) fn unlisted(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Moment>> {
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn to read the row of a parent: thousands of leases that begin together are not to crowd
    /// out the renewals.
    pub(super) async fn parents_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.parents.acquire().await.ok()
    }

    pub(super) fn audits(&self) -> u64 {
        self.audits.load(Ordering::Relaxed)
    }

    pub(super) fn count_audit(&self) {
        self.audits.fetch_add(1, Ordering::Relaxed);
    }

    /// The listing of somebody who has no use for it when the worker stops: a stop does not wait
    /// for it.
    pub(super) async fn list_while_working(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Arc<Listing>, CoordinationError> {
        tokio::select! {
            biased;
            () = self.drain() => {
                Err(stream::Error::new(ErrorKind::Transient, "ListShards", "the worker stops").into())
            }
            listing = self.list(of, filter) => listing,
        }
    }

    /// All shards that the filter lets through, by a listing that was asked for after this
    /// question. One listing of all shards is under way at a time, shared by all who have asked
    /// before it began: it may take long, and each lease may have reason to ask.
    pub(super) async fn list(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Arc<Listing>, CoordinationError> {
        if *filter != ShardFilter::All {
            return self.list_anew(of, filter).await.map(Arc::new);
        }
        let listing = of
            .listing
            .ask(&**self.clock(), APART, self.list_anew(of, filter))
            .await;
        listing.map_err(|trouble| CoordinationError::again(&trouble))
    }

    /// The service's time, by the first page of a listing of the open shards.
    pub(super) async fn service_time(
        &self,
        of: &ReadStream,
    ) -> Result<Timestamp, CoordinationError> {
        let time = of.time.ask(&**self.clock(), APART, async {
            let source = of.reader(&self.inner).await?;
            let page = self
                .stream_call(
                    "ListShards",
                    source.list_shards(&ShardFilter::AtLatest, None),
                )
                .await?;
            Ok(page.service_time)
        });
        time.await
            .map(|time| *time)
            .map_err(|trouble| CoordinationError::again(&trouble))
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

    /// A listing that was taken while a reshard happened is taken again, and one that failed,
    /// unless that has taken as long as a call may: who waits for it has to hear that the stream is
    /// out of reach, to leave its shard to others.
    async fn list_anew(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Listing, CoordinationError> {
        let asked = self.clock().now();
        let mut tries = 0;
        loop {
            tries += 1;
            let trouble = match self.list_once(of, filter).await {
                Ok(listing) => {
                    if of.consumer.is_some() && *filter == ShardFilter::All {
                        let closed = listing.graph.shards().filter(|shard| shard.closed);
                        of.listed.see(closed.map(|shard| shard.id.clone()), asked);
                    }
                    return Ok(listing);
                }
                Err(trouble) => trouble,
            };
            let again = match &trouble {
                CoordinationError::Stream(error) => {
                    matches!(
                        error.kind,
                        ErrorKind::Transient
                            | ErrorKind::Unreachable
                            | ErrorKind::Throttled
                            | ErrorKind::Expired
                    )
                }
                CoordinationError::Listing(_) => true,
                CoordinationError::Table(_) | CoordinationError::Fatal(_) => false,
            };
            let is_late = self.clock().now().since(asked) >= self.inner.parts.settings.call_limit;
            if !again || tries == TRIES || is_late {
                return Err(trouble);
            }
            pause(&**self.clock(), BETWEEN_TRIES * tries).await;
        }
    }

    async fn list_once(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Listing, CoordinationError> {
        let source = of.reader(&self.inner).await?;
        let mut shards = Vec::new();
        let (mut service_time, mut page) = (None, None);
        loop {
            let mut answer = self
                .stream_call("ListShards", source.list_shards(filter, page.as_ref()))
                .await?;
            // The first page's time: what arrived while the rest was listed is not "before".
            let service_time = *service_time.get_or_insert(answer.service_time);
            shards.append(&mut answer.shards);
            page = answer.next;
            if page.is_none() {
                return Ok(Listing {
                    graph: ShardGraph::new(shards)?,
                    service_time,
                });
            }
        }
    }

    /// Asks the stream for the first of its shards, again and again, until it answers, whatever it
    /// says. Ends when the worker stops.
    pub(super) async fn until_within_reach(&self, of: &ReadStream) {
        for tries in 0.. {
            let call = async {
                let source = of.reader(&self.inner).await?;
                self.stream_call(
                    "ListShards",
                    source.list_shards(&ShardFilter::AtLatest, None),
                )
                .await
            };
            tokio::select! {
                biased;
                () = self.drain() => return,
                answer = call => match answer {
                    Err(error) if error.kind == ErrorKind::Unreachable => {}
                    _ => return,
                },
            }
            tokio::select! {
                biased;
                () = self.drain() => return,
                () = pause(&**self.clock(), REACH.longest(tries).mul_f64(0.5 + jitter() / 2.0)) => {}
            }
        }
    }

    /// A call of the stream, bounded.
    pub(super) async fn stream_call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, stream::Error>>,
    ) -> Result<T, stream::Error> {
        let limit = self.inner.parts.settings.call_limit;
        within(&**self.clock(), limit, call)
            .await
            .unwrap_or_else(|| {
                Err(stream::Error::new(
                    ErrorKind::Unreachable,
                    operation,
                    format!("no answer within {limit:?}"),
                ))
            })
    }

    /// Makes the lease, held by this worker (`owned`) or by nobody. Nothing when it exists already,
    /// whoever made it.
    pub(super) async fn create(
        &self,
        of: &ReadStream,
        new: &NewLease,
        owned: bool,
    ) -> Result<Option<Acquired>, Error> {
        let mut lease = new.to_lease(of.identity());
        if let Some(description) = of.description() {
            lease.facts.stream_arn = Some(Arc::clone(&description.arn));
            lease.facts.stream_created_at = Some(description.created_at);
        }
        // A row at the shard's end has no owner: nothing is to be read.
        let owned = owned && !lease.checkpoint.is_shard_end();
        if owned {
            lease = lease.owned_by(self.me().clone(), self.settler.begun.begin());
        }
        let sent = self.clock().now();
        for attempt in 0..TRIES {
            if attempt > 0 {
                pause(&**self.clock(), BETWEEN_TRIES * attempt).await;
            }
            let error = match self.settler.write(self.settler.table.create(&lease)).await {
                Ok(row) => return Ok(owned.then_some((row, sent))),
                Err(Error::Conflict { row }) => {
                    // After a lost answer the row that stands there may be the one that was sent.
                    let mine = row.filter(|row| owned && row.token == lease.token);
                    if let (None, Some(token)) = (&mine, &lease.token) {
                        self.settler.begun.forget(token);
                    }
                    return Ok(mine.map(|row| (*row, sent)));
                }
                // It exists, and is nobody's until it is repaired.
                Err(Error::Malformed(_)) => {
                    self.settler.begun.abandon_row(&lease);
                    return Ok(None);
                }
                Err(error) => error,
            };
            if !error.is_transient() || attempt + 1 == TRIES {
                // It may be there all the same, or land later.
                self.settler.begun.abandon_row(&lease);
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Makes the leases of `all`, each after its parents' are acknowledged.
    pub(super) async fn create_all(
        &self,
        of: &ReadStream,
        all: &[NewLease],
        room: usize,
    ) -> Result<Vec<Acquired>, Error> {
        use futures_util::{StreamExt, stream::iter};
        let mut missing: BTreeSet<&ShardId> = all.iter().map(|new| &new.shard).collect();
        let mut left: Vec<&NewLease> = all.iter().collect();
        let (mut acquired, mut room) = (Vec::new(), room);
        while !left.is_empty() {
            let (now, later): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|new| !new.parents.iter().any(|parent| missing.contains(parent)));
            // A cycle cannot come out of a shard graph; if it did, the order would not matter any
            // more.
            let (now, later) = if now.is_empty() {
                (later, Vec::new())
            } else {
                (now, later)
            };
            let calls = now.iter().map(|new| {
                let owned = room > 0;
                room = room.saturating_sub(1);
                self.create(of, new, owned)
            });
            let calls: Vec<_> = calls.collect();
            let made: Vec<Result<Option<Acquired>, Error>> =
                iter(calls).buffer_unordered(AT_ONCE).collect().await;
            let mut failed = None;
            for made in made {
                match made {
                    Ok(made) => acquired.extend(made),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                // What was made is left to the next scan, which finds it abandoned.
                for (row, _) in &acquired {
                    self.settler.begun.abandon_row(row);
                }
                return Err(error);
            }
            for new in now {
                missing.remove(&new.shard);
            }
            left = later;
        }
        Ok(acquired)
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

/// How many leases are made at the same time.
const AT_ONCE: usize = 16;

#[cfg(test)]
#[path = "context_test.rs"]
mod tests;
