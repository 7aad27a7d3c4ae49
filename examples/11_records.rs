//! One record at a time: all that an application needs if it does not need batches.
//!
//! One `RecordHandler` serves all shards of a worker. A record that fails is delivered again; the
//! records before it count as processed.
//!
//! ```text
//! cargo run --example 11_records
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{RecordContext, in_order};
use kcl_core::model::Record;
use kcl_core::{BoxError, MemoryLeaseTable, RecordHandler, Worker};

struct Printer;

impl RecordHandler for Printer {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        println!(
            "{} {}",
            record.partition_key,
            std::str::from_utf8(&record.data)?
        );
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("records")
        .lease_table(MemoryLeaseTable::new())
        .processor(in_order(Printer))
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
