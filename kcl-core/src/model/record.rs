use std::fmt;

use bytes::Bytes;

use super::{Key, Position, SequenceNumber, Timestamp};

/// How the service encrypts a record at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encryption {
    /// Not encrypted.
    #[default]
    None,
    /// With an AWS KMS key.
    Kms,
}

/// A record as the stream holds it. It may be an aggregate of many user records.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawRecord {
    /// Its sequence number in the shard.
    pub sequence: SequenceNumber,
    /// The partition key that it was put with.
    pub partition_key: Key,
    /// When the service received it, or `None` if the service did not say.
    pub arrived_at: Option<Timestamp>,
    /// How the service encrypts it at rest.
    pub encryption: Encryption,
    /// The payload.
    pub data: Bytes,
}

impl RawRecord {
    /// Creates a record that is not encrypted and has no arrival time.
    #[must_use]
    pub fn new(
        sequence: SequenceNumber,
        partition_key: impl Into<Key>,
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

    /// The same record with this arrival time.
    #[must_use]
    pub const fn arrived_at(mut self, at: Timestamp) -> Self {
        self.arrived_at = Some(at);
        self
    }

    /// The same record with this encryption.
    #[must_use]
    pub const fn encrypted(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// The memory that the record takes, in bytes: its payload, its key and this value itself.
    #[must_use]
    pub fn occupied(&self) -> usize {
        size_of::<Self>() + self.partition_key.len() + self.data.len()
    }
}

impl fmt::Debug for RawRecord {
    /// Shows neither the key nor the payload: both are the users' data and do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("sequence", &self.sequence)
            .field("arrived_at", &self.arrived_at)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// A user record: one record as a producer wrote it, taken out of its aggregate if it was in one.
/// This is what a [`RecordProcessor`](crate::RecordProcessor) receives.
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
    /// Its position in the shard: unique there, and growing from record to record.
    pub position: Position,
    /// The partition key that the user record was put with.
    pub partition_key: Key,
    /// The hash key that the producer gave in place of the partition key's digest. Only records
    /// from an aggregate can show it; for all others this is `None`.
    pub explicit_hash_key: Option<Key>,
    /// Whether it came from an aggregate.
    pub aggregated: bool,
    /// Whether it came from an aggregate and its hash key is outside the shard's range. The
    /// aggregate was then packed for a shard that has been split or merged since, and the KPL sends
    /// such a record again. See [`OutOfRange`](crate::worker::OutOfRange).
    pub out_of_range: bool,
    /// When the service received the Kinesis record, or `None` if the service did not say.
    pub arrived_at: Option<Timestamp>,
    /// How the service encrypts the Kinesis record at rest.
    pub encryption: Encryption,
    /// The payload: a view of the fetched page, not a copy. Keeping it keeps the whole page in
    /// memory, up to 10 MiB, after the byte budget has stopped counting it;
    /// [`detached`](Self::detached) avoids that.
    pub data: Bytes,
}

impl Record {
    /// A copy of the record that shares no memory with others.
    ///
    /// The records of a page are slices of one buffer, and their keys are slices of one text. A
    /// handler that keeps a few of them after its call returns, in a cache for instance, should
    /// keep them detached: otherwise each keeps its whole page.
    ///
    /// ```
    /// use kcl_core::model::{RawRecord, Record, SequenceNumber};
    ///
    /// let page = bytes::Bytes::from(vec![0; 10_000]);
    /// let number = SequenceNumber::from_u128(1);
    /// let record = Record::from(RawRecord::new(number, "customer-7", page.slice(10..20)));
    /// let kept = record.detached();
    /// assert_eq!(kept, record);
    /// assert!(!page.as_ptr_range().contains(&kept.data.as_ptr()));
    /// ```
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            partition_key: self.partition_key.as_str().into(),
            explicit_hash_key: self
                .explicit_hash_key
                .as_ref()
                .map(|key| key.as_str().into()),
            data: Bytes::copy_from_slice(&self.data),
            ..self.clone()
        }
    }

    /// The sequence number of the Kinesis record.
    #[must_use]
    pub const fn sequence(&self) -> &SequenceNumber {
        &self.position.sequence
    }

    /// The zero-based index among the user records of an aggregate; 0 for a record that is not part
    /// of one.
    #[must_use]
    pub const fn sub_sequence(&self) -> u64 {
        self.position.sub_sequence
    }
}

impl From<RawRecord> for Record {
    /// Takes the record as it is, without deaggregating it.
    fn from(raw: RawRecord) -> Self {
        Self {
            position: raw.sequence.into(),
            partition_key: raw.partition_key,
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
    /// Shows neither the keys nor the payload: both are the users' data and do not belong in a log.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_record_keeps_neither_its_page_nor_the_other_keys() {
        let (page, keys) = (Bytes::from(vec![7; 1000]), "one-two-three".into());
        let raw = RawRecord::new(
            SequenceNumber::from_u128(1),
            Key::part(&keys, 4, 7),
            page.slice(10..20),
        );
        let record = Record {
            explicit_hash_key: Some(Key::part(&keys, 0, 3)),
            ..raw.into()
        };
        let kept = record.detached();
        assert_eq!(kept, record);
        drop(record);
        assert!(page.is_unique(), "nothing holds the page");
        assert_eq!(std::sync::Arc::strong_count(&keys), 1);
    }
}
