//! Records that are gathered and written as one file: 10 of them, or what has come within a second.
//!
//! The checkpoint follows the file, so a crash writes the records of an unfinished file again, under
//! the same name if the buffer begins with the same record.
//!
//! ```text
//! cargo run --example 14_buffers
//! ```

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{BufferHandler, FlushContext, buffer};
use kcl_core::model::Record;
use kcl_core::{BoxError, Failure, MemoryLeaseTable, Worker};

struct Files {
    folder: PathBuf,
}

impl BufferHandler for Files {
    async fn flush(&self, records: &[Record], context: &FlushContext) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for record in records {
            lines.extend_from_slice(&record.data);
            lines.push(b'\n');
        }
        let shard = &context.shard.shard;
        let name = format!("{shard}-{}.txt", records[0].position);
        fs::write(self.folder.join(name), lines)?;
        println!("{} orders in a file ({:?})", records.len(), context.cause);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("orders", 1, 25).await?;
    let folder = tempfile::tempdir()?;
    let files = Files {
        folder: folder.path().to_owned(),
    };
    let files = buffer(files)
        .records(10)
        .every(Duration::from_secs(1))
        .filter(|record| record.partition_key != "customer-0");
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("buffers")
        .lease_table(MemoryLeaseTable::new())
        .processor(files)
        .until_caught_up()
        .build()?;
    worker.run().await?;
    println!("{} files", fs::read_dir(folder.path())?.count());
    Ok(())
}
