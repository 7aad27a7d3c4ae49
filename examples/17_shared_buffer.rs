//! The orders of all shards of a worker in one file: 20 of them, or what has come within a minute.
//!
//! One buffer for all shards makes fewer and larger files than one for each. Each shard still has a
//! checkpoint of its own, which follows the file.
//!
//! ```text
//! cargo run --example 17_shared_buffer
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{ShardRecord, SharedBufferHandler, SharedFlushContext, shared_buffer};
use kcl_core::{BoxError, Failure, MemoryLeaseTable, Worker};

struct Files {
    folder: PathBuf,
}

impl SharedBufferHandler for Files {
    async fn flush(
        &self,
        records: &[ShardRecord],
        context: &SharedFlushContext,
    ) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for one in records {
            lines.extend_from_slice(&one.record.data);
            lines.push(b'\n');
        }
        let shards: BTreeSet<_> = records.iter().map(|one| &one.shard.shard).collect();
        let first = &records[0];
        let name = format!("{}-{}.txt", first.shard.shard, first.record.position);
        fs::write(self.folder.join(name), lines)?;
        let (orders, shards) = (records.len(), shards.len());
        let cause = context.cause;
        println!("{orders} orders of {shards} shards in a file ({cause:?})");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 4, 20).await?;
    let folder = tempfile::tempdir()?;
    let files = Files {
        folder: folder.path().to_owned(),
    };
    let files = shared_buffer(files)
        .records(20)
        .every(Duration::from_secs(60));
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("shared-buffer")
        .lease_table(MemoryLeaseTable::new())
        .processor(files)
        .build()?;
    let report = worker
        .run_until(kcl_core::stop_signal()?, Duration::from_secs(10))
        .await?;
    println!("{report}");
    Ok(())
}
