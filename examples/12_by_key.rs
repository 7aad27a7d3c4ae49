//! Processes many records of a shard at the same time, but those of one customer one after the
//! other, in order.
//!
//! Here, the work on a record is a slow call to another service. `by_key(64, …)` makes up to 64 of
//! them at once; an order that is slow, or that fails and is retried, delays only the later orders
//! of the same customer. The checkpoint is the position up to which every record is done.
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
    /// Calls another service.
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
