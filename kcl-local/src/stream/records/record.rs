//! One record as it is stored.

use bytes::Bytes;

/// A record in its shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stream) struct StoredRecord {
    /// Its index in the shard, from 1, which is part of the sequence number.
    pub(in crate::stream) index: u64,
    /// The sequence number as clients see it.
    pub(in crate::stream) sequence: Box<str>,
    /// When it was put, in milliseconds since the Unix epoch.
    pub(in crate::stream) arrival_ms: u64,
    /// The partition key.
    pub(in crate::stream) partition_key: Box<str>,
    /// The payload.
    pub(in crate::stream) data: Bytes,
    /// Whether the stream's encryption was on when it was put.
    pub(in crate::stream) encrypted: bool,
}

impl StoredRecord {
    /// How much the record counts towards the service's limits: the length of its payload and
    /// partition key, in bytes.
    pub(in crate::stream) fn weight(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}
