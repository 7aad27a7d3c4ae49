//! The streams that a worker reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::decide::shards::{ShardGraph, Unread};
use crate::fetch::fan_out::{ListedClosed, Registration};
use crate::model::{HashKeyRange, InitialPosition, Lease, LeaseKey, Moment, StreamName, Timestamp};
use crate::stream::{self, ErrorKind, Stream, StreamDescription};
use crate::watermark::Watermark;

use super::coordination::{CoordinationError, Listing};
use super::mode::{Mode, WantedConsumer};
use super::patient_stream::Patient;
use super::service_access::ServiceAccess;
use super::single_flight::SingleFlight;
use super::status::StreamState;
use super::worker::WorkerInner;

/// A stream to read, in a worker that reads several.
///
/// ```
/// use kcl_core::InitialPosition;
/// use kcl_core::worker::{FanOutConfig, Mode, StreamConfig};
///
/// let orders = StreamConfig::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders");
/// let visits = StreamConfig::new("visits").initial_position(InitialPosition::Latest).mode(Mode::FanOut(FanOutConfig::managed()));
/// # use kcl_core::Worker;
/// let builder = Worker::builder().streams([orders, visits]);
/// # drop(builder);
/// ```
#[derive(Clone)]
#[must_use]
pub struct StreamConfig {
    name_or_arn: String,
    source: Option<Arc<dyn Stream>>,
    initial_position: Option<InitialPosition>,
    mode: Option<Mode>,
}

impl StreamConfig {
    /// The stream with this name or ARN, read from AWS with region and credentials from the
    /// environment, starting at the worker's initial position.
    pub fn new(name_or_arn: impl Into<String>) -> Self {
        Self {
            name_or_arn: name_or_arn.into(),
            source: None,
            initial_position: None,
            mode: None,
        }
    }

    pub(super) const fn of(name_or_arn: String, source: Option<Arc<dyn Stream>>) -> Self {
        Self {
            name_or_arn,
            source,
            initial_position: None,
            mode: None,
        }
    }

    /// How the stream is read.
    pub fn source(mut self, source: impl Stream) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Where to start on its shards without a checkpoint.
    pub const fn initial_position(mut self, position: InitialPosition) -> Self {
        self.initial_position = Some(position);
        self
    }

    /// How its shards are read. Default: as the worker's [settings](super::Settings::mode) say.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    pub(super) fn name_or_arn(&self) -> &str {
        &self.name_or_arn
    }

    pub(super) const fn has_source(&self) -> bool {
        self.source.is_some()
    }

    pub(super) const fn position(&self) -> Option<InitialPosition> {
        self.initial_position
    }

    pub(super) const fn own_mode(&self) -> Option<&Mode> {
        self.mode.as_ref()
    }

    pub(super) fn read(
        self,
        name: StreamName,
        default: InitialPosition,
        is_one_of_several: bool,
        consumer: Option<WantedConsumer>,
    ) -> ReadStream {
        ReadStream {
            name,
            initial_position: self.initial_position.unwrap_or(default),
            is_one_of_several,
            consumer,
            registration: OnceLock::new(),
            polled_instead: AtomicBool::new(false),
            source: self
                .source
                .map_or_else(tokio::sync::OnceCell::new, tokio::sync::OnceCell::from),
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
}

impl fmt::Debug for StreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConfig")
            .field("name_or_arn", &self.name_or_arn)
            .finish_non_exhaustive()
    }
}

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
    source: tokio::sync::OnceCell<Arc<dyn Stream>>,
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
    fn successor(&self, found: StreamDescription) -> Self {
        let position = match self.initial_position {
            InitialPosition::Latest => InitialPosition::TrimHorizon,
            position => position,
        };
        let config = StreamConfig::of(String::new(), self.source.get().cloned());
        let new = config.read(
            self.name.clone(),
            position,
            self.is_one_of_several,
            self.consumer.clone(),
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
    pub(super) fn arn(&self) -> Option<Arc<str>> {
        self.description()
            .map(|description| Arc::clone(&description.arn))
    }

    /// How long it could not be described, or its shards not be listed; nothing while both can be
    /// done.
    pub(super) fn failing_for(&self, now: Moment) -> Duration {
        let trouble = self.trouble();
        let since = [&trouble.describing, &trouble.listing]
            .into_iter()
            .filter_map(|call| call.0.as_ref());
        since
            .map(|(_, since)| now.since(*since))
            .max()
            .unwrap_or_default()
    }

    pub(super) fn state(&self) -> StreamState {
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

/// Whether the second stream, in the KCL's serialised form, was made under the name of the first
/// one after it.
fn is_successor(known: &str, seen: &str) -> bool {
    let parts = |text: &str| {
        text.rsplit_once(':')
            .and_then(|(name, second)| Some((name.to_owned(), second.parse::<u64>().ok()?)))
    };
    matches!((parts(known), parts(seen)), (Some((name, made)), Some((same, later))) if name == same && later > made)
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

/// The streams of a worker: one for good, or several that come and go while it runs.
#[derive(Debug)]
pub(crate) struct Streams {
    streams: Mutex<BTreeMap<StreamName, Arc<ReadStream>>>,
    /// Grows when a stream is added or removed.
    pub(crate) changes: Watermark,
    /// Several: the keys of leases name their streams.
    pub(crate) several: bool,
}

impl Streams {
    pub(super) fn new(streams: impl IntoIterator<Item = ReadStream>, several: bool) -> Self {
        let streams = streams
            .into_iter()
            .map(|stream| (stream.name.clone(), Arc::new(stream)))
            .collect();
        Self {
            streams: Mutex::new(streams),
            changes: Watermark::default(),
            several,
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<ReadStream>> {
        self.lock().values().cloned().collect()
    }

    /// Whether it is still read: it was neither removed nor replaced.
    pub(crate) fn has(&self, of: &Arc<ReadStream>) -> bool {
        self.lock()
            .get(&of.name)
            .is_some_and(|known| Arc::ptr_eq(known, of))
    }

    /// The stream of a lease, if this worker reads it.
    pub(crate) fn of(&self, key: &LeaseKey) -> Option<Arc<ReadStream>> {
        self.lock().values().find(|stream| stream.has(key)).cloned()
    }

    /// Whether it was not there.
    pub(super) fn add(&self, stream: ReadStream) -> bool {
        let mut streams = self.lock();
        if streams.contains_key(&stream.name) {
            return false;
        }
        streams.insert(stream.name.clone(), Arc::new(stream));
        drop(streams);
        self.changes.raise_by_one();
        true
    }

    /// Whether it was there.
    pub(super) fn remove(&self, name: &StreamName) -> bool {
        let was_there = self.lock().remove(name).is_some();
        if was_there {
            self.changes.raise_by_one();
        }
        was_there
    }

    /// Reads the stream that has taken the place of `old` from now on. Whether that was news.
    pub(crate) fn replace(&self, old: &Arc<ReadStream>, found: StreamDescription) -> bool {
        let mut streams = self.lock();
        let is_news = streams
            .get(&old.name)
            .is_some_and(|known| Arc::ptr_eq(known, old));
        if is_news {
            streams.insert(old.name.clone(), Arc::new(old.successor(found)));
        }
        drop(streams);
        if is_news {
            self.changes.raise_by_one();
        }
        is_news
    }

    /// The stream that a lease shows to have been made again, if it is one that this worker reads.
    pub(crate) fn replaced_by(&self, key: &LeaseKey) -> Option<Arc<ReadStream>> {
        let seen = key.stream.as_ref().filter(|_| self.several)?;
        self.lock()
            .values()
            .find(|of| {
                of.identity()
                    .is_some_and(|known| is_successor(&known, seen))
            })
            .cloned()
    }

    /// The names, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self
            .lock()
            .keys()
            .map(|name| name.name().to_owned())
            .collect();
        names.join(",")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamName, Arc<ReadStream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::is_successor;

    #[test]
    fn a_stream_made_later_under_the_same_name_is_a_successor() {
        assert!(is_successor("1:orders:100", "1:orders:101"));
        for seen in [
            "1:orders:100",
            "1:orders:99",
            "2:orders:101",
            "1:visits:101",
            "1:orders:x",
            "orders",
        ] {
            assert!(!is_successor("1:orders:100", seen), "{seen}");
        }
    }
}
