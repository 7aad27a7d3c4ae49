use std::time::Duration;

use async_trait::async_trait;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{Beacon, Change, Changed, Consistency, Error, Expect, LeaseTable, PageToken, Snapshot, WorkerRow};
use kcl_core::model::{Lease, LeaseKey, WorkerId};

/// A table that may hold leases only, as one that old versions of the KCL use too: the rows of workers are not kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoWorkerRows(pub(crate) MemoryLeaseTable);

#[async_trait]
impl LeaseTable for NoWorkerRows {
    async fn setup(&self) -> Result<(), Error> {
        self.0.setup().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.0.get(key).await
    }

    async fn snapshot(&self, page: Option<&PageToken>, consistency: Consistency) -> Result<Snapshot, Error> {
        self.0.snapshot(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.0.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, expect: &Expect, change: &Change) -> Result<Lease, Error> {
        self.0.update(key, expect, change).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.0.delete(key, expect).await
    }

    async fn create_worker(&self, _: &WorkerRow) -> Result<(), Error> {
        Ok(())
    }

    async fn update_worker(&self, _: &WorkerRow, _: &WorkerRow) -> Result<(), Error> {
        Ok(())
    }

    async fn delete_worker(&self, _: &WorkerRow) -> Result<(), Error> {
        Ok(())
    }

    async fn get_worker(&self, _: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        Ok(None)
    }

    async fn beacon(&self) -> Result<Beacon, Error> {
        self.0.beacon().await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.0.announce(changed).await
    }

    fn beacon_interval(&self) -> Duration {
        self.0.beacon_interval()
    }
}
