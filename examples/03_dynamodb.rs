//! Leases in DynamoDB, for workers on any number of hosts. The rows are compatible with the Java
//! KCL.
//!
//! Region and credentials come from the environment. To use DynamoDB Local or another emulator:
//!
//! ```text
//! AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \
//!     cargo run --example 03_dynamodb
//! ```

use std::env::temp_dir;
use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{BoxError, Failure, RecordProcessor, Worker};
use kcl_dynamo::DynamoLeaseTable;

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
    // The stream is kept in a folder, because the leases outlive this process: the next run reads
    // only the new records.
    let demo = Demo::start_in(&temp_dir().join("kcl-03_dynamodb"), "orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("dynamodb-example")
        // Creates the table `dynamodb-example` if it is missing.
        .lease_table(DynamoLeaseTable::open("dynamodb-example").await?)
        .processor(|_: &ShardRef| Printer)
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
