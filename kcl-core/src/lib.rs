//! A Kinesis consumer framework.
//!
//! An application implements [`RecordProcessor`]. Its [workers](Worker) share the shards of a
//! stream, or of several, through leases in a [lease table](lease::LeaseTable), store checkpoints
//! there, and read child shards only after their parents when a stream is resharded.
//!
//! The workers of an application form a fleet without a leader: each one sees the others by their
//! rows in the table, decides what concerns itself, and takes free leases or requests leases from
//! their owners. [`worker`] explains how a worker starts, works and stops.
//!
//! ```
//! use kcl_core::processor::{ProcessRecordsInput, ShardRef};
//! use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
//!
//! struct Printer;
//!
//! impl RecordProcessor for Printer {
//!     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
//!         for record in &input.records {
//!             println!("{} {}", record.partition_key, String::from_utf8_lossy(&record.data));
//!         }
//!         Ok(()) // All of it is done: the checkpoint follows by itself.
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let stream = MemoryStream::new("orders", 2);
//!     stream.put("customer-7", "an order")?;
//!     let worker = Worker::builder()
//!         .stream("orders")
//!         .source(stream) // Left out, the stream of this name is read from AWS.
//!         .application("printer")
//!         .lease_table(MemoryLeaseTable::new()) // For tests: checkpoints end with the process.
//!         .processor(|_shard: &ShardRef| Printer)
//!         .until_caught_up() // Left out, it reads for ever.
//!         .build()?;
//!     let report = worker.run().await?;
//!     println!("{report}");
//!     Ok(())
//! }
//! ```
//!
//! If you do not need batches, implement [`RecordHandler`], which receives one record at a time:
//! see [`handler`].
//!
//! A service runs until it is told to stop: `worker.run_until(kcl_core::stop_signal()?, deadline)`.
//! Lease tables that outlive the process are in the crates `kcl-local` (`SQLite`, for one host) and
//! `kcl-dynamo` (DynamoDB, for any number of hosts).
//!
//! The modules are grouped by two paths:
//!
//! ```text
//!   the way of data        stream -> fetch -> deaggregate -> processor -> checkpoint
//!   the way of ownership   lease table -> decide -> tenancy -> shard consumer
//! ```
//!
//! The two paths meet in two places: a shard consumer delivers nothing without a valid lease, and a
//! checkpoint is a write on the lease.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod guide;

pub mod model;

pub(crate) mod decide;

// The way of data.
pub mod checkpoint;
pub mod deaggregate;
pub mod fetch;
pub mod handler;
pub mod processor;
pub mod stream;

// The way of ownership.
pub mod lease;
mod tenancy;
pub mod worker;

// For producers.
pub mod aggregate;

pub mod meters;
#[cfg(test)]
#[path = "paused_test.rs"]
mod paused;
mod runtime;
#[cfg(feature = "signal")]
pub mod signal;
mod stop;
#[cfg(feature = "testing")]
pub mod testing;
mod watermark;

/// The AWS SDK's client of Kinesis, in the version that this crate reads with: what
/// [`KinesisStream::new`] takes.
#[cfg(feature = "kinesis")]
pub use aws_sdk_kinesis;
pub use fetch::ByteBudget;
pub use handler::RecordHandler;
pub use lease::memory::MemoryLeaseTable;
pub use model::InitialPosition;
pub use processor::{Failure, OnFailure, RecordProcessor, RecordProcessorFactory};
pub use runtime::{Clock, SystemClock};
#[cfg(feature = "signal")]
pub use signal::stop_signal;
#[cfg(feature = "kinesis")]
pub use stream::kinesis::KinesisStream;
pub use stream::memory::MemoryStream;
pub use worker::Worker;

/// Any error, boxed: what the calls of a [`RecordProcessor`] may return, and how the errors of this
/// crate hold their causes.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
