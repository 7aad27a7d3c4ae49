//! One worker that reads several streams, one of which is added while it runs.
//!
//! ```text
//! cargo run --example 07_several_streams
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::worker::{Event, StreamConfig};
use kcl_core::{BoxError, Failure, InitialPosition, MemoryLeaseTable, RecordProcessor, Worker};

struct Printer;

impl RecordProcessor for Printer {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            println!("{} {}", input.shard, String::from_utf8_lossy(&record.data));
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (orders, returns, refunds) = (
        Demo::start("orders", 1, 5).await?,
        Demo::start("returns", 1, 5).await?,
        Demo::start("refunds", 1, 5).await?,
    );
    let worker = Worker::builder()
        .streams([
            StreamConfig::new("orders").source(orders.source()?),
            // Each stream can have its own initial position.
            StreamConfig::new("returns")
                .source(returns.source()?)
                .initial_position(InitialPosition::TrimHorizon),
        ])
        .application("several-streams")
        .lease_table(MemoryLeaseTable::new())
        .processor(|_: &ShardRef| Printer)
        .build()?;
    let (signal, refunds) = (kcl_core::stop_signal()?, refunds.source()?);
    let mut events = worker.events();
    let add = async {
        while !matches!(events.next().await, Some(Event::Started) | None) {}
        match worker.add_stream(StreamConfig::new("refunds").source(refunds)) {
            Ok(()) => std::future::pending().await,
            Err(error) => eprintln!("{error}"),
        }
    };
    // The future passed to `run_until` may be a `select!`, but `run_until` itself must never be a
    // branch of one: a branch that loses is dropped without a graceful stop.
    let stop = async {
        tokio::select! {
            biased;
            _ = signal => {}
            () = add => {}
        }
    };
    let report = worker.run_until(stop, Duration::from_secs(10)).await?;
    println!("{report}");
    Ok(())
}
