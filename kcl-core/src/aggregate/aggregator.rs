//! The writer of aggregates. What it writes, `crate::deaggregate` and every KCL read; the module
//! docs there draw the format.
//!
//! An aggregate is encoded while it is filled, into one buffer per field of the message. To finish
//! it is to put the buffers one behind the other, so no user record is copied twice.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;

use crate::deaggregate::{DIGEST, MAGIC, digest};
use crate::model::InvalidValue;

use super::varint;

/// Packs user records into aggregates, as the Kinesis Producer Library (KPL) does.
///
/// An aggregate goes to a single shard, that of its first user record, and a consumer flags user
/// records that belong to another one
/// ([`Record::out_of_range`](crate::model::Record::out_of_range)). Use one aggregator per shard,
/// and add only the records whose hash keys are in the shard's range.
///
/// ```
/// use kcl_core::aggregate::Aggregator;
///
/// let mut aggregator = Aggregator::new();
/// let mut to_put = Vec::new();
/// for n in 0..1000 {
///     to_put.extend(aggregator.add("customer-7", None, format!("order {n:0100}").as_bytes())?);
/// }
/// to_put.extend(aggregator.finish());
/// assert_eq!(to_put.iter().map(|aggregate| aggregate.records).sum::<u64>(), 1000);
/// assert_eq!(to_put.len(), 3, "51,200 bytes each");
/// # Ok::<(), kcl_core::aggregate::AddError>(())
/// ```
pub struct Aggregator {
    /// Data and partition key together, in bytes. A single user record may exceed it.
    max_bytes: usize,
    /// The most user records in one aggregate, at least 1.
    max_records: u64,
    /// What was added since the last aggregate was finished. It is lost if the aggregator is
    /// dropped, so call [`Aggregator::finish`] first.
    open: Open,
}

/// A Kinesis record to put.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aggregate {
    /// The partition key to put it with, which is that of the first user record. The service
    /// requires one for every record, and chooses the shard by it unless there is an explicit hash
    /// key.
    pub partition_key: String,
    /// The explicit hash key to put it with, which is that of the first user record. `None` if that
    /// record had none.
    pub explicit_hash_key: Option<u128>,
    /// The payload to put. A single user record is not wrapped into an aggregate, as with the KPL,
    /// unless its payload begins with the KPL's magic number: a consumer would take it for an
    /// aggregate.
    pub data: Bytes,
    /// How many user records it holds.
    pub records: u64,
}

/// A user record that the service would not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The partition key is empty or too long; with its length in characters.
    #[error(
        "invalid partition key: got {0} characters, expected 1 to {MAX_KEY} (the Kinesis limit)"
    )]
    PartitionKey(usize),
    /// The record is too large; with the length of key and payload in bytes.
    #[error(
        "record too large: key and payload have {0} bytes, expected at most {MAX_BYTES} (1 MiB, \
         the Kinesis limit)"
    )]
    TooLarge(usize),
}

/// The size limit of a Kinesis record, payload and partition key together: 1 MiB unless the stream
/// is configured otherwise. Also the maximum of the KPL's `AggregationMaxSize`.
const MAX_BYTES: usize = 1024 * 1024;
/// The minimum of the KPL's `AggregationMaxSize`.
const MIN_BYTES: usize = 64;
/// The maximum length of a partition key in Kinesis, in characters.
const MAX_KEY: usize = 256;

/// The protobuf tags of the fields, each with its wire type.
mod tag {
    /// `field number * 8 + 2`, and 2 is the wire type of bytes.
    pub(super) const PARTITION_KEYS: u8 = 0x0a;
    pub(super) const HASH_KEYS: u8 = 0x12;
    pub(super) const RECORDS: u8 = 0x1a;
    /// `field number * 8`, and 0 is the wire type of a varint.
    pub(super) const PARTITION_KEY_INDEX: u8 = 0x08;
    pub(super) const HASH_KEY_INDEX: u8 = 0x10;
    pub(super) const DATA: u8 = 0x1a;
}

impl Aggregator {
    /// The KPL's default `AggregationMaxSize`, in bytes: 51,200. Twenty of them nearly fill the 1
    /// MiB that a shard accepts in a second.
    pub const MAX_BYTES: usize = 51_200;
    /// The KPL's default `AggregationMaxCount`: 4,294,967,295. In practice the size ends an
    /// aggregate first.
    pub const MAX_RECORDS: u64 = 4_294_967_295;

    /// Creates an aggregator with the KPL's default limits.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_bytes: Self::MAX_BYTES,
            max_records: Self::MAX_RECORDS,
            open: Open::default(),
        }
    }

    /// Sets the size limit of an aggregate: its data and its partition key, in bytes. Smaller
    /// aggregates reach consumers sooner; larger ones cost fewer calls and less of the shard's
    /// limit of records per second.
    ///
    /// # Errors
    /// If it is not between 64 and 1,048,576, the KPL's bounds.
    ///
    /// # Examples
    /// ```
    /// use kcl_core::aggregate::Aggregator;
    ///
    /// let invalid = Aggregator::new().with_max_bytes(63).unwrap_err();
    /// assert!(invalid.to_string().contains("64 to 1048576"), "{invalid}");
    ///
    /// let mut aggregator = Aggregator::new().with_max_bytes(64)?;
    /// aggregator.add("customer-7", None, &[0; 100])?;
    /// let alone = aggregator.add("customer-7", None, b"next")?.expect("the first one is over the limit");
    /// assert_eq!((alone.records, alone.data.len()), (1, 100), "sent alone, as it is");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_max_bytes(mut self, bytes: usize) -> Result<Self, InvalidValue> {
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
            let (value, expected) = (
                format!("{bytes} bytes"),
                format!("{MIN_BYTES} to {MAX_BYTES}"),
            );
            return Err(InvalidValue::new("aggregate limit", value, expected));
        }
        self.max_bytes = bytes;
        Ok(self)
    }

    /// Sets how many user records an aggregate can contain.
    ///
    /// # Errors
    /// If it is not between 1 and 9,223,372,036,854,775,807, the KPL's bounds.
    ///
    /// # Examples
    /// ```
    /// use kcl_core::aggregate::Aggregator;
    ///
    /// let mut aggregator = Aggregator::new().with_max_records(2)?;
    /// assert!(aggregator.add("customer-7", None, b"first")?.is_none());
    /// assert!(aggregator.add("customer-8", None, b"second")?.is_none());
    /// let full = aggregator.add("customer-9", None, b"third")?.expect("a third does not fit");
    /// assert_eq!((full.records, aggregator.waiting()), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_max_records(mut self, records: u64) -> Result<Self, InvalidValue> {
        if records == 0 || records > i64::MAX as u64 {
            let (value, expected) = (
                format!("{records} user records"),
                format!("1 to {}", i64::MAX),
            );
            return Err(InvalidValue::new("aggregate limit", value, expected));
        }
        self.max_records = records;
        Ok(self)
    }

    /// Adds a user record. If it does not fit into the current aggregate, that one is finished and
    /// returned, and the record starts the next one. A record that is larger than the limit of an
    /// aggregate becomes a Kinesis record of its own.
    ///
    /// # Errors
    /// If the service would not accept the record: its key is empty or too long, or it is larger
    /// than 1 MiB. Nothing is added then.
    pub fn add(
        &mut self,
        key: &str,
        explicit_hash_key: Option<u128>,
        data: &[u8],
    ) -> Result<Option<Aggregate>, AddError> {
        let characters = key.chars().count();
        if !(1..=MAX_KEY).contains(&characters) {
            return Err(AddError::PartitionKey(characters));
        }
        if key.len() + data.len() > MAX_BYTES {
            return Err(AddError::TooLarge(key.len() + data.len()));
        }
        let hash_key = explicit_hash_key.map(|hash_key| hash_key.to_string());
        let fits = self.open.records < self.max_records
            && self.open.size() + self.open.growth(key, hash_key.as_deref(), data)
                <= self.max_bytes;
        let finished = if fits { None } else { self.finish() };
        self.open.add(key, explicit_hash_key, hash_key, data);
        Ok(finished)
    }

    /// How many user records are in the unfinished aggregate. A producer that wants records to
    /// arrive within a time limit finishes the aggregate when this is not 0 and the time is over;
    /// the aggregator has no clock.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.open.records
    }

    /// Finishes the current aggregate and returns it, or `None` if it is empty.
    #[must_use = "it holds the records that were added"]
    pub fn finish(&mut self) -> Option<Aggregate> {
        std::mem::take(&mut self.open).finish()
    }
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregator")
            .field("max_bytes", &self.max_bytes)
            .field("max_records", &self.max_records)
            .field("waiting", &self.open.records)
            .finish()
    }
}

impl fmt::Debug for Aggregate {
    /// Shows neither the key nor the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregate")
            .field("records", &self.records)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// An unfinished aggregate: the three fields of its message, encoded.
#[derive(Default)]
struct Open {
    /// Field 1 of the message, encoded so far.
    partition_keys: KeyIndex,
    /// Field 2 of the message. The text in it is decimal, as the KPL writes it.
    hash_keys: KeyIndex,
    /// Field 3: one nested message for each user record, in the order in which they were added. A
    /// consumer numbers them in this order.
    messages: Vec<u8>,
    /// How many user records `messages` holds.
    records: u64,
    /// `None` as long as the aggregate is empty.
    first: Option<First>,
}

/// The keys that the aggregate is put with, and its payload if no second record is added.
struct First {
    partition_key: String,
    explicit_hash_key: Option<u128>,
    /// A second copy of the payload, the price of not wrapping a single record.
    data: Vec<u8>,
}

/// An encoded table of keys, with the index of each key.
#[derive(Default)]
struct KeyIndex {
    /// The table as it is in the message: each key with its tag and length, in the order of the
    /// indexes.
    encoded: Vec<u8>,
    /// The index of each key. A key that occurs again costs an index of a byte or two instead of
    /// its text, which is most of what an aggregate saves beside the calls.
    indexes: HashMap<String, u64>,
}

impl KeyIndex {
    /// The index that a key has or would get, and how many bytes it would add.
    fn look(&self, key: &str) -> (u64, usize) {
        match self.indexes.get(key) {
            Some(index) => (*index, 0),
            None => (
                self.indexes.len() as u64,
                1 + varint::length(key.len() as u64) + key.len(),
            ),
        }
    }

    /// The index of a key, which is appended to the table if it is new.
    fn index(&mut self, tag: u8, key: &str) -> u64 {
        if let Some(index) = self.indexes.get(key) {
            return *index;
        }
        let index = self.indexes.len() as u64;
        self.indexes.insert(key.to_owned(), index);
        write_bytes(tag, key.as_bytes(), &mut self.encoded);
        index
    }
}

impl Open {
    /// The size of the aggregate if it were finished now, with its partition key. It is exact, so
    /// an aggregate never exceeds its limit.
    fn size(&self) -> usize {
        let key = self
            .first
            .as_ref()
            .map_or(0, |first| first.partition_key.len());
        key + MAGIC.len()
            + self.partition_keys.encoded.len()
            + self.hash_keys.encoded.len()
            + self.messages.len()
            + DIGEST
    }

    /// How much this record would add to the size. It must agree with [`Open::add`] to the byte:
    /// [`Aggregator::add`] decides by it before anything is written.
    fn growth(&self, key: &str, hash_key: Option<&str>, data: &[u8]) -> usize {
        let (index, table) = self.partition_keys.look(key);
        let hashed = hash_key.map(|hash_key| self.hash_keys.look(hash_key));
        let message = message_length(index, hashed.map(|(index, _)| index), data);
        let first = if self.records == 0 { key.len() } else { 0 };
        first
            + table
            + hashed.map_or(0, |(_, table)| table)
            + 1
            + varint::length(message as u64)
            + message
    }

    fn add(
        &mut self,
        key: &str,
        explicit_hash_key: Option<u128>,
        hash_key: Option<String>,
        data: &[u8],
    ) {
        let index = self.partition_keys.index(tag::PARTITION_KEYS, key);
        let hashed = hash_key.map(|hash_key| self.hash_keys.index(tag::HASH_KEYS, &hash_key));
        let to = &mut self.messages;
        to.push(tag::RECORDS);
        varint::write(message_length(index, hashed, data) as u64, to);
        to.push(tag::PARTITION_KEY_INDEX);
        varint::write(index, to);
        if let Some(index) = hashed {
            to.push(tag::HASH_KEY_INDEX);
            varint::write(index, to);
        }
        write_bytes(tag::DATA, data, to);
        self.records += 1;
        self.first.get_or_insert_with(|| First {
            partition_key: key.to_owned(),
            explicit_hash_key,
            data: data.to_owned(),
        });
    }

    /// The aggregate, or the single record as it is. `None` if nothing was added.
    fn finish(self) -> Option<Aggregate> {
        let size = self.size();
        let First {
            partition_key,
            explicit_hash_key,
            data,
        } = self.first?;
        // A payload that begins with the magic number must be wrapped, or a consumer would take it
        // for an aggregate.
        let alone = self.records == 1 && !data.starts_with(&MAGIC);
        let data = if alone {
            data
        } else {
            let mut all = Vec::with_capacity(size);
            all.extend_from_slice(&MAGIC);
            all.extend_from_slice(&self.partition_keys.encoded);
            all.extend_from_slice(&self.hash_keys.encoded);
            all.extend_from_slice(&self.messages);
            let digest = digest(&all[MAGIC.len()..]);
            all.extend_from_slice(&digest);
            all
        };
        Some(Aggregate {
            partition_key,
            explicit_hash_key,
            data: data.into(),
            records: self.records,
        })
    }
}

/// The length of one user record's nested message, without its own tag and length.
fn message_length(index: u64, hashed: Option<u64>, data: &[u8]) -> usize {
    let optional = hashed.map_or(0, |index| 1 + varint::length(index));
    1 + varint::length(index) + optional + 1 + varint::length(data.len() as u64) + data.len()
}

/// Appends a field of wire type 2: its tag, its length, its bytes.
fn write_bytes(tag: u8, bytes: &[u8], to: &mut Vec<u8>) {
    to.push(tag);
    varint::write(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}
