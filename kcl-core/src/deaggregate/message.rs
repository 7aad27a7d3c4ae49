//! The protobuf message of an aggregate, read in two passes over the same bytes.
//!
//! ```text
//!   scan   the outermost fields     the two tables of keys, the number of user records
//!   read   the records              one Record each: a slice of the data, a part of the shared text
//! ```
//!
//! The first pass counts, so that the list of a whole page is allocated once and in its final size.
//! It needs both tables before the second pass, because protobuf allows a table to stand behind the
//! records that refer to it.

use std::sync::Arc;

use crate::model::{HashKeyRange, Key, Position, RawRecord, Record};

use super::hash_key::RangeCheck;
use super::wire::{Fields, Value};

/// Why a record that starts like an aggregate is not a valid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Corrupt {
    /// Fewer than 16 bytes follow the magic number, so there is no room for a digest.
    #[error("it is shorter than its digest")]
    Cut,
    /// The most likely cause is no aggregate at all: a payload of the application that begins with
    /// the same four bytes. The digest is checked before anything is parsed, so such a payload
    /// costs one MD5.
    #[error("its digest does not match")]
    Digest,
    /// The digest matches, so the bytes arrived as they were sent: the producer wrote an invalid
    /// message.
    #[error("its message is not valid protobuf")]
    Malformed,
    /// Without its partition key or its data a user record cannot be delivered. Both are `required`
    /// in the format.
    #[error("a user record in it lacks a required field")]
    Incomplete,
    /// An index points past the end of its table. The KCL keeps the records before it and loses the
    /// rest of the aggregate; here the aggregate is delivered as a whole, undivided.
    #[error("a user record in it has a key that is not in the table")]
    NoSuchKey,
}

/// A key of a table: where it is in the message, and where it is in the text that the records
/// share.
#[derive(Clone, Debug)]
pub(super) struct KeyEntry {
    /// Start and end in the message, in bytes. The hash key is computed from these bytes, because
    /// [`KeyEntry::text`] may hold replacement characters, whose MD5 would be another one.
    raw: (u32, u32),
    /// Start and end in [`Message::text`], in bytes.
    text: (u32, u32),
}

/// A table of keys in the order of the message: a user record names its key by the index in it. The
/// same key may occur more than once.
pub(super) type KeyTable = Vec<KeyEntry>;

impl KeyEntry {
    /// The key as the producer wrote it.
    pub(super) fn bytes<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message
            .get(self.raw.0 as usize..self.raw.1 as usize)
            .unwrap_or_default()
    }
}

/// A message whose tables have been read and whose user records have been counted but not read.
#[derive(Debug)]
pub(super) struct Message {
    /// `partition_key_table`: every user record refers to one of these.
    partition_keys: KeyTable,
    /// `explicit_hash_key_table`: empty unless the producer chose shards itself.
    hash_keys: KeyTable,
    /// All keys concatenated: one allocation for all records of the aggregate. A record that
    /// outlives its page keeps all of the text alive, as it keeps the bytes of its whole Kinesis
    /// record alive.
    text: Arc<str>,
    /// How many user records the message announces. [`Message::read`] yields exactly so many, or
    /// fails.
    records: usize,
}

/// The field numbers of `AggregatedRecord`.
mod field {
    pub(super) const PARTITION_KEYS: u32 = 1;
    pub(super) const HASH_KEYS: u32 = 2;
    pub(super) const RECORDS: u32 = 3;
}

/// The field numbers of the nested `Record`. Number 4, its tags, is skipped like any unknown field.
mod record_field {
    pub(super) const PARTITION_KEY: u32 = 1;
    pub(super) const HASH_KEY: u32 = 2;
    pub(super) const DATA: u32 = 3;
}

/// The minimum size of a user record with its two required fields, in bytes. Two tags, an index and
/// a length, one byte each. This bounds what a hostile aggregate can make the reader allocate: with
/// its own tag and length a user record takes at least 6 bytes.
const SMALLEST_RECORD: usize = 4;

impl Message {
    /// Scans the outermost fields. Tables may come after the records that refer to them.
    ///
    /// A key that is not UTF-8 gets replacement characters, as in the KCL. Its hash key is still
    /// that of the original bytes.
    pub(super) fn scan(message: &[u8]) -> Result<Self, Corrupt> {
        let (mut partition_keys, mut hash_keys, mut records) =
            (KeyTable::new(), KeyTable::new(), 0);
        let mut text = String::new();
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.next()? {
            let Value::Bytes(at) = value else { continue };
            let table = match number {
                field::PARTITION_KEYS => &mut partition_keys,
                field::HASH_KEYS => &mut hash_keys,
                field::RECORDS if at.len() < SMALLEST_RECORD => return Err(Corrupt::Incomplete),
                field::RECORDS => {
                    records += 1;
                    continue;
                }
                _ => continue,
            };
            let start = text.len();
            let key = message.get(at.clone()).unwrap_or_default();
            match std::str::from_utf8(key) {
                Ok(key) => text.push_str(key),
                Err(_) => text.push_str(&String::from_utf8_lossy(key)),
            }
            table.push(KeyEntry {
                raw: (bound(at.start)?, bound(at.end)?),
                text: (bound(start)?, bound(text.len())?),
            });
        }
        Ok(Self {
            partition_keys,
            hash_keys,
            text: text.into(),
            records,
        })
    }

    /// How many user records [`Message::read`] will append.
    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// The memory that the keys take, in bytes.
    pub(super) fn key_bytes(&self) -> usize {
        self.text.len()
    }

    /// Appends the user records, each a view of the data of `raw`. After an error, some may have
    /// been appended. Returns how many of them are outside the range.
    ///
    /// Sub-sequence numbers count every user record of the aggregate, also those outside the range.
    /// A checkpoint therefore means the same record whether or not such records are dropped.
    pub(super) fn read(
        &self,
        raw: &RawRecord,
        message: &std::ops::Range<usize>,
        range: Option<HashKeyRange>,
        records: &mut Vec<Record>,
    ) -> Result<u64, Corrupt> {
        let bytes = raw.data.get(message.clone()).ok_or(Corrupt::Malformed)?;
        let mut check =
            range.map(|range| RangeCheck::new(range, bytes, &self.partition_keys, &self.hash_keys));
        let mut fields = Fields::new(bytes);
        let (mut sub_sequence, mut outside) = (0, 0);
        while let Some((number, value)) = fields.next()? {
            let (field::RECORDS, Value::Bytes(at)) = (number, value) else {
                continue;
            };
            let (mut partition_key, mut hash_key, mut data) = (None, None, None);
            let mut inner = Fields::within(bytes, &at)?;
            // If a field occurs twice, the last one counts. A field with an unexpected type counts
            // as unknown.
            while let Some(field) = inner.next()? {
                match field {
                    (record_field::PARTITION_KEY, Value::Varint(index)) => {
                        partition_key = Some(index);
                    }
                    (record_field::HASH_KEY, Value::Varint(index)) => hash_key = Some(index),
                    (record_field::DATA, Value::Bytes(at)) => data = Some(at),
                    _ => {}
                }
            }
            let (Some(partition_key), Some(data)) = (partition_key, data) else {
                return Err(Corrupt::Incomplete);
            };
            let partition_key = entry(&self.partition_keys, partition_key)?;
            let hash_key = hash_key
                .map(|index| entry(&self.hash_keys, index))
                .transpose()?;
            let out_of_range = check.as_mut().is_some_and(|check| {
                check.is_outside(partition_key.0, hash_key.map(|(index, _)| index))
            });
            outside += u64::from(out_of_range);
            records.push(Record {
                position: Position::new(raw.sequence.clone(), sub_sequence),
                partition_key: self.key(partition_key.1),
                explicit_hash_key: hash_key.map(|(_, entry)| self.key(entry)),
                aggregated: true,
                out_of_range,
                arrived_at: raw.arrived_at,
                encryption: raw.encryption,
                data: raw
                    .data
                    .slice(message.start + data.start..message.start + data.end),
            });
            sub_sequence += 1;
        }
        Ok(outside)
    }

    /// The key as records hold it: a part of the shared text, without a copy.
    fn key(&self, entry: &KeyEntry) -> Key {
        Key::part(&self.text, entry.text.0, entry.text.1)
    }
}

/// The entry at an index that the producer wrote, with the index as a `usize`: [`RangeCheck`]
/// remembers its results by it.
fn entry(table: &KeyTable, index: u64) -> Result<(usize, &KeyEntry), Corrupt> {
    let index = usize::try_from(index).map_err(|_| Corrupt::NoSuchKey)?;
    table
        .get(index)
        .map(|entry| (index, entry))
        .ok_or(Corrupt::NoSuchKey)
}

/// Offsets are stored in 32 bits: no record of the service comes near 4 GiB.
fn bound(place: usize) -> Result<u32, Corrupt> {
    u32::try_from(place).map_err(|_| Corrupt::Malformed)
}
