//! Your own lease table, in six methods: any store with conditional writes will do.
//! `kcl_core::lease_table_contract!` (feature `testing`) tests whether yours keeps the contract.
//!
//! ```text
//! cargo run --example 09_own_lease_table
//! ```

use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use async_trait::async_trait;
use examples::demo::{Demo, Printer};
use kcl_core::BoxError;
use kcl_core::lease::{Consistency, Error, Expect, LeaseTable, PageToken, ScanPage};
use kcl_core::lease::{WorkerRow, Write};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
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
        match self.leases.lock().await.entry(lease.key.clone()) {
            Entry::Occupied(row) => Err(Error::conflict(Some(row.get().clone()))),
            Entry::Vacant(place) => Ok(place.insert(lease.clone()).clone()),
        }
    }
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let mut leases = self.leases.lock().await;
        let row = write.apply(leases.get(key))?;
        leases.insert(key.clone(), row.clone());
        let owner = row.owner.as_ref().map_or("nobody", WorkerId::as_str);
        println!("{key}: held by {owner}, checkpoint {}", row.checkpoint);
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
        if workers.get(worker).map(WorkerRow::without_lag) != seen.map(WorkerRow::without_lag) {
            return Err(Error::conflict(None));
        }
        workers.remove(worker);
        workers.extend(row.map(|row| (worker.clone(), row.clone())));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let builder = demo.builder("own-table")?.lease_table(OwnTable::default());
    let worker = builder.processor(Printer::new).build()?;
    let (signal, limit) = (kcl_core::stop_signal()?, Duration::from_secs(10));
    println!("{}", worker.run_until(signal, limit).await?);
    Ok(())
}
