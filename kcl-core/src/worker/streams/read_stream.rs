use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::decide::shards::{ShardGraph, Unread};
use crate::fetch::fan_out::{ListedClosed, Registration};
use crate::model::{HashKeyRange, InitialPosition, Lease, LeaseKey, Moment, StreamName, Timestamp};
use crate::stream::{self, ErrorKind, Stream, StreamDescription};
use crate::worker::coordination::{CoordinationError, Listing};
use crate::worker::mode::WantedConsumer;
use crate::worker::patient_stream::Patient;
use crate::worker::service_access::ServiceAccess;
use crate::worker::single_flight::SingleFlight;
use crate::worker::status::StreamState;
use crate::worker::worker::WorkerInner;

/// The calls about a stream that are failing. They are kept apart, because each may need a
/// permission that the other does not.
#[derive(Debug, Default)]
struct StreamTrouble {
    /// `DescribeStreamSummary`. Without it, a stream of several has no identity, and no lease can
    /// be created.
    describing: FailingCall,
    /// `ListShards`. Without it, no shard can be found to have ended.
    listing: FailingCall,
}

/// The last error of a call, and since when it has failed; `None` while it succeeds.
#[derive(Debug, Default)]
struct FailingCall(Option<(Arc<str>, Moment)>);

impl FailingCall {
    /// Notes the result of a call. A further error keeps the time of the first one.
    fn came(&mut self, error: Option<Arc<str>>, now: Moment) {
        let since = self.0.as_ref().map_or(now, |(_, since)| *since);
        self.0 = error.map(|error| (error, since));
    }
}

/// A stream that a worker reads, and what is known about it. One for each stream and each creation
/// of it: a stream that was deleted and created again is another `ReadStream`. It lives as long as
/// any consumer of its shards, also after it was removed from [`Streams`](super::Streams).
#[derive(Debug)]
pub(crate) struct ReadStream {
    /// As the application gave it, a name or an ARN.
    pub(crate) name: StreamName,
    /// Where shards without a checkpoint begin. For the successor of a stream that was read from
    /// `LATEST` it is `TRIM_HORIZON`.
    pub(crate) initial_position: InitialPosition,
    /// Whether its lease keys contain its identity, to distinguish them from those of other streams
    /// in the same table.
    is_one_of_several: bool,
    /// The fan-out consumer by which it should be read; `None` for polling.
    pub(crate) consumer: Option<WantedConsumer>,
    /// How that consumer is found or made: once, for all the shards.
    registration: OnceLock<Arc<Registration>>,
    /// Set once in `Mode::Auto`. It is not cleared again in this run, so that shards do not go back
    /// and forth between two ways of reading.
    polled_instead: AtomicBool,
    /// Given by the application, or made from the environment when it is first needed: `build`
    /// makes no call.
    source: OnceCell<Arc<dyn Stream>>,
    /// Which calls are being denied, and for how long: shared by all shards, because rights are
    /// given for a stream.
    refused: OnceLock<Arc<ServiceAccess>>,
    /// What it is, as it was described last.
    description: Mutex<Option<Arc<StreamDescription>>>,
    /// Its identity in lease keys. It never changes: a stream that is made again is another
    /// `ReadStream`.
    identity: OnceLock<Arc<str>>,
    /// The hash keys that nobody reads, as two audits have found them. Two, because a single one
    /// may see a fleet in the middle of a reshard.
    unread: Mutex<Unread>,
    /// The listing of all its shards, shared by all callers.
    pub(crate) listing: SingleFlight<Listing, CoordinationError>,
    /// The call for the service's time, shared by all callers.
    pub(crate) time: SingleFlight<Timestamp, CoordinationError>,
    /// The call that describes it, shared by all callers.
    pub(crate) facts: SingleFlight<StreamDescription, CoordinationError>,
    /// Why it could not be described, and why its shards could not be listed, on the last attempts.
    trouble: Mutex<StreamTrouble>,
    /// Which of its shards are listed as closed, for subscriptions that do not say so.
    pub(crate) listed: ListedClosed,
}

impl ReadStream {
    pub(super) fn new(
        name: StreamName,
        initial_position: InitialPosition,
        is_one_of_several: bool,
        consumer: Option<WantedConsumer>,
        source: Option<Arc<dyn Stream>>,
    ) -> Self {
        Self {
            name,
            initial_position,
            is_one_of_several,
            consumer,
            registration: OnceLock::new(),
            polled_instead: AtomicBool::new(false),
            source: source.map_or_else(OnceCell::new, OnceCell::from),
            refused: OnceLock::new(),
            description: Mutex::default(),
            identity: OnceLock::new(),
            unread: Mutex::default(),
            listing: SingleFlight::default(),
            time: SingleFlight::default(),
            facts: SingleFlight::default(),
            trouble: Mutex::default(),
            listed: ListedClosed::default(),
        }
    }

    /// The source: the given one, or AWS according to the environment.
    pub(crate) async fn source(&self) -> Result<Arc<dyn Stream>, stream::Error> {
        self.source
            .get_or_try_init(|| Box::pin(from_environment(&self.name)))
            .await
            .map(Arc::clone)
    }

    /// The stream through which its shards are read and listed, in which a denial counts only after
    /// it has lasted.
    pub(crate) async fn reader(
        &self,
        inner: &WorkerInner,
    ) -> Result<Arc<dyn Stream>, stream::Error> {
        let source = self.source().await?;
        let refused = self.refused.get_or_init(|| {
            let (of, parts) = (self.name.to_string(), &inner.parts);
            Arc::new(ServiceAccess::new(
                of,
                parts.settings.refusal_limit,
                Arc::clone(&parts.clock),
                inner.outlet.clone(),
            ))
        });
        Ok(Arc::new(Patient::new(Arc::clone(refused), source)))
    }

    /// The registration of its consumer, one for all shards.
    pub(crate) fn registration(&self, make: impl FnOnce() -> Registration) -> &Arc<Registration> {
        self.registration.get_or_init(|| Arc::new(make()))
    }

    /// Whether it is polled because its consumer is not available.
    pub(crate) fn is_polled_instead(&self) -> bool {
        self.polled_instead.load(Ordering::SeqCst)
    }

    /// Switches to polling. Returns false if it was polled already. The caller that gets `true`
    /// reports it.
    pub(crate) fn poll_instead(&self) -> bool {
        !self.polled_instead.swap(true, Ordering::SeqCst)
    }

    /// The last description of the stream, once it is known.
    pub(crate) fn description(&self) -> Option<Arc<StreamDescription>> {
        self.description
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets the current description. The description of another stream that has replaced this one
    /// is not stored but returned. The comparison is by ARN and time of creation. Everything that
    /// is known of this stream (listings, leases, checkpoints) would be wrong for the other one.
    pub(crate) fn learn(
        &self,
        found: StreamDescription,
    ) -> Result<Arc<StreamDescription>, StreamDescription> {
        let mut description = self
            .description
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if description
            .as_ref()
            .is_some_and(|known| !known.is_same_stream(&found))
        {
            return Err(found);
        }
        self.identity.get_or_init(|| found.identity());
        Ok(Arc::clone(description.insert(Arc::new(found))))
    }

    /// The stream that was created again under the same name. All its records arrived after this
    /// worker had started, so `LATEST` would skip those that arrived before the change was noticed.
    pub(super) fn successor(&self, found: StreamDescription) -> Self {
        let position = match self.initial_position {
            InitialPosition::Latest => InitialPosition::TrimHorizon,
            position => position,
        };
        let new = Self::new(
            self.name.clone(),
            position,
            self.is_one_of_several,
            self.consumer.clone(),
            self.source.get().cloned(),
        );
        // Nothing is known about it yet.
        let _ = new.learn(found);
        new
    }

    /// Its identity in lease keys: `None` in a worker of one stream, and in a worker of several
    /// until the stream has been described.
    pub(crate) fn identity(&self) -> Option<Arc<str>> {
        if self.is_one_of_several {
            self.identity.get().cloned()
        } else {
            None
        }
    }

    /// Whether a lease belongs to this stream.
    pub(crate) fn has(&self, key: &LeaseKey) -> bool {
        match &key.stream {
            None => !self.is_one_of_several,
            Some(stream) => self.is_one_of_several && self.identity.get() == Some(stream),
        }
    }

    /// Notes the leases and shards after an audit. Returns the hash keys that are not read, if they
    /// have changed. They are reported once and not with every audit.
    pub(crate) fn see_unread<'a>(
        &self,
        leases: impl IntoIterator<Item = &'a Lease>,
        graph: &ShardGraph,
    ) -> Option<Vec<HashKeyRange>> {
        self.unread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .see(leases, graph)
    }

    /// Notes that its shards could be listed, or why not.
    pub(crate) fn listed(&self, error: Option<Arc<str>>, now: Moment) {
        self.trouble().listing.came(error, now);
    }

    /// Notes that it could be described, or why not.
    pub(crate) fn described(&self, error: Option<Arc<str>>, now: Moment) {
        self.trouble().describing.came(error, now);
    }

    /// Its ARN, once it has been described.
    pub(in crate::worker) fn arn(&self) -> Option<Arc<str>> {
        self.description()
            .map(|description| Arc::clone(&description.arn))
    }

    /// For how long it could not be described or its shards could not be listed, the longer of the
    /// two; zero while both succeed.
    pub(in crate::worker) fn failing_for(&self, now: Moment) -> Duration {
        let trouble = self.trouble();
        let since = [&trouble.describing, &trouble.listing]
            .into_iter()
            .filter_map(|call| call.0.as_ref());
        since
            .map(|(_, since)| now.since(*since))
            .max()
            .unwrap_or_default()
    }

    /// For the status. If both calls fail, the error of the description is shown.
    pub(in crate::worker) fn state(&self) -> StreamState {
        let trouble = self.trouble();
        let error = trouble
            .describing
            .0
            .as_ref()
            .or(trouble.listing.0.as_ref())
            .map(|(error, _)| Arc::clone(error));
        drop(trouble);
        match (self.description(), error) {
            (None, error) => StreamState::NotDescribed { error },
            (Some(_), Some(error)) => StreamState::Unreadable { error },
            (Some(_), None) => StreamState::Reading,
        }
    }

    fn trouble(&self) -> MutexGuard<'_, StreamTrouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of its own is all that its worker does, so an error that concerns it ends the
    /// worker; one of several is left unread, and the others go on.
    pub(crate) const fn is_one_of_several(&self) -> bool {
        self.is_one_of_several
    }
}

/// Region, credentials and endpoint as the SDK finds them.
#[cfg(feature = "kinesis")]
async fn from_environment(name: &StreamName) -> Result<Arc<dyn Stream>, stream::Error> {
    let stream = stream::kinesis::KinesisStream::from_env(name.clone())
        .await
        .map_err(|error| {
            stream::Error::new(ErrorKind::Fatal, "configuration", error.to_string())
                .caused_by(error)
        })?;
    Ok(Arc::new(stream))
}

#[cfg(not(feature = "kinesis"))]
#[expect(
    clippy::unused_async,
    reason = "the same signature as with the feature"
)]
async fn from_environment(name: &StreamName) -> Result<Arc<dyn Stream>, stream::Error> {
    Err(stream::Error::new(
        ErrorKind::Fatal,
        "configuration",
        format!("no source was given for the stream {name}"),
    ))
}
