//! Many records of a shard at work at the same time, those of one customer one after the other and
//! in order.
//!
//! The work on a record is a call of another service here, which takes its time. `by_key(64, …)`
//! makes up to 64 of them at once; a customer whose order is slow, or fails and is tried again,
//! holds up nobody else. The checkpoint is the end of what is done without a hole.
//!
//! ```text
//! cargo run --example 12_by_key
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{RecordContext, by_key};
use kcl_core::model::Record;
use kcl_core::{BoxError, Clock, MemoryLeaseTable, RecordHandler, SystemClock, Worker};

struct Shipping;

impl Shipping {
    /// A call of another service.
    async fn ship(&self, order: &str) {
        let takes = Duration::from_millis(10 + 5 * (order.len() as u64 % 7));
        SystemClock.sleep_until(SystemClock.now() + takes).await;
    }
}

impl RecordHandler for Shipping {
    async fn handle(&self, record: &Record, context: &RecordContext) -> Result<(), BoxError> {
        let order = std::str::from_utf8(&record.data)?;
        self.ship(order).await;
        // One order fails once.
        if context.attempt == 1 && order == "order 15" {
            return Err("the service is busy".into());
        }
        println!("{} {order}", record.partition_key);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("by-key")
        .lease_table(MemoryLeaseTable::new())
        .retry_pause(Duration::from_millis(50), Duration::from_secs(5))
        .processor(by_key(64, Shipping))
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
