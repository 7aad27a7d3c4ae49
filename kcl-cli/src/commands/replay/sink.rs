use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kcl_core::model::{ShardId, Timestamp};
use tokio::sync::Notify;

use crate::failure::Failure;

/// The range of time, by which it is known how far a shard is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    from: i64,
    to: i64,
}

impl Range {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from: from.as_millis(),
            to: to.as_millis(),
        }
    }

    /// How much of the range is over at this time, in steps of [`Sink::ALL`].
    fn done(self, at: Timestamp) -> usize {
        let span = (self.to - self.from).max(1);
        let over = (at.as_millis() - self.from).clamp(0, span);
        usize::try_from(over * Sink::ALL as i64 / span).unwrap_or_default()
    }
}

/// Where the lines go. Every call writes whole lines and flushes, so what is stored as done has
/// left this process.
///
/// That does not mean that it is on the disk: after a crash of the machine a file may lack lines
/// whose records count as done.
pub(super) struct Sink {
    range: Range,
    written: Mutex<Written>,
    failed: Notify,
}

struct Written {
    to: Box<dyn Write + Send>,
    what: String,
    records: usize,
    /// How far each shard is, in steps of [`Sink::ALL`]. By time and not by records, as nobody
    /// knows how many there are.
    shards: BTreeMap<ShardId, usize>,
    /// The first one: those of other shards follow from it.
    failure: Option<io::Error>,
}

impl Sink {
    /// The steps of the bar.
    pub(super) const ALL: usize = 1000;

    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: Option<&Path>, range: Range) -> Result<Self, Failure> {
        let (to, what): (Box<dyn Write + Send>, _) = match path {
            None => (Box::new(io::stdout()), "standard output".to_owned()),
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|error| {
                    Failure::new(format!("cannot write to {}", path.display()), error)
                })?;
                (Box::new(file), path.display().to_string())
            }
        };
        Ok(Self {
            range,
            written: Mutex::new(Written {
                to,
                what,
                records: 0,
                shards: BTreeMap::new(),
                failure: None,
            }),
            failed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines of a shard, of which the last record arrived at this time.
    ///
    /// # Errors
    /// What is said is for the log alone: [`failed`](Self::failed) ends the replay.
    pub(super) fn write(
        &self,
        shard: &ShardId,
        lines: &str,
        records: usize,
        last: Option<Timestamp>,
    ) -> Result<(), io::Error> {
        // One lock for all shards, so that their lines do not mix.
        let mut written = self.lock();
        let outcome = written.to.write_all(lines.as_bytes());
        if let Err(error) = outcome.and_then(|()| written.to.flush()) {
            // The error itself goes to who ends the replay, and cannot be cloned.
            let kind = error.kind();
            written.failure.get_or_insert(error);
            self.failed.notify_one();
            return Err(kind.into());
        }
        written.records += records;
        if let Some(last) = last {
            let done = self.range.done(last);
            written.shards.insert(shard.clone(), done);
        }
        Ok(())
    }

    /// Notes that the shard is being read.
    pub(super) fn begins(&self, shard: &ShardId) {
        self.lock().shards.entry(shard.clone()).or_default();
    }

    /// Notes that nothing more comes of the shard: it has ended, or is read to the end of the
    /// range, whenever its last record arrived.
    pub(super) fn ends(&self, shard: &ShardId) {
        self.lock().shards.insert(shard.clone(), Self::ALL);
    }

    /// Waits until something could not be written. Cancel safe.
    pub(super) async fn failed(&self) {
        self.failed.notified().await;
    }

    /// What could not be written.
    pub(super) fn failure(&self) -> Option<Failure> {
        let mut written = self.lock();
        let error = written.failure.take()?;
        Some(Failure::new(
            format!("cannot write to {}", written.what),
            error,
        ))
    }

    /// How much of the shards that are known is done, in steps of [`ALL`](Self::ALL). It may go
    /// back when a shard is found: a reshard within the range adds some.
    pub(super) fn done(&self) -> usize {
        let written = self.lock();
        written.shards.values().sum::<usize>() / written.shards.len().max(1)
    }

    /// The records that were written, and the shards.
    pub(super) fn counts(&self) -> (usize, usize) {
        let written = self.lock();
        (written.records, written.shards.len())
    }
}
