//! Enhanced fan-out: records are pushed over HTTP/2, at up to 2 MB per second and shard for this
//! application alone.
//!
//! ```text
//! cargo run --example 06_fan_out
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::worker::{FanOutConfig, Mode};
use kcl_core::{BoxError, Failure, MemoryLeaseTable, RecordProcessor, Worker};

struct Printer;

impl RecordProcessor for Printer {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            println!(
                "{} {}",
                record.partition_key,
                String::from_utf8_lossy(&record.data)
            );
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("fan-out")
        .lease_table(MemoryLeaseTable::new())
        // The first worker registers the consumer `fan-out`. `Mode::Auto` would poll if it is not
        // available.
        .mode(Mode::FanOut(FanOutConfig::managed()))
        .processor(|_: &ShardRef| Printer)
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    // The service charges for a consumer for as long as it exists.
    println!("consumers removed: {}", worker.retire_consumers().await?);
    Ok(())
}
