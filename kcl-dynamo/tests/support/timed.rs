#![expect(clippy::disallowed_methods, reason = "real time is what it measures")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kcl_core::lease::{
    ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow,
    Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};

/// A lease table, and how late the renewals come that are sent to it.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    table: T,
    renewals: Arc<Mutex<Renewals>>,
}

#[derive(Debug, Default)]
struct Renewals {
    last: BTreeMap<LeaseKey, Instant>,
    between: Vec<Duration>,
    calls: Vec<Duration>,
}

impl<T> Timed<T> {
    pub fn new(table: T) -> Self {
        Self {
            table,
            renewals: Arc::default(),
        }
    }

    /// What was measured since this was asked last: the times between two acknowledged writes of a
    /// lease and those of a write, each the shortest first.
    pub fn take(&self) -> [Vec<Duration>; 2] {
        let mut renewals = self.renewals.lock().unwrap();
        let (mut between, mut calls) = (
            std::mem::take(&mut renewals.between),
            std::mem::take(&mut renewals.calls),
        );
        between.sort_unstable();
        calls.sort_unstable();
        [between, calls]
    }
}

#[async_trait]
impl<T: LeaseTable> LeaseTable for Timed<T> {
    async fn setup(&self) -> Result<(), Error> {
        self.table.setup().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.table.get(key).await
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        self.table.scan(page, consistency).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.table.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let begun = Instant::now();
        let row = self.table.update(key, write).await?;
        let now = Instant::now();
        let mut renewals = self.renewals.lock().unwrap();
        renewals.calls.push(now - begun);
        if let Some(before) = renewals.last.insert(key.clone(), now) {
            renewals.between.push(now - before);
        }
        Ok(row)
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.table.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        self.table.write_worker(worker, seen, row).await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.table.get_worker(worker).await
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        self.table.change_signal().await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.table.announce(changed).await
    }
}
