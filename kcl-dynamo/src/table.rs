//! The contract of a lease table, carried out with single calls to DynamoDB.
//!
//! Each method is short: it builds the expressions, waits for a permit if it writes, makes one
//! call, and reads the item that comes back. What has to be remembered between calls is in `inner`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use kcl_core::lease::{
    Change, ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage,
    WorkerRow, Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};

use crate::expression::{Parts, absent, edited, expected};
use crate::inner::{Inner, SCAN_EVERY};
use crate::item::attribute::{
    ENTITY_TYPE, INCARNATION, KIND_SIGNAL, KIND_WORKER, LEASE_KEY, SUPPORT,
};
use crate::item::{Item, Reader, Row, SIGNAL_KEY, key_value, lease_item, text, worker_key};
use crate::kcl_compat::Coexistence;
use crate::refusal::{in_the_way, lease_of, refusal};
use crate::setup::{OpenError, OpenOptions, Settings, check_rights, ready_table};

/// A lease table in DynamoDB, compatible with the KCL's. The [crate docs](crate) describe its
/// contents and what it costs.
///
/// A clone is another handle to the same table, with the same client.
///
/// ```
/// use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
/// use aws_sdk_dynamodb::{Client, Config};
/// use kcl_dynamo::OpenOptions;
///
/// # fn main() -> Result<(), kcl_dynamo::OpenError> {
/// // DynamoDB Local, or any other endpoint. `DynamoLeaseTable::open("billing")` would use the environment's settings.
/// let config = Config::builder()
///     .behavior_version(BehaviorVersion::latest())
///     .endpoint_url("http://127.0.0.1:8000")
///     .region(Region::new("us-east-1"))
///     .credentials_provider(Credentials::new("any", "any", None, None, "local"))
///     .build();
/// let table = OpenOptions::new().open_with_client(&Client::from_conf(config), "billing")?;
/// assert_eq!(table.name(), "billing");
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// As in [`LeaseTable`]: a write whose future is dropped may still be applied.
#[derive(Clone)]
pub struct DynamoLeaseTable {
    /// Shared with all clones: they see the same Java workers and share the limits of calls in
    /// flight.
    inner: Arc<Inner>,
}

impl DynamoLeaseTable {
    /// Opens the lease table of an application with the default [`OpenOptions`]: the table has the
    /// application's name, and region, credentials and endpoint come from the environment.
    ///
    /// # Errors
    /// See [`OpenOptions::open`].
    pub async fn open(application: &str) -> Result<Self, OpenError> {
        OpenOptions::new().open(application).await
    }

    pub(crate) fn new(client: &Client, application: &str, table: &str, settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner::new(client, application, table, settings)),
        }
    }

    async fn worker_row(
        &self,
        worker: &WorkerId,
        consistent: bool,
    ) -> Result<Option<WorkerRow>, Error> {
        if let Some(row) = self.inner.unwritten().get(worker) {
            return Ok(Some(row.clone()));
        }
        let item = self.inner.calls.get(worker_key(worker), consistent).await?;
        let Some(item) = item else {
            return Ok(None);
        };
        match Row::read(&item)? {
            Row::Worker(row) => Ok(Some(row)),
            // The metrics of a Java worker that requests a lease: like all workers now, it has no
            // row of this crate.
            _ if !self.inner.writes_rows_of_workers() => Ok(None),
            other => Err(in_the_way(
                worker.as_str(),
                &other,
                "a worker of this fleet",
            )),
        }
    }

    /// The name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.calls.table
    }

    /// What the last scan has shown about Java workers on the same table.
    #[must_use]
    pub fn coexistence(&self) -> Coexistence {
        self.inner.watch.coexistence()
    }

    /// Removes every row of this crate that is not a lease: the rows of workers and the change
    /// signal. A KCL before 3.5 fails on such rows, so call this before you go back to one, when no
    /// worker of this framework is running any more. Returns how many rows were removed.
    ///
    /// # Errors
    /// The errors of a read and of a delete. Rows that were removed before an error stay removed,
    /// and it can be called again.
    pub async fn retire(&self) -> Result<usize, Error> {
        let (mut start, mut removed) = (None, 0);
        loop {
            let page = self.inner.calls.scan(start, true, None).await?;
            for item in &page.items {
                let reader = Reader(item);
                let kind = reader.text(ENTITY_TYPE).ok().flatten();
                let is_signal = reader.key() == SIGNAL_KEY && kind == Some(KIND_SIGNAL);
                if is_signal || reader.has(INCARNATION) {
                    removed += usize::from(self.inner.remove(reader.key(), is_signal).await?);
                }
            }
            start = page.next;
            if start.is_none() {
                return Ok(removed);
            }
        }
    }
}

impl fmt::Debug for DynamoLeaseTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoLeaseTable")
            .field("name", &self.name())
            .field("coexistence", &self.coexistence())
            .finish()
    }
}

/// The KCL worker of this row, if it answers requests for leases: from the KCL 3.5 on, its row of
/// metrics says with `sup` what it supports. Requesting a lease from a worker that never answers
/// would leave the row with a requester that waits for nothing.
fn answering(item: &Item) -> Option<WorkerId> {
    let reader = Reader(item);
    let is_metrics =
        reader.text(ENTITY_TYPE).ok().flatten() == Some(KIND_WORKER) && !reader.is_our_worker();
    (is_metrics && reader.has(SUPPORT)).then(|| reader.key().into())
}

/// Whether the change begins a tenancy or requests a lease: what is not done while a KCL leads, and
/// what can wait when there are many writes.
const fn takes(change: &Change) -> bool {
    matches!(
        change,
        Change::Take { .. } | Change::Claim { .. } | Change::Request { .. }
    )
}

#[async_trait]
impl LeaseTable for DynamoLeaseTable {
    /// Creates the table if it is missing and may be created, checks its key and the permissions,
    /// and checks for Java workers.
    ///
    /// # Errors
    /// `Fatal` with [`KclIsLeading`](crate::KclIsLeading) as its source if a Java fleet in 3.x mode
    /// is using the table.
    ///
    /// The order matters: Java workers are looked for before the first write, and the writes that
    /// check the permissions change nothing.
    async fn setup(&self) -> Result<(), Error> {
        let Inner {
            calls, settings, ..
        } = &*self.inner;
        ready_table(calls, settings.create.as_ref(), &*settings.clock).await?;
        self.inner.look_around().await?;
        check_rights(calls).await
    }

    /// One consistent read of one item.
    ///
    /// # Errors
    /// A key that cannot be stored is `Fatal`; a row that is no lease is `Malformed`.
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let item = self.inner.calls.get(key_value(key)?, true).await?;
        item.as_ref().map(lease_of).transpose()
    }

    /// One page of all items, of which leases and workers of this framework are returned. What a
    /// page shows about Java workers is noted on the way, and judged after the last page.
    ///
    /// The token of a page is the key of its last item, so it stays valid when that item is
    /// deleted.
    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        let inner = &*self.inner;
        let start = page.map(|page| Item::from([(LEASE_KEY.to_owned(), text(page.0.as_str()))]));
        let limit = inner
            .settings
            .page_rows
            .map(|rows| i32::from(rows.get().cast_signed().max(1)));
        let found = inner
            .calls
            .scan(start, consistency == Consistency::Strong, limit)
            .await?;
        let mut rows = ScanPage::default();
        rows.next = found
            .next
            .as_ref()
            .map(|key| PageToken(Reader(key).key().to_owned()));
        for item in &found.items {
            rows.foreign.answering.extend(answering(item));
            match Row::read(item) {
                Ok(Row::Lease(lease)) => rows.leases.push(lease),
                Ok(Row::Worker(worker)) => rows.workers.push(worker),
                Ok(Row::Signal | Row::Foreign { .. }) => {}
                Err(malformed) => rows.malformed.push(malformed),
            }
        }
        rows.foreign
            .answering
            .extend(inner.throughputs.see(&found.items, page.is_none()));
        inner.watch(&found.items, page.is_none(), rows.next.is_none());
        rows.foreign.leading = inner.watch.led();
        // A row `Leader` that has just appeared or changed is a KCL at work, however its clock differs:
        // leases are renewed even before it is known to lead.
        rows.foreign.may_share = inner.watch.coexistence() != Coexistence::Exclusive
            || inner.probe.is_alarmed(inner.settings.clock.now());
        rows.foreign.may_join = true;
        // A fleet without rows of workers judges by leases which workers are alive. If it saw some
        // rows (its own, or ones that others have not yet removed), it would take workers without a
        // row for those of another framework.
        if !inner.writes_rows_of_workers() {
            inner.stale_workers.see(
                std::mem::take(&mut rows.workers),
                page.is_none(),
                inner.settings.clock.now(),
            );
        }
        Ok(rows)
    }

    /// One `PutItem` that expects no row with this key. The row is not read back: it is what was
    /// sent.
    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        let mut parts = Parts::default();
        let condition = absent(&mut parts);
        let _turn = self
            .inner
            .limits
            .of_others(&*self.inner.settings.clock)
            .await?;
        self.inner
            .calls
            .put(lease_item(lease)?, condition, parts)
            .await
            .map_err(refusal)?;
        Ok(lease.clone())
    }

    /// One `UpdateItem` with the condition and the changes of the write.
    ///
    /// Requests, takes and claims fail with `Throttled` while a KCL leads: nothing was written, and
    /// it may be possible later. A release waits until a leaving mark that is being written is in
    /// the table.
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let Write { expect, change, .. } = write;
        if takes(change)
            && let Some(error) = self.inner.watch.forbids_taking(self.name())
        {
            return Err(error);
        }
        let Inner {
            limits,
            settings,
            leaving,
            ..
        } = &*self.inner;
        let clock = &*settings.clock;
        if matches!(change, Change::Release { .. }) {
            // This waits no longer than a call takes: if the write of the leaving mark fails, it is
            // repeated later.
            drop(leaving.read().await);
        }
        let _turn = if takes(change) {
            limits.of_others(clock).await?
        } else {
            limits.of_owners(clock).await?
        };
        let mut parts = Parts::default();
        let update = edited(&mut parts, key, expect, &write.edits());
        let condition = expected(&mut parts, expect);
        let item = self
            .inner
            .calls
            .update(key_value(key)?, update.text(), Some(condition), parts)
            .await
            .map_err(refusal)?;
        lease_of(&item)
    }

    /// One `DeleteItem` under the condition, for leases that are finished.
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        let mut parts = Parts::default();
        let condition = expected(&mut parts, expect);
        let _turn = self
            .inner
            .limits
            .of_others(&*self.inner.settings.clock)
            .await?;
        self.inner
            .calls
            .delete(key_value(key)?, condition, parts)
            .await
            .map_err(refusal)
    }

    /// The row of a worker, in the table or, beside Java workers, in memory. Every call also
    /// removes rows that have no place in the table any more, because a heartbeat is a write that
    /// happens anyway and a scan must write nothing.
    ///
    /// # Errors
    /// A conflict also if the rows name another worker than `worker`, which would be a mistake of
    /// the caller.
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        if seen.into_iter().chain(row).any(|row| row.worker != *worker) {
            return Err(Error::conflict(None));
        }
        let written = match (seen, row) {
            (None, Some(row)) => self.inner.create_worker(row).await,
            (Some(seen), Some(row)) => self.inner.update_worker(seen, row).await,
            (Some(seen), None) => self.inner.delete_worker(seen).await,
            (None, None) => return Err(Error::conflict(None)),
        };
        self.inner.tidy().await;
        written
    }

    /// The row of a worker, from memory first: while it is kept there, the table has none.
    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.worker_row(worker, true).await
    }

    /// The same for half the units.
    async fn glance_at_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.worker_row(worker, false).await
    }

    /// `None` while Java workers may share the leases: they announce nothing, and the row of the
    /// signal must not be in the table.
    ///
    /// While a leader of the KCL may have just started, the value changes every 2 s although
    /// nothing was announced. That makes workers scan, and a scan finds out whether there is one.
    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        if self.inner.watch.coexistence() != Coexistence::Exclusive {
            self.inner.look_beside().await;
            return Ok(None);
        }
        let clock = &self.inner.settings.clock;
        let mut signal = self.inner.announcer.read(&self.inner.calls).await?;
        self.inner.look_for_a_kcl().await;
        if self.inner.probe.is_alarmed(clock.now()) {
            // A value that changes from time to time makes workers scan.
            let turn = clock.now().since_origin().as_millis() / SCAN_EVERY.as_millis();
            signal.value.push_str(&format!(", look {turn}"));
        }
        Ok(Some(signal))
    }

    /// Adds to the change signal, or does nothing beside Java workers: they would fail on its row.
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        if self.inner.watch.coexistence() == Coexistence::Exclusive {
            return self
                .inner
                .announcer
                .announce(&self.inner.calls, changed)
                .await;
        }
        Ok(())
    }

    /// 650 ms. A reading costs half a unit whatever it shows, and is most of what an idle worker reads.
    /// With a failover time below 3.25 s it is read more often, each fifth of that.
    fn change_signal_interval(&self) -> Duration {
        Duration::from_millis(650)
    }

    /// The application's name, for messages and metrics.
    fn application(&self) -> Option<&str> {
        Some(&self.inner.application)
    }
}
