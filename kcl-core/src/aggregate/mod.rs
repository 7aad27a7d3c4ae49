//! The other way round: user records are packed into one Kinesis record, in the format that
//! [`crate::deaggregate`] takes apart.
//!
//! For tests, for examples and for producers in Rust. Records are put by whoever uses it, with any
//! Kinesis client.

mod aggregator;
mod varint;

pub use aggregator::{AddError, Aggregate, Aggregator, InvalidLimit};

#[cfg(test)]
#[path = "aggregate_test.rs"]
mod tests;
