//! Between fetch and processor: Kinesis records become user records.

mod plain;

pub(crate) use plain::deaggregate;
