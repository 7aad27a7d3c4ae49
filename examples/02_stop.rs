//! Stopping on your own condition: here, when twenty records have been processed.
//!
//! When the future passed to `run_until` completes, the worker finishes the batch in flight, stores
//! its checkpoint and releases its leases.
//!
//! ```text
//! cargo run --example 02_stop
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{BoxError, Failure, MemoryLeaseTable, RecordProcessor, Worker};
use tokio::sync::Notify;

#[derive(Clone, Default)]
struct Counter {
    done: Arc<AtomicUsize>,
    enough: Arc<Notify>,
}

impl RecordProcessor for Counter {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let batch = input.records.len();
        if self.done.fetch_add(batch, Ordering::SeqCst) + batch >= 20 {
            self.enough.notify_one();
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let counter = Counter::default();
    let enough = Arc::clone(&counter.enough);
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("stop")
        .lease_table(MemoryLeaseTable::new())
        .processor(move |_: &ShardRef| counter.clone())
        .build()?;
    let signal = kcl_core::stop_signal()?;
    let first = async {
        tokio::select! {
            biased;
            _ = signal => {}
            () = enough.notified() => {}
        }
    };
    let report = worker.run_until(first, Duration::from_secs(10)).await?;
    for (lease, shard) in &report.shards {
        println!("{lease}: {:?} at {}", shard.stopped, shard.checkpoint);
    }
    Ok(())
}
