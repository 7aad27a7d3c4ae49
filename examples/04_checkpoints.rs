//! Manual checkpoints in two phases, around a side effect that must not be lost track of.
//!
//! `prepare` stores where the checkpoint will be, together with a few bytes of state, here the name
//! of the file that is written. If the worker dies between the two phases, the next owner finds
//! both in `InitializeInput::pending`.
//!
//! ```text
//! cargo run --example 04_checkpoints
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::processor::{InitializeInput, ProcessRecordsInput, ShardRef};
use kcl_core::worker::Checkpoints;
use kcl_core::{BoxError, Failure, MemoryLeaseTable, RecordProcessor, Worker};

struct Files {
    written: u32,
}

impl RecordProcessor for Files {
    async fn initialize(&mut self, input: InitializeInput) -> Result<(), BoxError> {
        if let Some(pending) = &input.pending {
            println!(
                "{}: an earlier owner may have published {pending:?}",
                input.shard
            );
        }
        Ok(())
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.written += 1;
        let file = format!("{}-{}.jsonl", input.shard.shard, self.written);
        let prepared = input
            .checkpointer
            .prepare(Some(file.clone().into()))
            .await?;
        println!("published {file} with {} records", input.records.len());
        prepared.commit().await?;
        println!("{}: checkpoint at {}", input.shard, prepared.position());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("checkpoints")
        .lease_table(MemoryLeaseTable::new())
        // Only the handler stores checkpoints; the worker still stores the end of a shard.
        .checkpoints(Checkpoints::Manual)
        .processor(|_: &ShardRef| Files { written: 0 })
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
