use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Lease, LeaseKey, WorkerId};

use super::{ChangeSignal, Changed, Error, Expect, MalformedRow, RowKey, WorkerRow, Write};

/// Where leases are kept: one row a shard, shared by the workers of one application.
///
/// Six methods have to be written; the others have defaults that are correct, and worth replacing
/// where the store can do better.
///
/// | method | what | condition |
/// |---|---|---|
/// | [`get`](Self::get) | reads a lease | |
/// | [`scan`](Self::scan) | reads all rows, page by page | |
/// | [`create`](Self::create) | makes a lease | there is no row with its key |
/// | [`update`](Self::update) | changes a lease | [`Write::expect`] |
/// | [`delete`](Self::delete) | removes a lease | the given [`Expect`] |
/// | [`write_worker`](Self::write_worker) | makes, replaces or removes the row of a worker: its heartbeat | the row is as it was seen |
/// | [`setup`](Self::setup) | makes the table ready | default: there is nothing to do |
/// | [`get_worker`](Self::get_worker) | reads the row of a worker | default: finds it by a scan |
/// | [`change_signal`](Self::change_signal), [`announce`](Self::announce) | change notification | default: none, workers scan |
/// | [`change_signal_interval`](Self::change_signal_interval) | how often the signal is worth a read | default: 500 ms |
///
/// # The contract
///
/// 1. **Every write is conditional and atomic.** The row that is checked is the row that is
///    written, with nothing between. A condition that does not hold writes nothing and is
///    [`Error::Conflict`] with the row that stands there.
/// 2. **No update creates a row.** A row comes into being by [`create`](Self::create) and ends by
///    [`delete`](Self::delete).
/// 3. **Every write returns the row as it stands after it**, so that an owner learns with each of
///    its writes what others did to it.
/// 4. **What may have happened is said to be unknown.** A write whose answer was lost is
///    [`Error::Unknown`], never a success and never a conflict. It may still be applied after the
///    error was returned. A table whose own retries repeat a write must not report the repetition's
///    conflict as a conflict unless it knows that the first try had no effect.
/// 5. **[`get`](Self::get) and [`get_worker`](Self::get_worker) are consistent**: they see every
///    write that was acknowledged before they began. [`scan`](Self::scan) with
///    [`Consistency::Eventual`] may be stale, and its pages need not be of one instant.
/// 6. **What a table does not know, it keeps**: attributes and rows of others survive every write.
/// 7. **A checkpoint is stored exactly**: sentinels, sequence numbers of any length, sub-sequence
///    numbers, pending state bytes.
/// 8. **A call ends.** A table bounds each call, well inside the failover time.
/// 9. **A row that cannot be read hides no other.** Somebody may edit a row so that it is no lease
///    any more: a scan lists it in [`ScanPage::malformed`], and a call that reads this row or is
///    refused by it is [`Error::Malformed`].
/// 10. **A read writes nothing.** Whatever a table has to make, to change or to tidy up it does in
///     [`setup`](Self::setup) or with a write.
///
/// The suite `kcl_core::testing::lease_table` (feature `testing`) checks all of it that can be seen
/// from outside.
///
/// # Example
///
/// The smallest table that keeps the contract: it passes the suite. [`Write::apply`] is the whole
/// protocol for a store that can read a row and write it in one transaction. For one that takes
/// conditions and changes apart, as SQL and DynamoDB do, [`Expect`] and [`Edits`](super::Edits) say
/// them attribute by attribute.
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
///     /// What begins a transaction in a database.
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
///         if rows.workers.get(worker) != seen {
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
/// A table that stands in front of another one has to pass the methods with defaults on as well, or
/// the defaults take the place of what the table behind it does.
///
/// # Cancel safety
///
/// Dropping the future of a write ([`create`](Self::create), [`update`](Self::update),
/// [`delete`](Self::delete), [`write_worker`](Self::write_worker), [`announce`](Self::announce)) is
/// the same as losing its answer: it may happen. Reads can be dropped at any time, and
/// [`setup`](Self::setup) can be called again.
///
/// # Cost
///
/// A worker calls [`update`](Self::update) once a lease every third of the failover time or with
/// each checkpoint, [`write_worker`](Self::write_worker) as often for itself,
/// [`change_signal`](Self::change_signal) once an interval, and [`scan`](Self::scan) about every
/// fifth of the failover time while there are other workers, less often when it is alone. The
/// others are rare.
#[async_trait]
pub trait LeaseTable: fmt::Debug + Send + Sync + 'static {
    /// Makes the table ready: creates it if that is allowed and it is missing, brings it up to
    /// date, and checks that it can be used. Called once before everything else; safe to call again
    /// and from several workers at once.
    ///
    /// The default does nothing: for a table that is always ready.
    ///
    /// # Errors
    /// [`Error::Fatal`] names what is wrong with the table, [`Error::Denied`] the right that is
    /// missing, [`Error::Throttled`] when it cannot be reached now.
    async fn setup(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads one lease, consistently. Cost: a read of one row.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error>;

    /// Reads one page of all rows. Begin with no page and go on with [`ScanPage::next`] until there
    /// is none. A row that is there from the first page to the last is listed once, whatever
    /// happens to others meanwhile. Cost: a read of every row.
    ///
    /// # Errors
    /// [`Error::Throttled`] or [`Error::Fatal`]. A row that cannot be read is no error: it is in
    /// [`ScanPage::malformed`].
    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error>;

    /// Writes a new lease as given, if there is no row with its key, and returns it. Cost: a write
    /// of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] carries the row that exists, [`Error::Malformed`] tells that it cannot
    /// be read, [`Error::Unknown`] that the lease may have been made.
    async fn create(&self, lease: &Lease) -> Result<Lease, Error>;

    /// Changes a lease that is as [`Write::expect`] says by [`Write::change`], and returns the row
    /// as it is then. Every write on a lease that exists is one of these: heartbeat, checkpoint,
    /// take, request, hand-over and the rest. Cost: a write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] carries the row that won, or none when the row does not exist;
    /// [`Error::Malformed`] tells that the row cannot be read, whether it was written or not;
    /// [`Error::Unknown`] that the change may have been made.
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error>;

    /// Deletes a lease that is as expected. Cost: a write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] carries the row that stands, or none when there was none;
    /// [`Error::Malformed`] tells that it cannot be read, [`Error::Unknown`] that it may be gone.
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error>;

    /// Writes the row of a worker, if what is there is exactly what was `seen`: without `seen` it
    /// makes the row, without `row` it deletes it, with both it replaces it. Both are rows of
    /// `worker`. A worker writes its own row as its heartbeat, and deletes those of dead workers.
    /// Cost: a write of one row.
    ///
    /// # Errors
    /// [`Error::Conflict`] (without a lease) when the row is not as it was seen;
    /// [`Error::Malformed`] when it cannot be read; [`Error::Unknown`] when it may have been
    /// written.
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error>;

    /// Reads the row of a worker, consistently.
    ///
    /// The default looks for it in a scan. A worker calls this when it starts, and when it hears of
    /// another worker: replace it where one row can be read by its key.
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

    /// Change notification: a cheap read of a value that is another one after every
    /// [announcement](Self::announce). Equal values mean that nobody has announced anything.
    /// Without a signal, workers find by scans what others have done: correct, and a scan interval
    /// slower.
    ///
    /// The default has no signal.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        Ok(None)
    }

    /// Changes the signal, after writes that others should hear of at once, and says what was
    /// written. No announcement of others is lost by it: it is added to theirs. An empty one does
    /// nothing. Nothing but speed depends on it.
    ///
    /// The default does nothing, as there is no signal.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        let _ = changed;
        Ok(())
    }

    /// The application that the table was opened for, if it was opened for one:
    /// [`Builder::build`](crate::worker::Builder::build) then refuses a worker of another
    /// application. By default `None`, for a table that does not know, such as one in memory.
    fn application(&self) -> Option<&str> {
        None
    }

    /// How often it is worth reading the [`change_signal`](Self::change_signal).
    fn change_signal_interval(&self) -> Duration {
        Duration::from_millis(500)
    }
}

/// How fresh a [`scan`](LeaseTable::scan) has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Every write that was acknowledged before a page was asked for is in that page.
    Strong,
    /// It may be a little old. Cheaper on DynamoDB.
    Eventual,
}

/// Where the next page begins: a table's own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub String);

/// One page of rows.
///
/// ```
/// use kcl_core::lease::{Consistency, Error, LeaseTable, ScanPage};
///
/// /// All rows, page by page.
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
    /// Leases.
    pub leases: Vec<Lease>,
    /// Workers of ours.
    pub workers: Vec<WorkerRow>,
    /// Leases and workers that cannot be read. They are in none of the lists above.
    pub malformed: Vec<MalformedRow>,
    /// What the table has found out about workers of another framework, where it is shared with
    /// one. A table that is not leaves this empty.
    pub foreign: ForeignWorkers,
    /// Where the next page begins; nothing after the last.
    pub next: Option<PageToken>,
}

impl ScanPage {
    /// Adds the rows of another page.
    pub fn append(&mut self, mut page: Self) {
        self.leases.append(&mut page.leases);
        self.workers.append(&mut page.workers);
        self.malformed.append(&mut page.malformed);
        self.foreign.answering.append(&mut page.foreign.answering);
        if page.foreign.leading.is_some() {
            self.foreign.leading = page.foreign.leading;
        }
        self.next = page.next;
    }
}

/// Workers of another framework that share the table, the Java KCL's for example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignWorkers {
    /// Those that are known to answer when they are asked for a lease.
    pub answering: Vec<WorkerId>,
    /// What shows that one of them gives the leases of this table away, if one does: then no worker
    /// takes or asks for any.
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
