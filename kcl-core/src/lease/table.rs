use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Lease, LeaseKey, WorkerId};

use super::{Beacon, Change, Changed, Error, Expect, ForeignRow, MalformedRow, WorkerRow};

/// Where leases are kept: one row a shard, shared by the workers of one application.
///
/// # The contract
///
/// 1. **Every write is conditional and atomic.** The row that is checked is the row that is written, with nothing between. A condition
///    that does not hold writes nothing and is [`Error::Conflict`] with the row that stands there.
/// 2. **No update creates a row.** A row comes into being by [`create`](Self::create) and ends by [`delete`](Self::delete).
/// 3. **Every write returns the row as it stands after it**, so that an owner learns with each of its writes what others did to it.
/// 4. **What may have happened is said to be unknown.** A write whose answer was lost is [`Error::Unknown`], never a success and
///    never a conflict. It may still be applied after the error was returned. A table whose own retries repeat a write must not
///    report the repetition's conflict as a conflict unless it knows that the first try had no effect.
/// 5. **[`get`](Self::get) is consistent**: it sees every write that was acknowledged before it began.
///    [`snapshot`](Self::snapshot) with [`Consistency::Eventual`] may be stale, and its pages need not be of one instant.
/// 6. **What a table does not know, it keeps**: attributes and rows of others survive every write.
/// 7. **A checkpoint is stored exactly**: sentinels, sequence numbers of any length, sub-sequence numbers, pending state bytes.
/// 8. **A call ends.** A table bounds each call, well inside the failover time.
/// 9. **A row that cannot be read hides no other.** Somebody may edit a row so that it is no lease any more: a snapshot lists it in
///    [`Snapshot::malformed`], and a call that reads this row or is refused by it is [`Error::Malformed`].
///
/// The suite `kcl_core::testing::lease_table` checks all of it that can be seen from outside.
///
/// # Example
///
/// The smallest table that keeps the contract; it passes the suite. A `Lease` is stored with all its fields, and
/// [`Edits`](super::Edits) says attribute by attribute what a write changes: in memory, `apply` does it.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Mutex, MutexGuard, PoisonError};
///
/// use async_trait::async_trait;
/// use kcl_core::lease::{Beacon, Change, Changed, Consistency, Error, Expect, LeaseTable, PageToken, Snapshot, WorkerRow};
/// use kcl_core::model::{Lease, LeaseKey, WorkerId};
///
/// #[derive(Debug, Default)]
/// struct OwnTable(Mutex<Rows>);
///
/// #[derive(Debug, Default)]
/// struct Rows {
///     leases: BTreeMap<LeaseKey, Lease>,
///     workers: BTreeMap<WorkerId, WorkerRow>,
///     signal: Beacon,
///     announcements: u64,
/// }
///
/// impl OwnTable {
///     /// What a database does in a transaction.
///     fn rows(&self) -> MutexGuard<'_, Rows> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner)
///     }
///
///     /// Writes the row of a worker where it is exactly `from`.
///     fn write_worker(&self, id: &WorkerId, from: Option<&WorkerRow>, to: Option<&WorkerRow>) -> Result<(), Error> {
///         let workers = &mut self.rows().workers;
///         if workers.get(id) != from || to.is_some_and(|row| row.worker != *id) {
///             return Err(Error::conflict(None));
///         }
///         match to {
///             Some(row) => workers.insert(id.clone(), row.clone()),
///             None => workers.remove(id),
///         };
///         Ok(())
///     }
/// }
///
/// impl Rows {
///     /// The lease, where it is as expected.
///     fn expected(&mut self, key: &LeaseKey, expect: &Expect) -> Result<&mut Lease, Error> {
///         match self.leases.get_mut(key) {
///             Some(row) if expect.holds(row) => Ok(row),
///             row => Err(Error::conflict(row.cloned())),
///         }
///     }
/// }
///
/// #[async_trait]
/// impl LeaseTable for OwnTable {
///     async fn setup(&self) -> Result<(), Error> {
///         Ok(())
///     }
///
///     async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
///         Ok(self.rows().leases.get(key).cloned())
///     }
///
///     async fn snapshot(&self, _page: Option<&PageToken>, _: Consistency) -> Result<Snapshot, Error> {
///         let rows = self.rows();
///         let mut all = Snapshot::default(); // One page: `next` stays empty.
///         all.leases = rows.leases.values().cloned().collect();
///         all.workers = rows.workers.values().cloned().collect();
///         Ok(all)
///     }
///
///     async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
///         let mut rows = self.rows();
///         if let Some(row) = rows.leases.get(&lease.key) {
///             return Err(Error::conflict(Some(row.clone())));
///         }
///         rows.leases.insert(lease.key.clone(), lease.clone());
///         Ok(lease.clone())
///     }
///
///     async fn update(&self, key: &LeaseKey, expect: &Expect, change: &Change) -> Result<Lease, Error> {
///         let mut rows = self.rows();
///         let row = rows.expected(key, expect)?;
///         change.edits().apply(row);
///         Ok(row.clone())
///     }
///
///     async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
///         let mut rows = self.rows();
///         rows.expected(key, expect)?;
///         rows.leases.remove(key);
///         Ok(())
///     }
///
///     async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error> {
///         self.write_worker(&row.worker, None, Some(row))
///     }
///
///     async fn update_worker(&self, seen: &WorkerRow, row: &WorkerRow) -> Result<(), Error> {
///         self.write_worker(&seen.worker, Some(seen), Some(row))
///     }
///
///     async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error> {
///         self.write_worker(&seen.worker, Some(seen), None)
///     }
///
///     async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
///         Ok(self.rows().workers.get(worker).cloned())
///     }
///
///     async fn beacon(&self) -> Result<Beacon, Error> {
///         Ok(self.rows().signal.clone())
///     }
///
///     async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
///         if !changed.is_empty() {
///             let rows = &mut *self.rows();
///             rows.announcements += 1;
///             rows.signal.announce(rows.announcements.to_string(), changed);
///         }
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
/// # Cancel safety
///
/// Dropping the future of a write is the same as losing its answer: it may happen. Reads can be dropped at any time.
#[async_trait]
pub trait LeaseTable: fmt::Debug + Send + Sync + 'static {
    /// Makes the table ready: creates it if that is allowed and it is missing, and checks that it can be used. Safe to call again
    /// and from several workers at once.
    ///
    /// # Errors
    /// [`Error::Fatal`] names what is wrong with the table, [`Error::Denied`] the right that is missing, [`Error::Throttled`] when it cannot be reached now.
    async fn setup(&self) -> Result<(), Error>;

    /// Reads one lease, consistently.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error>;

    /// Reads one page of all rows. Begin with no page and go on with [`Snapshot::next`] until there is none.
    ///
    /// # Errors
    /// [`Error::Throttled`] or [`Error::Fatal`].
    async fn snapshot(&self, page: Option<&PageToken>, consistency: Consistency) -> Result<Snapshot, Error>;

    /// Writes a new lease as given, if there is no row with its key, and returns it.
    ///
    /// # Errors
    /// [`Error::Conflict`] carries the row that exists, [`Error::Malformed`] tells that it cannot be read.
    async fn create(&self, lease: &Lease) -> Result<Lease, Error>;

    /// Changes a lease that is as expected, and returns it.
    ///
    /// # Errors
    /// [`Error::Conflict`] carries the row that won, or none when the row does not exist; [`Error::Malformed`] tells that the row
    /// cannot be read, whether it was written or not.
    async fn update(&self, key: &LeaseKey, expect: &Expect, change: &Change) -> Result<Lease, Error>;

    /// Deletes a lease that is as expected.
    ///
    /// # Errors
    /// [`Error::Conflict`] carries the row that stands, or none when there was none.
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error>;

    /// Writes the row of a worker, if there is none under its id.
    ///
    /// # Errors
    /// [`Error::Conflict`] (without a lease) when there is one.
    async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error>;

    /// Replaces the row of a worker if it is exactly `seen`. Never creates one.
    ///
    /// # Errors
    /// [`Error::Conflict`] (without a lease) when it is not.
    async fn update_worker(&self, seen: &WorkerRow, row: &WorkerRow) -> Result<(), Error>;

    /// Deletes the row of a worker if it is exactly `seen`.
    ///
    /// # Errors
    /// [`Error::Conflict`] (without a lease) when it is not.
    async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error>;

    /// Reads the row of a worker, consistently.
    ///
    /// # Errors
    /// [`Error::Throttled`] or [`Error::Fatal`].
    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error>;

    /// The change signal: a cheap read of a value that is another one after every announcement. Equal values mean that nobody has
    /// announced anything.
    ///
    /// # Errors
    /// [`Error::Throttled`] or [`Error::Fatal`].
    async fn beacon(&self) -> Result<Beacon, Error>;

    /// Changes the signal, after writes that others should hear of at once, and says what was written. No announcement of others is
    /// lost by it: it is added to theirs. An empty one does nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Throttled`] or [`Error::Fatal`].
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error>;

    /// How often it is worth reading the [`beacon`](Self::beacon).
    fn beacon_interval(&self) -> Duration {
        Duration::from_millis(500)
    }
}

/// How fresh a [`snapshot`](LeaseTable::snapshot) has to be.
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
/// use kcl_core::lease::{Consistency, Error, LeaseTable, Snapshot};
///
/// /// All rows, page by page.
/// async fn all(table: &dyn LeaseTable) -> Result<Snapshot, Error> {
///     let mut all = table.snapshot(None, Consistency::Eventual).await?;
///     while let Some(next) = all.next.take() {
///         all.append(table.snapshot(Some(&next), Consistency::Eventual).await?);
///     }
///     Ok(all)
/// }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(all(&kcl_core::MemoryLeaseTable::new()))?;
/// # Ok::<(), kcl_core::BoxError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Leases.
    pub leases: Vec<Lease>,
    /// Workers of ours.
    pub workers: Vec<WorkerRow>,
    /// Rows of other kinds.
    pub foreign: Vec<ForeignRow>,
    /// Leases and workers that cannot be read. They are in none of the lists above.
    pub malformed: Vec<MalformedRow>,
    /// Workers that are not of ours and are known to answer when they are asked for a lease.
    pub answering: Vec<WorkerId>,
    /// What shows that somebody else gives the leases of this table away, if somebody does: then no worker takes or asks for any.
    pub led: Option<String>,
    /// Where the next page begins; nothing after the last.
    pub next: Option<PageToken>,
}

impl Snapshot {
    /// Adds the rows of another page.
    pub fn append(&mut self, mut page: Self) {
        self.leases.append(&mut page.leases);
        self.workers.append(&mut page.workers);
        self.foreign.append(&mut page.foreign);
        self.malformed.append(&mut page.malformed);
        self.answering.append(&mut page.answering);
        if page.led.is_some() {
            self.led = page.led;
        }
        self.next = page.next;
    }
}

#[async_trait]
impl<T: LeaseTable + ?Sized> LeaseTable for Arc<T> {
    async fn setup(&self) -> Result<(), Error> {
        (**self).setup().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        (**self).get(key).await
    }

    async fn snapshot(&self, page: Option<&PageToken>, consistency: Consistency) -> Result<Snapshot, Error> {
        (**self).snapshot(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        (**self).create(lease).await
    }

    async fn update(&self, key: &LeaseKey, expect: &Expect, change: &Change) -> Result<Lease, Error> {
        (**self).update(key, expect, change).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        (**self).delete(key, expect).await
    }

    async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error> {
        (**self).create_worker(row).await
    }

    async fn update_worker(&self, seen: &WorkerRow, row: &WorkerRow) -> Result<(), Error> {
        (**self).update_worker(seen, row).await
    }

    async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error> {
        (**self).delete_worker(seen).await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        (**self).get_worker(worker).await
    }

    async fn beacon(&self) -> Result<Beacon, Error> {
        (**self).beacon().await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        (**self).announce(changed).await
    }

    fn beacon_interval(&self) -> Duration {
        (**self).beacon_interval()
    }
}
