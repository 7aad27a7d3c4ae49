use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::model::{Position, Record};

/// The records of a batch: a slice that can be kept after the call. Cloning it copies no records.
///
/// A clone that is kept after `process_records` has returned keeps the whole batch in memory, which
/// the byte budget then no longer counts, and so does a single record of it.
/// [`Record::detached`] makes a copy that keeps nothing else.
#[derive(Clone, Debug)]
pub struct Records {
    all: Arc<Vec<Record>>,
    from: usize,
    to: usize,
}

impl Records {
    pub(crate) fn new(records: Vec<Record>) -> Self {
        let to = records.len();
        Self {
            all: Arc::new(records),
            from: 0,
            to,
        }
    }

    /// The same batch, starting with the first record after `done`.
    pub(crate) fn after(&self, done: &Position) -> Self {
        let from = self.all.partition_point(|record| record.position <= *done);
        Self {
            all: Arc::clone(&self.all),
            from: from.clamp(self.from, self.to),
            to: self.to,
        }
    }

    /// The same batch, starting with the first record at or after `at`.
    pub(crate) fn from(&self, at: &Position) -> Self {
        let from = self.all.partition_point(|record| record.position < *at);
        Self {
            all: Arc::clone(&self.all),
            from: from.clamp(self.from, self.to),
            to: self.to,
        }
    }
}

impl Records {
    /// These of them, by their indices.
    pub(crate) fn span(&self, span: Range<usize>) -> Self {
        let to = (self.from + span.end).min(self.to);
        Self {
            all: Arc::clone(&self.all),
            from: (self.from + span.start).min(to),
            to,
        }
    }
}

impl Deref for Records {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.all[self.from..self.to]
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = &'a Record;
    type IntoIter = std::slice::Iter<'a, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
