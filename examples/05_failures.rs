//! What happens when a handler fails: by default the batch is delivered again until it succeeds;
//! here, a record that fails is skipped.
//!
//! `OnFailure::Retry` is the default, `OnFailure::Stop` ends the worker with the error, and
//! `OnFailure::Skip` skips the record that failed and reports it with an event and a warning. In
//! each case, the records before the one that failed count as processed.
//!
//! ```text
//! cargo run --example 05_failures
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{BoxError, Failure, MemoryLeaseTable, OnFailure, RecordProcessor, Worker};

struct Amounts;

impl RecordProcessor for Amounts {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            let text =
                std::str::from_utf8(&record.data).map_err(|error| Failure::at(record, error))?;
            let amount: u64 = text.parse().map_err(|error| Failure::at(record, error))?;
            println!("amount {amount}");
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    let demo = Demo::start("amounts", 1, 0).await?;
    for text in ["1", "2", "three", "4"] {
        demo.put("customer", text).await?;
    }
    let worker = Worker::builder()
        .stream("amounts")
        .source(demo.source()?)
        .application("failures")
        .lease_table(MemoryLeaseTable::new())
        .on_failure(OnFailure::Skip)
        .processor(|_: &ShardRef| Amounts)
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
