//! Aggregation, for producers: packs user records into one Kinesis record, in the format that
//! `crate::deaggregate` reads.
//!
//! It is meant for tests, examples and producers in Rust. It does not put records: do that with any
//! Kinesis client.

mod aggregator;
mod varint;

pub use aggregator::{AddError, Aggregate, Aggregator};

#[cfg(test)]
#[path = "aggregate_test.rs"]
mod tests;
