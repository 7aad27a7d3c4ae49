//! Leases in DynamoDB, for workers on any number of hosts. The rows are those of the Java KCL.
//!
//! Region and credentials are those of the environment. Against DynamoDB Local, or another double:
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
    // Kept in a folder, as the leases outlive this process: run it again, and the new records come
    // alone.
    let demo = Demo::start_in(&temp_dir().join("kcl-03_dynamodb"), "orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("dynamodb-example")
        // Makes the table `dynamodb-example` when it is missing.
        .lease_table(DynamoLeaseTable::open("dynamodb-example").await?)
        .processor(|_: &ShardRef| Printer)
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
