use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
            done: Notify::default(),
        };
        if wanted == 0 {
            count.done.notify_one();
        }
        Arc::new(count)
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
        let sum = input.records.iter().fold(0_u64, |sum, record| {
            sum.wrapping_add(self.0.load.touched(&record.data))
        });
        self.0.sum.fetch_add(sum, Ordering::Relaxed);
        let added = input.records.len() as u64;
        if self.0.records.fetch_add(added, Ordering::Relaxed) + added >= self.0.wanted {
            self.0.done.notify_one();
        }
        Ok(())
    }
}
