use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kcl_core::model::Record;
use kcl_core::processor::ProcessRecordsInput;
use kcl_core::{Failure, RecordProcessor};
use tokio::sync::Notify;

use super::BenchLoad;

/// What the handlers of a worker have seen.
pub(super) struct Count {
    load: BenchLoad,
    wanted: u64,
    records: AtomicU64,
    sum: AtomicU64,
    first: Notify,
    done: Notify,
}

impl Count {
    /// So many records are to come.
    pub(super) fn of(wanted: u64, load: &BenchLoad) -> Arc<Self> {
        let count = Self {
            load: load.clone(),
            wanted,
            records: AtomicU64::default(),
            sum: AtomicU64::default(),
            first: Notify::default(),
            done: Notify::default(),
        };
        if wanted == 0 {
            count.done.notify_one();
        }
        Arc::new(count)
    }

    /// Waits until one has come. For one to wait.
    pub(super) async fn first(&self) {
        self.first.notified().await;
    }

    /// Notes records that have come, and touches their bytes if the load says so.
    pub(super) fn add(&self, records: &[Record]) {
        let sum = records.iter().fold(0_u64, |sum, record| {
            sum.wrapping_add(self.load.touched(&record.data))
        });
        self.sum.fetch_add(sum, Ordering::Relaxed);
        let added = records.len() as u64;
        let before = self.records.fetch_add(added, Ordering::Relaxed);
        if before == 0 {
            self.first.notify_one();
        }
        if before + added >= self.wanted {
            self.done.notify_one();
        }
    }

    /// Waits until all have come. For one to wait.
    pub(super) async fn all(&self) {
        self.done.notified().await;
    }

    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// The sum over every byte.
    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

/// A handler that touches every byte, if the load says so.
pub(super) struct Counter(pub(super) Arc<Count>);

impl RecordProcessor for Counter {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.0.add(&input.records);
        Ok(())
    }
}
