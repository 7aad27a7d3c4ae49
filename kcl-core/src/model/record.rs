use std::fmt;

use bytes::Bytes;

use super::{Key, Position, SequenceNumber, Timestamp};

/// How the service keeps a record on its disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encryption {
    /// As it was put.
    #[default]
    None,
    /// With a key of AWS KMS.
    Kms,
}

/// A record as the stream holds it: perhaps an aggregate of many user records.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawRecord {
    /// Its place in the shard.
    pub sequence: SequenceNumber,
    /// The key that it was put with.
    pub partition_key: String,
    /// When the service took it, if it said so.
    pub arrived_at: Option<Timestamp>,
    /// How the service keeps it.
    pub encryption: Encryption,
    /// What was put.
    pub data: Bytes,
}

impl RawRecord {
    /// The record with this place, key and content.
    #[must_use]
    pub fn new(
        sequence: SequenceNumber,
        partition_key: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Self {
        Self {
            sequence,
            partition_key: partition_key.into(),
            arrived_at: None,
            encryption: Encryption::None,
            data: data.into(),
        }
    }

    /// The same record, with the time of its arrival.
    #[must_use]
    pub const fn arrived_at(mut self, at: Timestamp) -> Self {
        self.arrived_at = Some(at);
        self
    }

    /// The same record, kept like this by the service.
    #[must_use]
    pub const fn encrypted(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// The memory that the record takes, in bytes: its content, its key and the value itself.
    #[must_use]
    pub fn occupied(&self) -> usize {
        size_of::<Self>() + self.partition_key.capacity() + self.data.len()
    }
}

impl fmt::Debug for RawRecord {
    /// Neither the key nor the content: both are the users' data and have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("sequence", &self.sequence)
            .field("arrived_at", &self.arrived_at)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// A user record: what a [`RecordProcessor`](crate::RecordProcessor) is given.
///
/// ```
/// use kcl_core::model::{RawRecord, Record, SequenceNumber};
///
/// // A record for the test of a handler, as if it had been put by itself.
/// let record = Record::from(RawRecord::new(SequenceNumber::from_u128(1), "customer-7", "an order"));
/// assert_eq!(record.partition_key, "customer-7");
/// assert_eq!(&record.data[..], b"an order");
/// assert_eq!(record.sub_sequence(), 0);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Its place in the shard: unique there, and growing from record to record.
    pub position: Position,
    /// The key that the user record was put with.
    pub partition_key: Key,
    /// The hash key that overrides the partition key's digest, if the producer gave one and the
    /// record shows it (only records out of an aggregate do).
    pub explicit_hash_key: Option<Key>,
    /// Whether it came out of an aggregate.
    pub aggregated: bool,
    /// Whether it came out of an aggregate and its hash key is outside the range of the shard: the
    /// aggregate was packed for a shard that has been split or merged since. A KPL sends such a
    /// record again. See [`OutOfRange`](crate::worker::OutOfRange).
    pub out_of_range: bool,
    /// When the service took the Kinesis record, if it said so.
    pub arrived_at: Option<Timestamp>,
    /// How the service keeps the Kinesis record.
    pub encryption: Encryption,
    /// What was put: a view into the bytes that were fetched, not a copy. Keeping it keeps those
    /// bytes.
    pub data: Bytes,
}

impl Record {
    /// The sequence number of the Kinesis record.
    #[must_use]
    pub const fn sequence(&self) -> &SequenceNumber {
        &self.position.sequence
    }

    /// The place among the user records of an aggregate; 0 for a record that was put by itself.
    #[must_use]
    pub const fn sub_sequence(&self) -> u64 {
        self.position.sub_sequence
    }
}

impl From<RawRecord> for Record {
    /// The record as it is, not taken apart.
    fn from(raw: RawRecord) -> Self {
        Self {
            position: raw.sequence.into(),
            partition_key: raw.partition_key.into(),
            explicit_hash_key: None,
            aggregated: false,
            out_of_range: false,
            arrived_at: raw.arrived_at,
            encryption: raw.encryption,
            data: raw.data,
        }
    }
}

impl fmt::Debug for Record {
    /// Neither the keys nor the content: both are the users' data and have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("position", &self.position)
            .field("aggregated", &self.aggregated)
            .field("out_of_range", &self.out_of_range)
            .field("arrived_at", &self.arrived_at)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}
