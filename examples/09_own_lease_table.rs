//! Your own lease table: any store with conditional writes will do. This one keeps its rows in
//! memory, and prints each lease after a write.
//!
//! Only six methods are required; `LeaseTable` documents the others, which have defaults.
//! `kcl_core::lease_table_contract!` (feature `testing`) tests whether yours keeps the contract.
//!
//! ```text
//! cargo run --example 09_own_lease_table
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use examples::demo::{Demo, Printer};
use kcl_core::lease::{
    Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow, Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::{BoxError, Worker};
use tokio::sync::Mutex;

#[derive(Debug, Default)]
struct OwnTable {
    leases: Mutex<BTreeMap<LeaseKey, Lease>>,
    workers: Mutex<BTreeMap<WorkerId, WorkerRow>>,
}

#[async_trait]
impl LeaseTable for OwnTable {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        Ok(self.leases.lock().await.get(key).cloned())
    }
    async fn scan(&self, _: Option<&PageToken>, _: Consistency) -> Result<ScanPage, Error> {
        let mut all = ScanPage::default();
        all.leases = self.leases.lock().await.values().cloned().collect();
        all.workers = self.workers.lock().await.values().cloned().collect();
        Ok(all)
    }
    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        let mut leases = self.leases.lock().await;
        match leases.get(&lease.key) {
            Some(row) => return Err(Error::conflict(Some(row.clone()))),
            None => leases.insert(lease.key.clone(), lease.clone()),
        };
        Ok(lease.clone())
    }
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let mut leases = self.leases.lock().await;
        let row = write.apply(leases.get(key))?;
        leases.insert(key.clone(), row.clone());
        let owner = row.owner.as_ref().map_or("nobody", WorkerId::as_str);
        println!(
            "{key}: held by {owner}, counter {}, checkpoint {}",
            row.counter, row.checkpoint
        );
        Ok(row)
    }
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        let mut leases = self.leases.lock().await;
        expect.check(leases.get(key))?;
        leases.remove(key);
        Ok(())
    }
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        let mut workers = self.workers.lock().await;
        if workers.get(worker) != seen {
            return Err(Error::conflict(None));
        }
        match row {
            Some(row) => workers.insert(worker.clone(), row.clone()),
            None => workers.remove(worker),
        };
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("own-table");
    let worker = worker
        .lease_table(OwnTable::default())
        .processor(Printer::new)
        .build()?;
    println!(
        "{}",
        worker
            .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
            .await?
    );
    Ok(())
}
