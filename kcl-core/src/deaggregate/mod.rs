//! The third step of the data path: turns Kinesis records into user records.
//!
//! The Kinesis Producer Library (KPL) packs many user records into one Kinesis record, an
//! aggregate:
//!
//! ```text
//!   F3 89 9A C2 | AggregatedRecord, protobuf (proto2)                              | MD5 of the protobuf, 16 bytes
//!                 1 partition_key_table      repeated string
//!                 2 explicit_hash_key_table  repeated string
//!                 3 records                  repeated message:
//!                     1 partition_key_index      required uint64
//!                     2 explicit_hash_key_index  optional uint64
//!                     3 data                     required bytes
//!                     4 tags                     ignored
//! ```
//!
//! (The file `aggregation-format.md` in the KPL's repository describes the format.)
//!
//! Invariants: every Kinesis record yields at least one record, in order, except an aggregate
//! without records, which yields none, as in the KCL. No payload is copied. No input causes a
//! panic, or an allocation out of proportion to its size. A record that starts like an aggregate
//! but is not a valid one (truncated, wrong digest, index outside its table) is delivered unchanged
//! and counted.

mod deaggregator;
mod digests;
mod envelope;
mod hash_key;
mod message;
mod out_of_range;
mod wire;

pub use deaggregator::{Deaggregator, UserRecords};
pub(crate) use digests::{DIGEST, digest};
pub(crate) use envelope::MAGIC;
pub use out_of_range::OutOfRange;

#[cfg(test)]
#[path = "any_message_test.rs"]
mod any_message_tests;
#[cfg(test)]
#[path = "deaggregate_test.rs"]
mod tests;
