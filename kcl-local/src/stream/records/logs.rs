//! The records of all streams.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Journal, JournalError, StoredRecord, StreamLog};
use crate::runtime;

/// The logs by stream name, and the journal behind them.
#[derive(Debug)]
pub(in crate::stream) struct Logs {
    /// By name. A stream that is deleted and created again gets another log.
    streams: RwLock<BTreeMap<String, Arc<StreamLog>>>,
    /// The file, if the data is kept in a folder.
    journal: Option<Journal>,
}

impl Logs {
    /// Creates empty logs. If there is a journal, records are written to it first.
    pub(in crate::stream) fn new(journal: Option<Journal>) -> Self {
        Self {
            streams: RwLock::default(),
            journal,
        }
    }

    /// Restores the logs from a journal.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read.
    pub(in crate::stream) fn restored(journal: Journal) -> Result<Self, JournalError> {
        let logs = Self::new(None);
        journal.load(
            |stream, shard, record| logs.of(&stream).append(shard, vec![record]),
            |stream, shard, next| logs.of(&stream).change(shard, |log| log.skip_to(next)),
        )?;
        Ok(Self {
            journal: Some(journal),
            ..logs
        })
    }

    /// The log of a stream, which is created if it does not exist.
    pub(in crate::stream) fn of(&self, stream: &str) -> Arc<StreamLog> {
        if let Some(log) = self
            .streams
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(stream)
        {
            return Arc::clone(log);
        }
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(streams.entry(stream.to_owned()).or_default())
    }

    /// Whether `log` is still the log of this stream, that is, the stream has not been deleted.
    pub(in crate::stream) fn is_current(&self, stream: &str, log: &Arc<StreamLog>) -> bool {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams
            .get(stream)
            .is_some_and(|current| Arc::ptr_eq(current, log))
    }

    /// Stores the records of one put, by shard, in order. The caller must hold the stream's gate.
    ///
    /// # Errors
    ///
    /// If the journal could not be written. Nothing is stored then.
    pub(in crate::stream) fn append(
        &self,
        stream: &str,
        log: &StreamLog,
        batches: BTreeMap<i64, Vec<StoredRecord>>,
    ) -> Result<(), JournalError> {
        if let Some(journal) = &self.journal {
            runtime::blocking(|| journal.append(stream, &batches))?;
        }
        for (shard, records) in batches {
            log.append(shard, records);
        }
        Ok(())
    }

    /// Drops the records of a shard that arrived before `horizon_ms`.
    ///
    /// # Errors
    ///
    /// If the journal could not be written. The records are removed from memory nevertheless.
    pub(in crate::stream) fn trim(
        &self,
        stream: &str,
        shard: i64,
        horizon_ms: u64,
    ) -> Result<(), JournalError> {
        let log = self.of(stream);
        if !log.read(shard, |log| log.has_expired(horizon_ms)) {
            return Ok(());
        }
        let (oldest, next) = log.change(shard, |log| (log.trim(horizon_ms), log.next()));
        match &self.journal {
            Some(journal) => runtime::blocking(|| journal.trim(stream, shard, oldest, next)),
            None => Ok(()),
        }
    }

    /// Removes a stream.
    ///
    /// # Errors
    ///
    /// If the journal could not be written.
    pub(in crate::stream) fn delete(&self, stream: &str) -> Result<(), JournalError> {
        self.streams
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(stream);
        match &self.journal {
            Some(journal) => runtime::blocking(|| journal.delete(stream)),
            None => Ok(()),
        }
    }

    /// Closes the journal's file, so that another process can open the folder. Later puts are
    /// rejected.
    pub(in crate::stream) fn close(&self) {
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }
}
