//! The shortest consumer: prints every record, and stops gracefully on Ctrl-C or SIGTERM.
//!
//! ```text
//! cargo run --example 01_hello
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
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
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init(); // Without a subscriber, a worker logs nothing.
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?) // Without this line, the stream is read from AWS.
        .application("hello")
        .lease_table(MemoryLeaseTable::new()) // For tests: checkpoints end with the process.
        .processor(|_: &ShardRef| Printer)
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
