//! Replays a time range of a stream next to the live application, without touching its leases.
//!
//! All applications that poll a shard share its 5 calls and 2 MB per second: `.calls_per_second(1)`
//! leaves four of the calls to the live application. The replay has its own application name,
//! leases and checkpoints: if it is stopped, it continues from there when it is run again.
//!
//! ```text
//! cargo run --example 10_replay
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::model::Timestamp;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{BoxError, Failure, InitialPosition, MemoryLeaseTable, RecordProcessor, Worker};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

struct Printer {
    application: &'static str,
    arrivals: UnboundedSender<Timestamp>,
}

impl RecordProcessor for Printer {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            if let Some(arrived_at) = record.arrived_at {
                let text = String::from_utf8_lossy(&record.data);
                println!("{}: {arrived_at} {text}", self.application);
                self.arrivals.send(arrived_at)?;
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 1, 20).await?;
    let (arrivals, mut seen) = unbounded_channel();
    let printer = move |application| Printer {
        application,
        arrivals: arrivals.clone(),
    };
    let builder = || Ok::<_, BoxError>(Worker::builder().stream("orders").source(demo.source()?));

    let live = printer.clone();
    let live = builder()?
        .application("live")
        .lease_table(MemoryLeaseTable::new())
        .processor(move |_: &ShardRef| live("live"))
        .build()?;
    let replay = async {
        let mut times = Vec::new();
        while times.len() < 20 {
            times.extend(seen.recv().await);
        }
        let replay = builder()?
            .application("replay")
            // On disk or in DynamoDB, open the table of this application:
            // `SqliteLeaseTable::open(path, "replay")`, for example.
            .lease_table(MemoryLeaseTable::new())
            .initial_position(InitialPosition::AtTimestamp(times[5]))
            .until(times[14])
            .processor(move |_: &ShardRef| printer("replay"))
            .build()?;
        let report = replay.run().await?;
        println!("replayed from {} to {}: {report}", times[5], times[14]);
        Ok::<(), BoxError>(())
    };
    let (lived, replayed) = tokio::join!(
        live.run_until(kcl_core::stop_signal()?, Duration::from_secs(10)),
        replay
    );
    println!("{}", lived?);
    replayed
}
