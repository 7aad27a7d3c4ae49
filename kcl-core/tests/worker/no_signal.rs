//! A table with the six required methods and no more: without change notification, scans find what
//! others do.
#![expect(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Fleet, Script, until};
use async_trait::async_trait;
use futures_util::FutureExt;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{
    Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow, Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::stream::memory::MemoryStream;

#[derive(Clone, Debug, Default)]
struct Plain {
    rows: MemoryLeaseTable,
    scans: Arc<AtomicUsize>,
}

impl Plain {
    fn scans(&self) -> usize {
        self.scans.load(Ordering::Relaxed)
    }

    /// How many leases each of these workers holds for good.
    fn held(&self, workers: [&str; 2]) -> [usize; 2] {
        let all = self
            .rows
            .scan(None, Consistency::Strong)
            .now_or_never()
            .unwrap()
            .unwrap()
            .leases;
        let settled = |row: &&Lease| row.token.is_some() && row.checkpoint_owner.is_none();
        workers.map(|worker| {
            all.iter()
                .filter(settled)
                .filter(|row| row.owner == Some(worker.into()))
                .count()
        })
    }
}

#[async_trait]
impl LeaseTable for Plain {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.rows.get(key).await
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.rows.scan(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.rows.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        self.rows.update(key, write).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.rows.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        self.rows.write_worker(worker, seen, row).await
    }
}

#[tokio::test]
async fn a_fleet_on_the_six_required_methods_shares_and_takes_over() {
    let (stream, table) = (MemoryStream::new("orders", 4), Plain::default());
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::with_short_failover(&stream, &table)
            .with(|builder| builder.worker_id(id))
            .start(Script::default())
    };
    let first = start("first");
    until("one holds all", || {
        table.held(["first", "second"]) == [4, 0]
    })
    .await;
    // It is alone and holds everything: with a signal it would now scan every 30 s.
    let (scans, begun) = (table.scans(), Instant::now());
    until("more scans", || table.scans() >= scans + 2).await;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let second = start("second");
    until("both share", || table.held(["first", "second"]) == [2, 2]).await;
    first.stop().await.unwrap();
    until("the other takes over", || {
        table.held(["first", "second"]) == [0, 4]
    })
    .await;
    second.stop().await.unwrap();
}
