//! A lease table of one's own: anything that can write a row on a condition will do.
//!
//! `LeaseTable` has twelve methods, too many to write a whole table in an example of this size. So this one wraps the table in memory and
//! prints what each write leaves of a lease. The docs of `LeaseTable` have the smallest whole table, and
//! `kcl_core::lease_table_contract!` (feature `testing`) tests whether yours keeps the contract.
//!
//! ```text
//! cargo run --example 09_own_lease_table
//! ```

use std::time::Duration;

use async_trait::async_trait;
use examples::demo::{Demo, Printer};
use kcl_core::lease::{Beacon, Change, Changed, Consistency, Error, Expect, LeaseTable, PageToken, Snapshot, WorkerRow};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::{BoxError, MemoryLeaseTable, Worker};

#[derive(Debug)]
struct Watched(MemoryLeaseTable);

fn shown(written: Result<Lease, Error>) -> Result<Lease, Error> {
    written.inspect(|row| {
        let owner = row.owner.as_ref().map_or("nobody", WorkerId::as_str);
        println!("{}: held by {owner}, counter {}, checkpoint {}", row.key, row.counter, row.checkpoint);
    })
}

#[async_trait]
impl LeaseTable for Watched {
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
        shown(self.0.create(lease).await)
    }
    async fn update(&self, key: &LeaseKey, expect: &Expect, change: &Change) -> Result<Lease, Error> {
        shown(self.0.update(key, expect, change).await)
    }
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.0.delete(key, expect).await
    }
    async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error> {
        self.0.create_worker(row).await
    }
    async fn update_worker(&self, seen: &WorkerRow, row: &WorkerRow) -> Result<(), Error> {
        self.0.update_worker(seen, row).await
    }
    async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error> {
        self.0.delete_worker(seen).await
    }
    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.0.get_worker(worker).await
    }
    async fn beacon(&self) -> Result<Beacon, Error> {
        self.0.beacon().await
    }
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.0.announce(changed).await
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let table = Watched(MemoryLeaseTable::new());
    let worker = Worker::builder().stream("orders").source(demo.source()?).application("own-table").lease_table(table);
    let worker = worker.processor(Printer::new).build()?;
    println!("{}", worker.run_until(kcl_core::stop_signal()?, Duration::from_secs(10)).await?);
    Ok(())
}
