use kcl_core::model::HashKeyRange;
use md5::{Digest, Md5};
use prost::Message;

/// What an aggregate begins with.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// What it ends with: the MD5 digest of its message.
const DIGEST: usize = 16;

/// An aggregate with this message.
#[must_use]
pub fn seal(message: &[u8]) -> Vec<u8> {
    [&MAGIC[..], message, &Md5::digest(message)].concat()
}

/// The published schema. Text is bytes here: what is no UTF-8 must not stop a consumer. Required
/// fields are optional, so that the missing ones show.
#[derive(Clone, PartialEq, prost::Message)]
struct AggregatedRecord {
    #[prost(bytes = "vec", repeated, tag = "1")]
    partition_key_table: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    explicit_hash_key_table: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(uint64, optional, tag = "1")]
    partition_key_index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    data: Option<Vec<u8>>,
}

/// A message of which no field is known: shows whether bytes are protobuf at all.
#[derive(Clone, PartialEq, prost::Message)]
struct Anything {}

/// A user record as it has to come out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UserRecord {
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<String>,
    pub(crate) data: Vec<u8>,
    pub(crate) hash_key: Option<u128>,
}

impl UserRecord {
    pub(crate) fn is_outside(&self, range: Option<HashKeyRange>) -> bool {
        range
            .zip(self.hash_key)
            .is_some_and(|(range, hash_key)| !range.contains(hash_key))
    }
}

/// What these bytes have to become.
#[derive(Debug)]
pub(crate) enum Expected {
    /// The record that was put, not counted.
    Plain,
    /// The record that was put, counted.
    Corrupt,
    /// These user records.
    Apart(Vec<UserRecord>),
    /// A field of the schema has another type than it says: an unknown field to some decoders and a
    /// fault to others.
    CorruptOrNot,
}

/// What another decoder makes of a Kinesis record.
pub(crate) fn expected(data: &[u8]) -> Expected {
    let Some(rest) = data.strip_prefix(&MAGIC) else {
        return Expected::Plain;
    };
    let Some((message, digest)) = rest.split_last_chunk::<DIGEST>() else {
        return Expected::Corrupt;
    };
    if Md5::digest(message).as_slice() != digest {
        return Expected::Corrupt;
    }
    match AggregatedRecord::decode(message) {
        Ok(decoded) => user_records(&decoded).map_or(Expected::Corrupt, Expected::Apart),
        // The two do not count the depth of nested groups alike; a hundred of them take as many
        // bytes to open and to close.
        Err(_) if message.len() < 200 && Anything::decode(message).is_err() => Expected::Corrupt,
        Err(_) => Expected::CorruptOrNot,
    }
}

fn user_records(message: &AggregatedRecord) -> Option<Vec<UserRecord>> {
    let records = message.records.iter().map(|record| {
        let partition_key = at(&message.partition_key_table, record.partition_key_index?)?;
        let explicit = match record.explicit_hash_key_index {
            Some(index) => Some(at(&message.explicit_hash_key_table, index)?),
            None => None,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(UserRecord {
            partition_key: text(partition_key),
            explicit_hash_key: explicit.map(text),
            data: record.data.clone()?,
            hash_key: match explicit {
                Some(digits) => number(digits),
                None => Some(u128::from_be_bytes(Md5::digest(partition_key).into())),
            },
        })
    });
    records.collect()
}

fn at(table: &[Vec<u8>], index: u64) -> Option<&[u8]> {
    table.get(usize::try_from(index).ok()?).map(Vec::as_slice)
}

fn number(digits: &[u8]) -> Option<u128> {
    // `parse` would take a sign.
    if digits.iter().all(u8::is_ascii_digit) {
        std::str::from_utf8(digits).ok()?.parse().ok()
    } else {
        None
    }
}
