use std::time::Duration;

use async_trait::async_trait;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{
    ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow,
    Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};

/// A table that may hold leases only, as one that old versions of the KCL use too: the rows of
/// workers are not kept.
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

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        self.0.scan(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.0.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        self.0.update(key, write).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.0.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        _: &WorkerId,
        _: Option<&WorkerRow>,
        _: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn get_worker(&self, _: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        Ok(None)
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        self.0.change_signal().await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.0.announce(changed).await
    }

    fn change_signal_interval(&self) -> Duration {
        self.0.change_signal_interval()
    }
}
