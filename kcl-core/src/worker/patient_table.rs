use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::lease::{Beacon, Change, Changed, Consistency, Error, Expect, LeaseTable, PageToken, Snapshot, WorkerRow};
use crate::model::{Lease, LeaseKey, WorkerId};

use super::service_access::{ServiceAccess, Tells};

/// A lease table whose refusals have to last before they count. Every call of a worker goes through it.
#[derive(Debug)]
pub(super) struct PatientTable {
    refused: ServiceAccess,
    inner: Arc<dyn LeaseTable>,
}

impl PatientTable {
    pub(super) const fn new(refused: ServiceAccess, inner: Arc<dyn LeaseTable>) -> Self {
        Self { refused, inner }
    }
}

#[async_trait]
impl LeaseTable for PatientTable {
    async fn setup(&self) -> Result<(), Error> {
        self.refused.table(Tells::Itself, "setup", self.inner.setup().await)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.refused.table(Tells::Itself, "get", self.inner.get(key).await)
    }

    async fn snapshot(&self, page: Option<&PageToken>, consistency: Consistency) -> Result<Snapshot, Error> {
        self.refused.table(Tells::Itself, "snapshot", self.inner.snapshot(page, consistency).await)
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.refused.table(Tells::Itself, "create", self.inner.create(lease).await)
    }

    async fn update(&self, key: &LeaseKey, expect: &Expect, change: &Change) -> Result<Lease, Error> {
        self.refused.table(Tells::Everything, "update", self.inner.update(key, expect, change).await)
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.refused.table(Tells::Itself, "delete", self.inner.delete(key, expect).await)
    }

    async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error> {
        self.refused.table(Tells::Itself, "create_worker", self.inner.create_worker(row).await)
    }

    async fn update_worker(&self, seen: &WorkerRow, row: &WorkerRow) -> Result<(), Error> {
        self.refused.table(Tells::Itself, "update_worker", self.inner.update_worker(seen, row).await)
    }

    async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error> {
        self.refused.table(Tells::Itself, "delete_worker", self.inner.delete_worker(seen).await)
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.refused.table(Tells::Itself, "get_worker", self.inner.get_worker(worker).await)
    }

    async fn beacon(&self) -> Result<Beacon, Error> {
        self.refused.table(Tells::Itself, "beacon", self.inner.beacon().await)
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.refused.table(Tells::Itself, "announce", self.inner.announce(changed).await)
    }

    fn beacon_interval(&self) -> Duration {
        self.inner.beacon_interval()
    }
}
