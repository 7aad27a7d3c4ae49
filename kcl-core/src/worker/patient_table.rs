//! Between the worker and its lease table: decides whether a denied call is an error or only a bad
//! moment.
//!
//! A denied call that was permitted before is turned into [`Error::Throttled`]: nothing was
//! written, and it is tried again. That is what the whole protocol does with a throttled call, so
//! no other part has to know of denials. After
//! [`Settings::refusal_limit`](super::Settings::refusal_limit) the denial itself comes through and
//! ends the worker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::lease::{
    ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow,
    Write,
};
use crate::model::{Lease, LeaseKey, WorkerId};

use super::service_access::{ServiceAccess, Tells};

/// A wrapper around a lease table, in which a denial counts only after it has lasted. Every call of
/// a worker goes through it.
#[derive(Debug)]
pub(super) struct PatientTable {
    /// What the table has permitted so far, by the name of the call.
    refused: ServiceAccess,
    /// The table as the application gave it.
    inner: Arc<dyn LeaseTable>,
}

impl PatientTable {
    /// Nothing counts as permitted yet.
    pub(super) const fn new(refused: ServiceAccess, inner: Arc<dyn LeaseTable>) -> Self {
        Self { refused, inner }
    }
}

#[async_trait]
impl LeaseTable for PatientTable {
    /// Usually the first call, so a missing permission ends the worker here, before it has done
    /// anything.
    async fn setup(&self) -> Result<(), Error> {
        self.refused
            .table(Tells::Itself, "setup", self.inner.setup().await)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.refused
            .table(Tells::Itself, "get", self.inner.get(key).await)
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        self.refused.table(
            Tells::Itself,
            "scan",
            self.inner.scan(page, consistency).await,
        )
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.refused
            .table(Tells::Itself, "create", self.inner.create(lease).await)
    }

    /// The one call that proves everything: it is what a lease is renewed with, so a role that
    /// permits it was set up for this application.
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        self.refused.table(
            Tells::Everything,
            "update",
            self.inner.update(key, write).await,
        )
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.refused.table(
            Tells::Itself,
            "delete",
            self.inner.delete(key, expect).await,
        )
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        // Each call needs its own permission: that one is granted says nothing about the others.
        let call = match (seen, row) {
            (None, _) => "create_worker",
            (Some(_), Some(_)) => "update_worker",
            (Some(_), None) => "delete_worker",
        };
        self.refused.table(
            Tells::Itself,
            call,
            self.inner.write_worker(worker, seen, row).await,
        )
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.refused.table(
            Tells::Itself,
            "get_worker",
            self.inner.get_worker(worker).await,
        )
    }

    async fn glance_at_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.refused.table(
            Tells::Itself,
            "get_worker",
            self.inner.glance_at_worker(worker).await,
        )
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        self.refused.table(
            Tells::Itself,
            "change_signal",
            self.inner.change_signal().await,
        )
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.refused.table(
            Tells::Itself,
            "announce",
            self.inner.announce(changed).await,
        )
    }

    // No call, so nothing to judge.
    fn change_signal_interval(&self) -> Duration {
        self.inner.change_signal_interval()
    }
}
