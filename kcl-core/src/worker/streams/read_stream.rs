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

/// What is asked of a stream and fails.
#[derive(Debug, Default)]
struct StreamTrouble {
    describing: FailingCall,
    listing: FailingCall,
}

/// The last error of a call, and since when it has failed; nothing while it is answered.
#[derive(Debug, Default)]
struct FailingCall(Option<(Arc<str>, Moment)>);

impl FailingCall {
    fn came(&mut self, error: Option<Arc<str>>, now: Moment) {
        let since = self.0.as_ref().map_or(now, |(_, since)| *since);
        self.0 = error.map(|error| (error, since));
    }
}

/// A stream that a worker reads, and what is known of it.
#[derive(Debug)]
pub(crate) struct ReadStream {
    pub(crate) name: StreamName,
    pub(crate) initial_position: InitialPosition,
    /// Its leases are told from those of other streams in the same table by its identity in their
    /// keys.
    is_one_of_several: bool,
    /// The consumer that it is to be read by; nothing: it is polled.
    pub(crate) consumer: Option<WantedConsumer>,
    registration: OnceLock<Arc<Registration>>,
    polled_instead: AtomicBool,
    source: OnceCell<Arc<dyn Stream>>,
    refused: OnceLock<Arc<ServiceAccess>>,
    description: Mutex<Option<Arc<StreamDescription>>>,
    identity: OnceLock<Arc<str>>,
    unread: Mutex<Unread>,
    /// The listing of all its shards that is under way.
    pub(crate) listing: SingleFlight<Listing, CoordinationError>,
    /// The question for the service's time that is under way.
    pub(crate) time: SingleFlight<Timestamp, CoordinationError>,
    /// The question for what it is that is under way.
    pub(crate) facts: SingleFlight<StreamDescription, CoordinationError>,
    /// Why its shards could not be listed, when that was tried last.
    trouble: Mutex<StreamTrouble>,
    /// Which of its shards are closed, for those whose subscription does not say so.
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

    /// How it is read: as it was given, or as the environment says.
    pub(crate) async fn source(&self) -> Result<Arc<dyn Stream>, stream::Error> {
        self.source
            .get_or_try_init(|| Box::pin(from_environment(&self.name)))
            .await
            .map(Arc::clone)
    }

    /// The stream as its shards are read and listed: a refusal has to last before it counts.
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

    /// The consumer on its way to be used, one for all the shards.
    pub(crate) fn registration(&self, make: impl FnOnce() -> Registration) -> &Arc<Registration> {
        self.registration.get_or_init(|| Arc::new(make()))
    }

    /// The consumer that it was to be read by is not available: it is polled instead.
    pub(crate) fn is_polled_instead(&self) -> bool {
        self.polled_instead.load(Ordering::SeqCst)
    }

    /// From now on it is polled. Whether that is news.
    pub(crate) fn poll_instead(&self) -> bool {
        !self.polled_instead.swap(true, Ordering::SeqCst)
    }

    /// What the stream is, as it was described last, once that is known.
    pub(crate) fn description(&self) -> Option<Arc<StreamDescription>> {
        self.description
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes in what the stream is now. Not that of another stream, which has taken its place: that
    /// is given back.
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

    /// The stream that was made again under the name of this one. All of it came after this worker
    /// had begun: "latest" would skip what came before that was noticed.
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
        // Nothing is known of it yet.
        let _ = new.learn(found);
        new
    }

    /// What stands in the keys of its leases: nothing in a worker of one stream; nothing yet in one
    /// of several before the stream was described.
    pub(crate) fn identity(&self) -> Option<Arc<str>> {
        if self.is_one_of_several {
            self.identity.get().cloned()
        } else {
            None
        }
    }

    /// Whether a lease is one of this stream's.
    pub(crate) fn has(&self, key: &LeaseKey) -> bool {
        match &key.stream {
            None => !self.is_one_of_several,
            Some(stream) => self.is_one_of_several && self.identity.get() == Some(stream),
        }
    }

    /// Takes in the leases and the shards as an audit has left them. The hash keys that nobody
    /// reads, if that is news.
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

    /// Its shards could be listed, or not for this reason.
    pub(crate) fn listed(&self, error: Option<Arc<str>>, now: Moment) {
        self.trouble().listing.came(error, now);
    }

    /// It could be described, or not for this reason.
    pub(crate) fn described(&self, error: Option<Arc<str>>, now: Moment) {
        self.trouble().describing.came(error, now);
    }

    /// Its ARN, once it was described.
    pub(in crate::worker) fn arn(&self) -> Option<Arc<str>> {
        self.description()
            .map(|description| Arc::clone(&description.arn))
    }

    /// How long it could not be described, or its shards not be listed; nothing while both can be
    /// done.
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

    pub(crate) const fn is_one_of_several(&self) -> bool {
        self.is_one_of_several
    }
}

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
