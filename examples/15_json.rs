//! Orders in JSON: the handler receives them decoded, and what is no order goes into a dead-letter
//! file at once, without a retry.
//!
//! ```text
//! cargo run --example 15_json
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{DecodedHandler, JsonLines, RecordContext, Retries, by_key, json};
use kcl_core::model::Record;
use kcl_core::{BoxError, MemoryLeaseTable, Worker};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    item: String,
    amount: u32,
}

struct Orders;

impl DecodedHandler for Orders {
    type Value = Order;

    async fn handle(
        &self,
        order: Order,
        record: &Record,
        context: &RecordContext,
    ) -> Result<(), BoxError> {
        // A failure that may pass is retried; one that cannot is not (`Permanent`).
        if context.attempt == 1 && order.item == "tea" {
            return Err("the store is busy".into());
        }
        let (customer, Order { item, amount }) = (&record.partition_key, order);
        println!("{customer} orders {amount} of {item}");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 1, 0).await?;
    for (customer, text) in [
        ("customer-1", r#"{"item": "coffee", "amount": 2}"#),
        ("customer-2", r#"{"item": "milk", "amount": "two"}"#),
        ("customer-1", r#"{"item": "tea", "amount": 3}"#),
        ("customer-2", "coffee, please"),
    ] {
        demo.put(customer, text).await?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.dead.jsonl");
    let retries = Retries::attempts(5)
        .pause(Duration::from_millis(20), Duration::from_secs(1))
        .dead_letter(JsonLines::append(&file)?);
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("json")
        .lease_table(MemoryLeaseTable::new())
        .processor(by_key(16, json(Orders)).retries(retries))
        .until_caught_up()
        .build()?;
    worker.run().await?;
    for line in std::fs::read_to_string(&file)?.lines() {
        let letter: serde_json::Value = serde_json::from_str(line)?;
        println!("dead ({}): {}", letter["why"], letter["error"]);
    }
    Ok(())
}
