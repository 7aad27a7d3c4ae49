//! The streams that a worker reads.
//!
//! A lease belongs to a stream by its key. In a worker of one stream the key is the shard's id
//! alone, as in the KCL; in a worker of several it begins with the identity of the stream,
//! `account:name:created`. The time of creation makes a stream that was deleted and created again
//! another stream, whose checkpoints cannot be mistaken for those of the old one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{LeaseKey, StreamName};
use crate::stream::StreamDescription;
use crate::watermark::Watermark;

mod config;
mod read_stream;

pub use config::StreamConfig;
pub(super) use config::stream_name;
pub(crate) use read_stream::ReadStream;

/// The streams of a worker: a single one, or several that can be added and removed while it runs.
#[derive(Debug)]
pub(crate) struct Streams {
    /// By name or ARN, as the application gave it. Consumers hold the `Arc` that they were started
    /// with: a stream that replaces another does not change under them.
    streams: Mutex<BTreeMap<StreamName, Arc<ReadStream>>>,
    /// Grows when a stream is added or removed. The coordination waits for it, so an added stream
    /// is audited at once.
    pub(crate) changes: Watermark,
    /// Whether there may be several, so that lease keys name their streams. Fixed when the worker
    /// is built, also for a worker of several that reads only one now: a key must not depend on how
    /// many streams there are at the moment.
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

    /// The streams at this moment. One may be removed while the caller works with it;
    /// [`Streams::has`] tells.
    pub(crate) fn all(&self) -> Vec<Arc<ReadStream>> {
        self.lock().values().cloned().collect()
    }

    /// Whether a stream is still read, that is, was neither removed nor replaced.
    pub(crate) fn has(&self, of: &Arc<ReadStream>) -> bool {
        self.lock()
            .get(&of.name)
            .is_some_and(|known| Arc::ptr_eq(known, of))
    }

    /// The stream of a lease, if this worker reads it. `None` is usual in a table that several
    /// workers with different streams share: such a lease is none of this worker's business.
    pub(crate) fn of(&self, key: &LeaseKey) -> Option<Arc<ReadStream>> {
        self.lock().values().find(|stream| stream.has(key)).cloned()
    }

    /// Adds a stream. Returns false if it is read already.
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

    /// Removes a stream. Returns whether it was being read. Nothing is deleted: its leases and
    /// checkpoints stay, and a worker that reads it later continues from them.
    pub(super) fn remove(&self, name: &StreamName) -> bool {
        let was_there = self.lock().remove(name).is_some();
        if was_there {
            self.changes.raise_by_one();
        }
        was_there
    }

    /// From now on, reads the stream that has replaced `old`. Returns false if `old` is no longer
    /// read. Several shards may find out at the same time; the first of them replaces the stream,
    /// and the others see that it is done.
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

    /// The stream of this worker that was deleted and created again, if the lease shows that. It is
    /// the *old* stream, which this worker still reads: another worker has already created leases
    /// of the new one. Nothing is replaced on that evidence; the stream is described, and only the
    /// answer counts.
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

    /// The names of the streams, for messages.
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

/// Whether the second stream has the same account and name as the first one, but was created later.
/// Both are in the KCL's serialised form. The creation time is the last part, in seconds. A text of
/// another form is no successor of anything.
fn is_successor(known: &str, seen: &str) -> bool {
    let parts = |text: &str| {
        text.rsplit_once(':')
            .and_then(|(name, second)| Some((name.to_owned(), second.parse::<u64>().ok()?)))
    };
    matches!((parts(known), parts(seen)), (Some((name, made)), Some((same, later))) if name == same && later > made)
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
