//! A framework for Amazon Kinesis Data Streams consumers.
//!
//! An application implements [`RecordProcessor`]. Its [workers](Worker) share the shards of one or
//! more streams through leases in a [lease table](lease::LeaseTable), store checkpoints there, and,
//! after a reshard, read child shards only once their parents are finished.
//!
//! The workers of an application form a fleet without a leader: each worker sees the others through
//! their rows in the table, decides only for itself, and takes free leases or requests leases from
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
//!         .source(stream) // Without this line, the stream of this name is read from AWS.
//!         .application("printer")
//!         .lease_table(MemoryLeaseTable::new()) // For tests: checkpoints end with the process.
//!         .processor(|_shard: &ShardRef| Printer)
//!         .until_caught_up() // Without this line, it reads until it is stopped.
//!         .build()?;
//!     let report = worker.run().await?;
//!     println!("{report}");
//!     Ok(())
//! }
//! ```
//!
//! If you do not need batches, implement [`RecordHandler`] instead, which receives one record at a
//! time; see [`handler`].
//!
//! A service runs until it is told to stop: `worker.run_until(kcl_core::stop_signal()?, deadline)`.
//! For lease tables that outlive the process, use the crate `kcl-local` (`SQLite`, for one host) or
//! `kcl-dynamo` (DynamoDB, for any number of hosts).
//!
//! The modules are grouped along two paths, that of the data and that of lease ownership:
//!
//! ```text
//!   data        stream -> fetch -> deaggregate -> processor -> checkpoint
//!   ownership   lease table -> decide -> tenancy -> shard consumer
//! ```
//!
//! The two paths meet in two places: a shard consumer delivers nothing without a valid lease, and a
//! checkpoint is a write on the lease.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod guide;

pub mod model;

pub(crate) mod decide;

// The data path.
pub mod checkpoint;
#[cfg_attr(
    not(feature = "testing"),
    allow(
        unreachable_pub,
        unused_imports,
        reason = "what `testing::internals` shows of it"
    )
)]
mod deaggregate;
mod fetch;
pub mod handler;
pub mod processor;
pub mod stream;

// The ownership path.
pub mod lease;
mod tenancy;
pub mod worker;

// For producers.
pub mod aggregate;

// For operators.
pub mod admin;
#[cfg(feature = "health")]
pub mod health;

/// What this project's own lease tables share with the core. It may change in any release.
#[doc(hidden)]
pub mod backend {
    pub use crate::decide::members::WatchedRow;
}

mod memory_wait;
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

/// The AWS SDK's Kinesis client, in the version that [`KinesisStream::new`] accepts.
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

/// Any error, boxed. The methods of a [`RecordProcessor`] may return it, and the errors of this
/// crate hold their causes as one.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
