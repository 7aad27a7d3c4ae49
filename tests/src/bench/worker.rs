use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kcl_core::fetch::ByteBudget;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::{Failure, RecordProcessor, Worker};
use kcl_local::SqliteLeaseTable;
use tokio::sync::Notify;

use super::client::client;
use super::measure::{Figures, touch};
use super::{Load, STREAM};

/// The same with the framework: a worker with an empty lease table in a file of its own.
///
/// # Errors
/// When the worker fails.
pub async fn worker(endpoint: &str, load: &Load) -> Result<Figures, Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "bench").await?;
    let count = Arc::new(Count { wanted: load.records, ..Count::default() });
    let counter = Arc::clone(&count);
    let worker = Worker::builder()
        .stream(STREAM)
        .application("bench")
        .source(KinesisStream::new(&client(endpoint), STREAM.parse()?))
        .lease_table(table)
        .byte_budget(ByteBudget::new(load.budget)?)
        .max_records(load.limit)
        // The bare loop has no pace either.
        .calls_per_second(1000)
        .processor(move |_: &ShardRef| Counter(Arc::clone(&counter)))
        .build()?;
    let stopper = worker.clone();
    let (ran, _) = tokio::join!(worker.run(), async {
        count.done.notified().await;
        stopper.shutdown(Duration::from_secs(10)).await
    });
    ran?;
    Ok(Figures::of_this_process(count.records.load(Ordering::Relaxed), count.sum.load(Ordering::Relaxed))?)
}

#[derive(Default)]
struct Count {
    wanted: u64,
    records: AtomicU64,
    sum: AtomicU64,
    done: Notify,
}

struct Counter(Arc<Count>);

impl RecordProcessor for Counter {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let sum = input.records.iter().fold(0_u64, |sum, record| sum.wrapping_add(touch(&record.data)));
        self.0.sum.fetch_add(sum, Ordering::Relaxed);
        let added = input.records.len() as u64;
        if self.0.records.fetch_add(added, Ordering::Relaxed) + added >= self.0.wanted {
            self.0.done.notify_one();
        }
        Ok(())
    }
}
