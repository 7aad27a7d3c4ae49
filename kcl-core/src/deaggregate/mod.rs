//! The third station of the way of data: Kinesis records become user records.
//!
//! The Kinesis Producer Library (KPL) packs many user records into one Kinesis record, an aggregate:
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
//! (The format is described in `aggregation-format.md` of the KPL's repository.)
//!
//! Invariants: every Kinesis record gives at least one record, in order, but for an aggregate that holds none: it gives none, as with
//! the KCL; no payload is copied; nothing in the input makes this panic or allocate more than in proportion to the input. What says that
//! it is an aggregate and is not one (cut, a wrong digest, an index outside its table) is handed on as the one record that it was put as,
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
#[path = "deaggregate_test.rs"]
mod tests;
