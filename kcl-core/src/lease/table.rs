use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Lease, LeaseKey, WorkerId};

use super::{ChangeSignal, Changed, Error, Expect, MalformedRow, RowKey, WorkerRow, Write};

/// Where leases are stored: one row per shard, shared by all workers of an application.
///
/// Six methods are required. The others have defaults that are correct, but worth replacing if the
/// store can do better.
///
/// | method | what | condition |
/// |---|---|---|
/// | [`get`](Self::get) | reads a lease | |
/// | [`scan`](Self::scan) | reads all rows, page by page | |
/// | [`create`](Self::create) | creates a lease | there is no row with its key |
/// | [`update`](Self::update) | changes a lease | [`Write::expect`] |
/// | [`delete`](Self::delete) | deletes a lease | the given [`Expect`] |
/// | [`write_worker`](Self::write_worker) | creates, replaces or deletes the row of a worker, which is its heartbeat | the row is as it was last seen |
/// | [`setup`](Self::setup) | prepares the table | default: does nothing |
/// | [`get_worker`](Self::get_worker) | reads the row of a worker | default: searches a scan for it |
/// | [`change_signal`](Self::change_signal), [`announce`](Self::announce) | change notification | default: none, workers rely on scans |
/// | [`change_signal_interval`](Self::change_signal_interval) | how often workers read the signal | default: 500 ms |
///
/// # The contract
///
/// 1. **Every write is conditional and atomic.** No other write comes between the check of the
///    condition and the write. If the condition does not hold, nothing is written, and the call
///    returns [`Error::Conflict`] with the current row.
/// 2. **No update creates a row.** Only [`create`](Self::create) creates rows, and only
///    [`delete`](Self::delete) deletes them.
/// 3. **Every write returns the row as it is afterwards**, so that an owner learns with each of its
///    writes what others have done to the row.
/// 4. **A write with an unknown outcome is reported as unknown.** A write whose answer was lost is
///    [`Error::Unknown`], never a success and never a conflict. It may still be applied after the
///    error was returned. A table that retries a write itself must not report the retry's conflict
///    as a conflict unless it knows that the first attempt had no effect.
/// 5. **[`get`](Self::get) and [`get_worker`](Self::get_worker) are consistent**: they see every
///    write that was acknowledged before they began. [`scan`](Self::scan) with
///    [`Consistency::Eventual`] may be stale, and its pages need not show the table at a single
///    instant.
/// 6. **Unknown attributes and rows are kept**: what other programs have stored in the table
///    survives every write.
/// 7. **A checkpoint is stored exactly**: sentinels, sequence numbers of any length, sub-sequence
///    numbers, pending state bytes.
/// 8. **Every call ends.** The table limits how long each call can take, to well below the failover
///    time.
/// 9. **A malformed row does not affect the others.** A row may be edited from outside so that it
///    is no longer a valid lease. A scan lists such a row in [`ScanPage::malformed`], and a call
///    that reads it, or whose condition it does not meet, returns [`Error::Malformed`].
/// 10. **Reads write nothing.** A table creates, changes and cleans up only in
///     [`setup`](Self::setup) and in write calls.
///
/// The test suite `kcl_core::testing::lease_table` (feature `testing`) checks every point that can
/// be observed from outside.
///
/// # Example
///
/// This is the smallest table that keeps the contract; it passes the suite. For a store that can
/// read and write a row in one transaction, [`Write::apply`] is the whole protocol. For a store
/// that takes the condition and the change separately, as SQL and DynamoDB do, [`Expect`] and
/// [`Edits`](super::Edits) give them attribute by attribute.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Mutex, MutexGuard, PoisonError};
///
/// use async_trait::async_trait;
/// use kcl_core::lease::{Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow, Write};
/// use kcl_core::model::{Lease, LeaseKey, WorkerId};
///
/// #[derive(Debug, Default)]
/// struct OwnTable(Mutex<Rows>);
///
/// #[derive(Debug, Default)]
/// struct Rows {
///     leases: BTreeMap<LeaseKey, Lease>,
///     workers: BTreeMap<WorkerId, WorkerRow>,
/// }
///
/// impl OwnTable {
///     /// Stands for the transaction of a database.
///     fn begin(&self) -> MutexGuard<'_, Rows> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner)
///     }
/// }
///
/// #[async_trait]
/// impl LeaseTable for OwnTable {
///     async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
///         Ok(self.begin().leases.get(key).cloned())
///     }
///
///     async fn scan(&self, _: Option<&PageToken>, _: Consistency) -> Result<ScanPage, Error> {
///         let rows = self.begin();
///         let mut all = ScanPage::default(); // One page: `next` stays empty.
///         all.leases = rows.leases.values().cloned().collect();
///         all.workers = rows.workers.values().cloned().collect();
///         Ok(all)
///     }
///
///     async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
///         let mut rows = self.begin();
///         if let Some(row) = rows.leases.get(&lease.key) {
///             return Err(Error::conflict(Some(row.clone())));
///         }
///         rows.leases.insert(lease.key.clone(), lease.clone());
///         Ok(lease.clone())
///     }
///
///     async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
///         let mut rows = self.begin();
///         let after = write.apply(rows.leases.get(key))?;
///         rows.leases.insert(key.clone(), after.clone());
///         Ok(after)
///     }
///
///     async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
///         let mut rows = self.begin();
///         expect.check(rows.leases.get(key))?;
///         rows.leases.remove(key);
///         Ok(())
///     }
///
///     async fn write_worker(
///         &self,
///         worker: &WorkerId,
///         seen: Option<&WorkerRow>,
///         row: Option<&WorkerRow>,
///     ) -> Result<(), Error> {
///         let mut rows = self.begin();
///         let now = rows.workers.get(worker).map(WorkerRow::without_lag);
///         if now != seen.map(WorkerRow::without_lag) {
///             return Err(Error::conflict(None));
///         }
///         match row {
///             Some(row) => rows.workers.insert(worker.clone(), row.clone()),
///             None => rows.workers.remove(worker),
///         };
///         Ok(())
///     }
/// }
/// # #[cfg(feature = "testing")]
/// # mod contract {
/// #     use std::sync::Arc;
/// #     use kcl_core::lease::LeaseTable;
/// #     use kcl_core::testing::lease_table::{TableFixture, suite};
/// #     struct Fresh(Arc<super::OwnTable>);
/// #     #[async_trait::async_trait]
/// #     impl TableFixture for Fresh {
/// #         async fn handle(&self) -> Arc<dyn LeaseTable> {
/// #             Arc::clone(&self.0) as Arc<dyn LeaseTable>
/// #         }
/// #     }
/// #     pub(super) fn holds() {
/// #         let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
/// #         runtime.block_on(suite(|| async { Fresh(Arc::default()) }));
/// #     }
/// # }
/// # fn main() {
/// #     #[cfg(feature = "testing")]
/// #     contract::holds();
/// # }
/// ```
///
/// # Wrappers
///
/// A table that wraps another one must forward the methods with defaults as well. Otherwise the
/// defaults replace the inner table's implementations.
///
/// # Cancel safety
///
/// Dropping the future of a write ([`create`](Self::create), [`update`](Self::update),
/// [`delete`](Self::delete), [`write_worker`](Self::write_worker), [`announce`](Self::announce)) is
/// the same as losing its answer: the write may or may not be applied. The futures of reads can be
/// dropped at any time, and [`setup`](Self::setup) can be called again after its future was
/// dropped.
///
/// # Cost
///
/// For each lease that it holds, a worker calls [`update`](Self::update) with each checkpoint and,
/// where leases are renewed, every third of the failover time. It calls
/// [`write_worker`](Self::write_worker) every third of the failover time,
/// [`change_signal`](Self::change_signal) once per interval, and [`scan`](Self::scan) about every
/// fifth of the failover time while there are other workers, less often when it is alone. The other
/// calls are rare.
#[async_trait]
pub trait LeaseTable: fmt::Debug + Send + Sync + 'static {
    /// Prepares the table: creates it if it is missing and may be created, upgrades it, and checks
    /// that it can be used. A worker calls this once, before everything else. It must be safe to
    /// call again, and from several workers at once.
    ///
    /// The default does nothing, for a table that is always ready.
    ///
    /// # Errors
    /// [`Error::Fatal`] says what is wrong with the table, and [`Error::Denied`] which permission
    /// is missing. [`Error::Throttled`] means that the table cannot be reached now.
    async fn setup(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads one lease, with strong consistency. `None` if there is no such row. Cost: a read of
    /// one row.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error>;

    /// Reads one page of all rows. Start with `None` and continue with [`ScanPage::next`] until
    /// that is `None`. A row that exists from the first page to the last is listed exactly once,
    /// whatever happens to other rows in the meantime. Cost of all pages: a read of every row.
    ///
    /// # Errors
    /// [`Error::Throttled`] or [`Error::Fatal`]. A malformed row is not an error: it is listed in
    /// [`ScanPage::malformed`].
    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error>;

    /// Creates a lease exactly as given, if there is no row with its key, and returns it. Cost: a
    /// write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] has the row that exists. [`Error::Malformed`] means that a row exists
    /// but cannot be read, and [`Error::Unknown`] that the lease may have been created.
    async fn create(&self, lease: &Lease) -> Result<Lease, Error>;

    /// If a lease meets [`Write::expect`], makes [`Write::change`] and returns the row as it is
    /// afterwards. Every write on an existing lease is one of these: heartbeat, checkpoint, take,
    /// request, hand-over and so on. Cost: a write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] has the current row, or `None` if the row does not exist.
    /// [`Error::Malformed`] means that the row cannot be read, whether it was written or not, and
    /// [`Error::Unknown`] that the change may have been made.
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error>;

    /// Deletes a lease that meets the condition. Cost: a write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] has the current row, or `None` if there is no row. [`Error::Malformed`]
    /// means that the row cannot be read, and [`Error::Unknown`] that the lease may have been
    /// deleted.
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error>;

    /// Writes the row of a worker, if the current row is exactly `seen` but for its
    /// [lag](WorkerRow::lag), which is stored but never compared. If `seen` is `None`, this
    /// creates the row; if `row` is `None`, it deletes the row; with both, it replaces the row.
    /// Both are rows of `worker`. A worker writes its own row as its heartbeat, and deletes the
    /// rows of dead workers. Cost: a write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] (without a lease) if the row is not `seen`, [`Error::Malformed`] if it
    /// cannot be read, and [`Error::Unknown`] if it may have been written.
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error>;

    /// Reads the row of a worker, with strong consistency. `None` if there is no such row.
    ///
    /// The default searches a scan for it. A worker calls this when it starts and when it learns of
    /// another worker, so replace the default if the store can read a single row by its key.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        let mut page = None;
        loop {
            let found = self.scan(page.as_ref(), Consistency::Strong).await?;
            if let Some(row) = found.workers.into_iter().find(|row| row.worker == *worker) {
                return Ok(Some(row));
            }
            let key = RowKey::Worker(worker.clone());
            if let Some(row) = found
                .malformed
                .into_iter()
                .find(|malformed| malformed.row == key)
            {
                return Err(row.into());
            }
            page = found.next;
            if page.is_none() {
                return Ok(None);
            }
        }
    }

    /// Reads the row of a worker as a scan would show it, that is, with eventual consistency: it may be
    /// a moment old. A worker of a quiet fleet calls this once in each heartbeat of another worker.
    ///
    /// The default is [`get_worker`](Self::get_worker). Replace it if consistency has a price.
    ///
    /// # Errors
    /// As for [`get_worker`](Self::get_worker).
    async fn glance_at_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.get_worker(worker).await
    }

    /// Change notification: a cheap read of a value that differs after every
    /// [announcement](Self::announce). Two equal values mean that nothing was announced in between.
    /// Without a signal (`None`), workers see the changes of others only by their scans, which is
    /// correct but slower by up to one scan interval.
    ///
    /// The default returns `None`.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        Ok(None)
    }

    /// Changes the signal after writes that other workers should see at once, and records what has
    /// changed. It adds to the announcements of other workers and must not overwrite them. An empty
    /// `changed` does nothing. Correctness never depends on this call, only speed.
    ///
    /// The default does nothing, because there is no signal.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        let _ = changed;
        Ok(())
    }

    /// The application that the table belongs to, if it knows.
    /// [`Builder::build`](crate::worker::Builder::build) then rejects a worker of another
    /// application. The default is `None`, for a table that does not know, such as one in memory.
    fn application(&self) -> Option<&str> {
        None
    }

    /// How often workers read the [`change_signal`](Self::change_signal): the delay after which
    /// they learn of a change, against the cost of the read. A worker whose failover time is shorter
    /// than five of these intervals reads it in every fifth of that time instead. The default is
    /// 500 ms.
    fn change_signal_interval(&self) -> Duration {
        Duration::from_millis(500)
    }
}

/// How fresh the result of a [`scan`](LeaseTable::scan) has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// A page shows every write that was acknowledged before the page was requested.
    Strong,
    /// The result may be slightly stale. Costs half as much on DynamoDB.
    Eventual,
}

/// Where the next page begins: text in the table's own format, opaque to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub String);

/// One page of rows.
///
/// ```
/// use kcl_core::lease::{Consistency, Error, LeaseTable, ScanPage};
///
/// /// Reads all rows, page by page.
/// async fn all(table: &dyn LeaseTable) -> Result<ScanPage, Error> {
///     let mut all = table.scan(None, Consistency::Eventual).await?;
///     while let Some(next) = all.next.take() {
///         all.append(table.scan(Some(&next), Consistency::Eventual).await?);
///     }
///     Ok(all)
/// }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(all(&kcl_core::MemoryLeaseTable::new()))?;
/// # Ok::<(), kcl_core::BoxError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanPage {
    /// The leases.
    pub leases: Vec<Lease>,
    /// The rows of this framework's workers.
    pub workers: Vec<WorkerRow>,
    /// Rows that cannot be read. They are not in the lists above.
    pub malformed: Vec<MalformedRow>,
    /// What the table knows about workers of another framework with which it is shared. Empty if it
    /// is not shared.
    pub foreign: ForeignWorkers,
    /// Where the next page begins, or `None` after the last page.
    pub next: Option<PageToken>,
}

impl ScanPage {
    /// Adds the rows of the page that follows this one.
    pub fn append(&mut self, mut page: Self) {
        self.leases.append(&mut page.leases);
        self.workers.append(&mut page.workers);
        self.malformed.append(&mut page.malformed);
        self.foreign.answering.append(&mut page.foreign.answering);
        self.foreign.may_share |= page.foreign.may_share;
        self.foreign.may_join |= page.foreign.may_join;
        if page.foreign.leading.is_some() {
            self.foreign.leading = page.foreign.leading;
        }
        self.next = page.next;
    }
}

/// Workers of another framework that share the table, such as the Java KCL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignWorkers {
    /// Whether such workers may hold leases of this table, or take them at any moment. They judge a
    /// lease by its counter alone, so every worker renews each of its leases then.
    pub may_share: bool,
    /// Whether such workers may start on this table at any moment. Where heartbeats hold the leases,
    /// one worker of the fleet then scans at least each 5 s, so that all renew their leases before they
    /// are judged.
    pub may_join: bool,
    /// The workers that are known to answer a request for a lease.
    pub answering: Vec<WorkerId>,
    /// If one of them is a leader that assigns the leases of this table, the evidence for it, in
    /// words. No worker of this framework then takes or requests a lease.
    pub leading: Option<String>,
}

#[async_trait]
impl<T: LeaseTable + ?Sized> LeaseTable for Arc<T> {
    async fn setup(&self) -> Result<(), Error> {
        (**self).setup().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        (**self).get(key).await
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        (**self).scan(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        (**self).create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        (**self).update(key, write).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        (**self).delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        (**self).write_worker(worker, seen, row).await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        (**self).get_worker(worker).await
    }

    async fn glance_at_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        (**self).glance_at_worker(worker).await
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        (**self).change_signal().await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        (**self).announce(changed).await
    }

    fn application(&self) -> Option<&str> {
        (**self).application()
    }

    fn change_signal_interval(&self) -> Duration {
        (**self).change_signal_interval()
    }
}
