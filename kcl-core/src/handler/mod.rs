//! Handlers of single records, for applications that do not need batches.
//!
//! An application implements [`RecordHandler`]; one value of it serves all the shards of a worker. An adapter makes a
//! [`RecordProcessorFactory`](crate::RecordProcessorFactory) of it:
//!
//! | adapter | records of a shard |
//! |---|---|
//! | [`in_order`] | one after the other |
//!
//! ```
//! use kcl_core::handler::{RecordContext, RecordHandler, in_order};
//! use kcl_core::model::Record;
//! use kcl_core::{BoxError, MemoryLeaseTable, MemoryStream, Worker};
//!
//! struct Printer;
//!
//! impl RecordHandler for Printer {
//!     async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
//!         println!("{} {}", record.partition_key, String::from_utf8_lossy(&record.data));
//!         Ok(()) // The record is done: the checkpoint follows by itself.
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let stream = MemoryStream::new("orders", 2);
//! # stream.put("customer-7", "an order")?;
//! # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
//! let worker = builder.processor(in_order(Printer)).until_caught_up().build()?;
//! worker.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`RecordProcessor`](crate::RecordProcessor) is given the batches themselves, and every call in the life of a shard.

mod in_order;
mod traits;

pub use in_order::{InOrder, InOrderProcessor, in_order};
pub use traits::{RecordContext, RecordHandler};
