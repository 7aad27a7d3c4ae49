//! Handlers of single records and of buffers, for applications that do not need batches as they were fetched.
//!
//! An application implements [`RecordHandler`]; one value of it serves all the shards of a worker.
//! An adapter makes a [`RecordProcessorFactory`](crate::RecordProcessorFactory) of it:
//!
//! | adapter | records of a shard |
//! |---|---|
//! | [`in_order`] | one after the other |
//! | [`by_key`] | several at the same time, those of one partition key one after the other |
//! | [`unordered`] | several at the same time, in any order |
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
//! [`buffer`] gathers the records of each shard for a [`BufferHandler`], which is given many of them
//! together; [`shared_buffer`] those of all shards of a worker for a [`SharedBufferHandler`].
//!
//! [`decode`] stands before a handler of records, [`decode_buffer`] before one of buffers, and gives
//! it what the records hold: `json` is the first decoder, with the feature of that name.
//!
//! [`bisect`] is for processors of batches: it takes a batch that fails apart.
//!
//! [`Retries`] says how often a record that fails is tried, and what becomes of it then:
//! [`DeadLetter`] keeps the record itself.
//!
//! What is stored, and when, and what becomes of records at work when the shard is given up:
//! [`guide::handlers`](crate::guide::handlers). A [`RecordProcessor`](crate::RecordProcessor) is
//! given the batches themselves, and every call in the life of a shard.

mod accepting;
mod bisected;
mod buffer;
mod by_record;
mod dead_letter;
mod decode;
mod filter;
mod give_up;
mod json_lines;
#[cfg(feature = "kinesis")]
mod kinesis_letters;
mod letter_json;
#[cfg(test)]
mod letter_scene;
mod permanent;
mod retries;
mod rules;
mod shared;
mod traits;
mod work;

pub use bisected::{Bisected, bisect};
pub use buffer::{BufferHandler, Buffered, FlushCause, FlushContext, buffer};
pub use by_record::{ByRecord, by_key, in_order, unordered};
pub use dead_letter::{DeadLetter, Discarded, Letter};
pub use decode::{Decoded, DecodedBufferHandler, DecodedHandler, Decoder, decode, decode_buffer};
#[cfg(feature = "json")]
pub use decode::{JsonDecoder, json, json_buffer};
pub use json_lines::JsonLines;
#[cfg(feature = "kinesis")]
pub use kinesis_letters::KinesisLetters;
pub use permanent::Permanent;
pub use retries::Retries;
pub use shared::{
    ShardRecord, SharedBufferHandler, SharedBuffered, SharedFlushContext, shared_buffer,
};
pub use traits::{RecordContext, RecordHandler};

// What the factories above make. They are in a signature, and nobody has to name them.
#[doc(hidden)]
pub use bisected::BisectedProcessor;
#[doc(hidden)]
pub use buffer::BufferedProcessor;
#[doc(hidden)]
pub use by_record::ByRecordProcessor;
#[doc(hidden)]
pub use shared::SharedBufferedProcessor;
