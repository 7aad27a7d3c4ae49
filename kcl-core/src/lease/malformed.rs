//! Rows that cannot be read, because somebody has edited them.
//!
//! One bad row must not stop more than its own shard. So it is a value that a scan returns beside
//! the good rows, not an error of the scan; only a call about that very row fails with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{LeaseKey, WorkerId};

use super::Error;

/// The key of a row of a lease table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowKey {
    /// A lease.
    Lease(LeaseKey),
    /// The row of a worker.
    Worker(WorkerId),
    /// The change signal.
    Signal,
}

impl RowKey {
    /// The lease's key, or `None` if this is not the key of a lease.
    #[must_use]
    pub const fn lease(&self) -> Option<&LeaseKey> {
        match self {
            Self::Lease(key) => Some(key),
            Self::Worker(_) | Self::Signal => None,
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease(key) => write!(f, "the lease `{key}`"),
            Self::Worker(worker) => write!(f, "the worker `{worker}`"),
            Self::Signal => f.write_str("the change signal"),
        }
    }
}

/// A row that should be a lease, a worker or the change signal but cannot be read as one, because
/// it was edited from outside.
///
/// No worker recreates, deletes or takes such a row. Every scan of the table reads it again, so it
/// is used again as soon as an operator has repaired it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attribute `{attribute}` of {row} {}: expected {allowed}", held(self.found.as_deref()))]
#[non_exhaustive]
pub struct MalformedRow {
    /// Which row.
    pub row: RowKey,
    /// The attribute, as the table names it. For example `leaseCounter` in DynamoDB, so that an
    /// operator can find it.
    pub attribute: String,
    /// The attribute's value, at most its first 160 characters. `None` if the attribute is missing.
    /// Longer values are cut: an error goes to logs and terminals.
    pub found: Option<String>,
    /// What a valid value looks like, in words.
    pub allowed: String,
}

/// How much of a value is kept, in characters: it may be anything that was written into the table.
const SHOWN: usize = 160;

impl MalformedRow {
    /// Describes the invalid attribute of this row. `found` is truncated to 160 characters; `None`
    /// says that the attribute is missing.
    #[must_use]
    pub fn new(
        row: RowKey,
        attribute: impl Into<String>,
        found: Option<&str>,
        allowed: impl Into<String>,
    ) -> Self {
        let found = found.map(|found| found.chars().take(SHOWN).collect());
        Self {
            row,
            attribute: attribute.into(),
            found,
            allowed: allowed.into(),
        }
    }

    /// The lease's key, or `None` if this is not the row of a lease.
    #[must_use]
    pub const fn lease(&self) -> Option<&LeaseKey> {
        self.row.lease()
    }
}

/// How the value reads in the error message.
fn held(found: Option<&str>) -> String {
    found.map_or_else(
        || "is missing".to_owned(),
        |found| format!("holds `{found}`"),
    )
}

/// Reports a malformed row that was not known before. Returns whether the row concerns this worker.
/// Rows of leases of other applications or streams do not: they are neither reported nor
/// remembered.
type Tell = dyn Fn(&MalformedRow) -> bool + Send + Sync;

/// The malformed rows that this worker knows. Each is reported once, and again if it is later
/// malformed in another way or after it was valid in between.
#[derive(Clone, Default)]
pub(crate) struct Malformed {
    /// What was reported of each row. It is compared as a whole, so a row that is malformed in
    /// another way is news.
    rows: Arc<Mutex<BTreeMap<RowKey, MalformedRow>>>,
    /// `None` outside of a worker, where nothing is reported.
    tell: Option<Arc<Tell>>,
}

impl Malformed {
    pub(crate) fn new(tell: impl Fn(&MalformedRow) -> bool + Send + Sync + 'static) -> Self {
        Self {
            rows: Arc::default(),
            tell: Some(Arc::new(tell)),
        }
    }

    /// Records the malformed row, if that is what a call returned.
    pub(crate) fn note<T>(&self, answer: &Result<T, Error>) {
        if let Err(Error::Malformed(row)) = answer {
            self.see(row);
        }
    }

    /// Records the malformed rows of a whole scan: all other rows are valid. A row that is not
    /// among them was repaired or deleted, and is reported again when it becomes malformed again.
    pub(crate) fn see_all(&self, rows: &[MalformedRow]) {
        self.lock()
            .retain(|key, _| rows.iter().any(|row| row.row == *key));
        rows.iter().for_each(|row| self.see(row));
    }

    /// The lock is held while it is reported, so that two calls which find the same row at the same
    /// time report it once.
    fn see(&self, row: &MalformedRow) {
        let mut rows = self.lock();
        let is_news = rows.get(&row.row) != Some(row);
        if is_news && self.tell.as_ref().is_some_and(|tell| tell(row)) {
            rows.insert(row.row.clone(), row.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RowKey, MalformedRow>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Malformed")
            .field("rows", &self.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(found: Option<&str>) -> MalformedRow {
        let key = RowKey::Lease(LeaseKey::single("shardId-0"));
        MalformedRow::new(key, "checkpoint", found, "a decimal number")
    }

    #[test]
    fn a_malformed_row_says_what_was_found_and_what_is_allowed() {
        let expected = "the attribute `checkpoint` of the lease `shardId-0` holds `x`: expected a \
            decimal number";
        assert_eq!(row(Some("x")).to_string(), expected);
        let expected = "the attribute `checkpoint` of the lease `shardId-0` is missing: expected \
            a decimal number";
        assert_eq!(row(None).to_string(), expected);
    }

    #[test]
    fn a_malformed_row_is_told_once_and_after_a_repair_again() {
        let told = Arc::new(Mutex::new(0));
        let count = Arc::clone(&told);
        let malformed = Malformed::new(move |_| {
            *count.lock().unwrap() += 1;
            true
        });
        let expect = |rows: &[MalformedRow], times| {
            malformed.see_all(rows);
            assert_eq!(*told.lock().unwrap(), times);
        };
        expect(&[row(None)], 1);
        expect(&[row(None)], 1);
        expect(&[row(Some("x"))], 2);
        expect(&[], 2);
        expect(&[row(Some("x"))], 3);
        malformed.note::<()>(&Err(row(Some("x")).into()));
        assert_eq!(*told.lock().unwrap(), 3);
        malformed.note::<()>(&Err(row(Some("y")).into()));
        assert_eq!(*told.lock().unwrap(), 4, "by an answer too");
        assert_eq!(row(None).lease(), Some(&LeaseKey::single("shardId-0")));
    }
}
