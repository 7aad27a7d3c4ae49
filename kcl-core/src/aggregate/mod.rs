//! Aggregation, for producers: packs user records into one Kinesis record, in the format that
//! `crate::deaggregate` reads.
//!
//! It is meant for tests, examples and producers in Rust. It does not put records: do that with any
//! Kinesis client.
//!
//! A shard accepts 1,000 records a second, and a put is charged in units of 25 KB. An aggregate
//! counts as one record and is charged by its own size, however many user records it holds. That is
//! why producers of small records use it.

mod aggregator;
mod varint;

pub use aggregator::{AddError, Aggregate, Aggregator};

#[cfg(test)]
#[path = "aggregate_test.rs"]
mod tests;
