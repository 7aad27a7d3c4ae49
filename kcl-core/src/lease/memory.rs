//! A lease table in the memory of one process.
//!
//! It keeps the same contract as the other tables, but everything in it is lost with its last
//! handle. It is meant for tests, for simulations (it is the reference implementation of the
//! contract), and for a worker that may start over after each restart.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Lease, LeaseKey, ShardId, WorkerId};

use super::{
    ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, MalformedRow, PageToken, RowKey,
    ScanPage, WorkerRow, Write,
};

/// How many leases one page of a scan has. More than one page is needed so that tests meet the same
/// cases as with a service.
const PAGE: usize = 100;

/// A lease table in memory. A clone is another handle to the same rows: workers that use clones of
/// one table share its leases.
///
/// Every call completes immediately, so it never returns [`Error::Unknown`] or
/// [`Error::Throttled`].
///
/// ```
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::lease::{Consistency, LeaseTable};
/// use kcl_core::model::{Checkpoint, Lease, LeaseKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kcl_core::lease::Error> {
/// let table = MemoryLeaseTable::new();
/// let key = LeaseKey::single("shardId-000000000000");
/// table.create(&Lease::new(key.clone(), Checkpoint::TrimHorizon)).await?;
///
/// // What a test does to play an operator who edits the table:
/// table.edit(&key, |row| row.checkpoint = Checkpoint::Latest);
/// assert_eq!(table.scan(None, Consistency::Strong).await?.leases[0].checkpoint, Checkpoint::Latest);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryLeaseTable {
    rows: Arc<Mutex<Rows>>,
}

/// One lock covers all of it, so each call is atomic and a page shows the rows at one moment.
#[derive(Default)]
struct Rows {
    leases: BTreeMap<LeaseKey, Lease>,
    workers: BTreeMap<WorkerId, WorkerRow>,
    /// Rows that are to look malformed. Their contents stay in the maps above.
    malformed: BTreeMap<RowKey, MalformedRow>,
    /// The value of the next change signal: it only has to differ from the one before.
    announcements: u64,
    signal: ChangeSignal,
}

impl MemoryLeaseTable {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes a lease without any condition, like an operator who edits the table by hand. Does
    /// nothing if there is no such lease.
    pub fn edit(&self, key: &LeaseKey, edit: impl FnOnce(&mut Lease)) {
        let mut rows = self.lock();
        if let Some(lease) = rows.leases.get_mut(key) {
            edit(lease);
        }
    }

    /// Makes a row malformed as described by `row`, like an operator who edits the table by hand,
    /// until it is [repaired](Self::repair). Its contents are kept for the repair.
    pub fn spoil(&self, row: MalformedRow) {
        self.lock().malformed.insert(row.row.clone(), row);
    }

    /// Repairs a row that was [spoiled](Self::spoil): it is what it was before.
    pub fn repair(&self, row: &RowKey) {
        self.lock().malformed.remove(row);
    }

    /// A poisoned lock is safe to use: no code below panics between two parts of a write, so the
    /// rows are always whole.
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Refuses a row that was spoiled.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it was.
    fn readable(&self, row: &RowKey) -> Result<(), Error> {
        self.malformed
            .get(row)
            .map_or(Ok(()), |row| Err(row.clone().into()))
    }

    fn readable_lease(&self, key: &LeaseKey) -> Result<(), Error> {
        self.readable(&RowKey::Lease(key.clone()))
    }

    fn readable_worker(&self, worker: &WorkerId) -> Result<(), Error> {
        self.readable(&RowKey::Worker(worker.clone()))
    }
}

impl fmt::Debug for MemoryLeaseTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.lock();
        f.debug_struct("MemoryLeaseTable")
            .field("leases", &rows.leases.len())
            .field("workers", &rows.workers.len())
            .finish()
    }
}

/// The token of the page after this key. The length says where the stream ends and the shard
/// begins.
fn page_after(key: &LeaseKey) -> PageToken {
    PageToken(match &key.stream {
        Some(stream) => format!("{} {stream}{}", stream.len(), key.shard),
        None => format!("- {}", key.shard),
    })
}

/// The key that a token stands for. A token of another table is an error and not a scan from the
/// beginning, which would never end.
fn page_start(page: &PageToken) -> Result<LeaseKey, Error> {
    let parse = || {
        let (length, text) = page.0.split_once(' ')?;
        if length == "-" {
            return Some(LeaseKey::single(text));
        }
        let (stream, shard) = text.split_at_checked(length.parse().ok()?)?;
        Some(LeaseKey {
            stream: Some(stream.into()),
            shard: ShardId::new(shard),
        })
    };
    parse().ok_or_else(|| Error::Fatal {
        message: format!(
            "invalid page token `{}`: expected one from this table's last page",
            page.0
        ),
        source: None,
    })
}

#[async_trait]
impl LeaseTable for MemoryLeaseTable {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let rows = self.lock();
        rows.readable_lease(key)?;
        Ok(rows.leases.get(key).cloned())
    }

    async fn scan(&self, page: Option<&PageToken>, _: Consistency) -> Result<ScanPage, Error> {
        let after = page.map(page_start).transpose()?;
        let rows = self.lock();
        let begin = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = rows
            .leases
            .range::<LeaseKey, _>((begin, Bound::Unbounded))
            .map(|(_, lease)| lease);
        let mut leases: Vec<Lease> = rest.by_ref().take(PAGE).cloned().collect();
        let more = rest.next().is_some();
        let next = leases
            .last()
            .filter(|_| more)
            .map(|last| page_after(&last.key));
        // The other rows are few, so the first page contains all of them.
        let (mut workers, malformed): (Vec<_>, Vec<_>) = match after {
            None => (
                rows.workers.values().cloned().collect(),
                rows.malformed.values().cloned().collect(),
            ),
            Some(_) => Default::default(),
        };
        leases.retain(|lease| rows.readable_lease(&lease.key).is_ok());
        workers.retain(|row: &WorkerRow| rows.readable_worker(&row.worker).is_ok());
        Ok(ScanPage {
            leases,
            workers,
            malformed,
            next,
            ..ScanPage::default()
        })
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        let mut rows = self.lock();
        rows.readable_lease(&lease.key)?;
        if let Some(row) = rows.leases.get(&lease.key) {
            return Err(Error::conflict(Some(row.clone())));
        }
        rows.leases.insert(lease.key.clone(), lease.clone());
        Ok(lease.clone())
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let mut rows = self.lock();
        rows.readable_lease(key)?;
        let after = write.apply(rows.leases.get(key))?;
        rows.leases.insert(key.clone(), after.clone());
        Ok(after)
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        let mut rows = self.lock();
        rows.readable_lease(key)?;
        expect.check(rows.leases.get(key))?;
        rows.leases.remove(key);
        Ok(())
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        let mut rows = self.lock();
        rows.readable_worker(worker)?;
        let now = rows.workers.get(worker).map(WorkerRow::without_lag);
        if now != seen.map(WorkerRow::without_lag) {
            return Err(Error::conflict(None));
        }
        match row {
            Some(row) => rows.workers.insert(worker.clone(), row.clone()),
            None => rows.workers.remove(worker),
        };
        Ok(())
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        let rows = self.lock();
        rows.readable_worker(worker)?;
        Ok(rows.workers.get(worker).cloned())
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        let rows = self.lock();
        rows.readable(&RowKey::Signal)?;
        Ok(Some(rows.signal.clone()))
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        if !changed.is_empty() {
            let mut rows = self.lock();
            rows.readable(&RowKey::Signal)?;
            rows.announcements += 1;
            let value = rows.announcements.to_string();
            rows.signal.announce(value, changed);
        }
        Ok(())
    }

    fn change_signal_interval(&self) -> Duration {
        // Cheap: a read of the signal only takes a lock.
        Duration::from_millis(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_is_worth_reading_ten_times_a_second() {
        let table = MemoryLeaseTable::new();
        assert_eq!(table.change_signal_interval(), Duration::from_millis(100));
        assert_eq!(
            LeaseTable::change_signal_interval(&Arc::new(table)),
            Duration::from_millis(100)
        );
    }
}
