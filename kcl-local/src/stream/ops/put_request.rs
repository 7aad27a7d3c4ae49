//! The requests of `PutRecord` and `PutRecords`, parsed directly from the body, because they are
//! most of what a producer sends.
//!
//! A general parser would turn every payload into Base64 text and back. Here JSON payloads are
//! decoded once from the bytes of the request, and those of CBOR are moved out of it.

use std::borrow::Cow;

use base64_simd::STANDARD;
use bytes::Bytes;
use ciborium::Value as Cbor;
use ferrokinesis::sequence::partition_key_to_hash_key;
use serde::Deserialize;

use super::request::{invalid, member_refusal, unfit};
use crate::stream::wire::{Format, Refusal, read_cbor};

/// The maximum length of a partition key, in characters (Kinesis API).
const PARTITION_KEY: usize = 256;
/// How many records one `PutRecords` call can have (Kinesis API).
const RECORDS: usize = 500;
/// How many bytes of payloads and partition keys one call can have (`PutRecords`: 10 MiB).
const REQUEST_BYTES: usize = 10 * 1024 * 1024;

/// One record to put.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// Its hash key, which decides its shard.
    pub(super) hash_key: u128,
    /// The partition key.
    pub(super) partition_key: String,
    /// The payload.
    pub(super) data: Bytes,
}

/// The records to put, and the stream to put them into.
#[derive(Debug, PartialEq)]
pub(super) struct PutRequest {
    /// `StreamName`
    pub(super) stream_name: Option<String>,
    /// `StreamARN`
    pub(super) stream_arn: Option<String>,
    /// The records, at least one.
    pub(super) entries: Vec<Entry>,
}

impl PutRequest {
    /// Parses a `PutRecord` request.
    ///
    /// # Errors
    ///
    /// If it cannot be parsed, or a member is missing or invalid.
    pub(super) fn one(format: Format, body: &[u8]) -> Result<Self, Refusal> {
        match format {
            Format::Json => {
                let (stream, entry): (JsonStream, JsonEntry<'_>) = (json(body)?, json(body)?);
                Ok(Self {
                    stream_name: stream.stream_name,
                    stream_arn: stream.stream_arn,
                    entries: vec![entry.read()?],
                })
            }
            Format::Cbor => {
                let mut members = CborMembers::of(read_cbor(body).ok_or_else(unreadable)?)?;
                Ok(Self {
                    stream_name: members.text("StreamName")?,
                    stream_arn: members.text("StreamARN")?,
                    entries: vec![members.entry()?],
                })
            }
        }
    }

    /// Parses a `PutRecords` request.
    ///
    /// # Errors
    ///
    /// If it cannot be parsed, a member is missing or invalid, or it is too large.
    ///
    /// More than 500 records or 10 MiB are refused as a whole, before anything is stored.
    pub(super) fn many(format: Format, body: &[u8]) -> Result<Self, Refusal> {
        let put = match format {
            Format::Json => {
                let request: JsonRequest<'_> = json(body)?;
                let entries = request
                    .records
                    .iter()
                    .map(JsonEntry::read)
                    .collect::<Result<_, _>>()?;
                Self {
                    stream_name: request.stream_name,
                    stream_arn: request.stream_arn,
                    entries,
                }
            }
            Format::Cbor => {
                let mut members = CborMembers::of(read_cbor(body).ok_or_else(unreadable)?)?;
                let records = match members.take("Records") {
                    Some(Cbor::Array(records)) => records,
                    Some(_) => return Err(Refusal::serialization_error("Records is not a list")),
                    None => return Err(invalid("missing field `Records`")),
                };
                let entries = records
                    .into_iter()
                    .map(|record| CborMembers::of(record)?.entry())
                    .collect::<Result<_, _>>()?;
                Self {
                    stream_name: members.text("StreamName")?,
                    stream_arn: members.text("StreamARN")?,
                    entries,
                }
            }
        };
        if !(1..=RECORDS).contains(&put.entries.len()) {
            return Err(invalid(&format!(
                "Records has {} members; expected 1 to {RECORDS}",
                put.entries.len()
            )));
        }
        let bytes: usize = put
            .entries
            .iter()
            .map(|entry| entry.data.len() + entry.partition_key.len())
            .sum();
        if bytes > REQUEST_BYTES {
            return Err(unfit(&format!(
                "payloads and partition keys have {bytes} bytes; expected at most {REQUEST_BYTES}"
            )));
        }
        Ok(put)
    }
}

/// `PutRecords` in JSON. The payloads are borrowed from the body.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonRequest<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    records: Vec<JsonEntry<'a>>,
}

/// The members of `PutRecord` in JSON that name its stream.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

/// A record in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonEntry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    partition_key: String,
    explicit_hash_key: Option<String>,
}

impl JsonEntry<'_> {
    fn read(&self) -> Result<Entry, Refusal> {
        let data = STANDARD
            .decode_to_vec(self.data.as_bytes())
            .map_err(|_| Refusal::serialization_error("Data is not Base64"))?;
        entry(
            self.partition_key.clone(),
            self.explicit_hash_key.as_deref(),
            data,
        )
    }
}

/// The members of a CBOR map, to be taken one by one.
///
/// They are taken and not borrowed, so a payload is moved and not copied.
struct CborMembers(Vec<(Cbor, Cbor)>);

impl CborMembers {
    /// The members of a value that has to be a map.
    fn of(value: Cbor) -> Result<Self, Refusal> {
        value.into_map().map(Self).map_err(|_| unreadable())
    }

    /// Takes a member out. One that is null counts as missing, as in JSON.
    fn take(&mut self, member: &str) -> Option<Cbor> {
        let found = self
            .0
            .iter_mut()
            .find(|(name, _)| name.as_text() == Some(member))?;
        Some(std::mem::replace(&mut found.1, Cbor::Null)).filter(|value| !value.is_null())
    }

    /// Takes a member that has to be text.
    fn text(&mut self, member: &str) -> Result<Option<String>, Refusal> {
        let not_text = |_| Refusal::serialization_error(&format!("{member} is not a string"));
        self.take(member)
            .map(|value| value.into_text().map_err(not_text))
            .transpose()
    }

    /// The record that these members are.
    fn entry(&mut self) -> Result<Entry, Refusal> {
        let data = match self.take("Data") {
            Some(Cbor::Bytes(data)) => data,
            Some(_) => return Err(Refusal::serialization_error("Data is not a byte string")),
            None => return Err(invalid("missing field `Data`")),
        };
        let key = self
            .text("PartitionKey")?
            .ok_or_else(|| invalid("missing field `PartitionKey`"))?;
        entry(key, self.text("ExplicitHashKey")?.as_deref(), data)
    }
}

/// A record from its members, with the hash key that decides its shard: MD5 of the partition key,
/// unless the producer gives one.
///
/// # Errors
/// A partition key of no or too many characters, or a hash key that is not a number of 128 bits.
fn entry(
    partition_key: String,
    explicit_hash_key: Option<&str>,
    data: Vec<u8>,
) -> Result<Entry, Refusal> {
    if !(1..=PARTITION_KEY).contains(&partition_key.chars().count()) {
        return Err(invalid(&format!(
            "PartitionKey must have 1 to {PARTITION_KEY} characters"
        )));
    }
    let hash_key = match explicit_hash_key {
        Some(text) => text.parse().map_err(|_| {
            unfit(&format!(
                "Invalid ExplicitHashKey {text}. It must be in the range: [0, 2^128-1]."
            ))
        })?,
        None => partition_key_to_hash_key(&partition_key),
    };
    Ok(Entry {
        hash_key,
        partition_key,
        data: data.into(),
    })
}

/// Parses a body. A value of the wrong type is told apart from a body that is not JSON, as in the
/// service.
fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            member_refusal(&error)
        } else {
            unreadable()
        }
    })
}

/// The service's error for a body that cannot be parsed; it has no message.
fn unreadable() -> Refusal {
    Refusal::client_error("SerializationException", None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_formats_are_read_alike() {
        let request = json!({ "StreamName": "s", "Records": [
            { "Data": "AP8H", "PartitionKey": "a" },
            { "Data": "", "PartitionKey": "b\"", "ExplicitHashKey": "340282366920938463463374607431768211455" },
        ]});
        let [json, cbor] = [Format::Json, Format::Cbor]
            .map(|format| PutRequest::many(format, &format.encode(&request)).expect("valid"));
        assert_eq!(json, cbor);
        assert_eq!(json.entries[0].data, [0, 255, 7].as_slice());
        assert_eq!(json.entries[1].hash_key, u128::MAX);

        let request = json!({ "StreamARN": "arn", "Data": "AP8H", "PartitionKey": "a" });
        let [json, cbor] = [Format::Json, Format::Cbor]
            .map(|format| PutRequest::one(format, &format.encode(&request)).expect("valid"));
        assert_eq!(json, cbor);
        assert_eq!(
            (json.stream_arn.as_deref(), json.entries.len()),
            (Some("arn"), 1)
        );
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        let refused = |record: serde_json::Value| {
            [Format::Json, Format::Cbor].map(|format| {
                let body = format.encode(&json!({ "StreamName": "s", "Records": [record] }));
                PutRequest::many(format, &body)
                    .expect_err("not allowed")
                    .body
                    .error_type
            })
        };
        assert_eq!(refused(json!({ "Data": "" })), ["ValidationException"; 2]);
        assert_eq!(
            refused(json!({ "PartitionKey": "k" })),
            ["ValidationException"; 2]
        );
        assert_eq!(
            refused(json!({ "Data": "", "PartitionKey": "" })),
            ["ValidationException"; 2]
        );
        assert_eq!(
            refused(json!({ "Data": "", "PartitionKey": "ж".repeat(257) })),
            ["ValidationException"; 2]
        );
        assert_eq!(
            refused(json!({ "Data": "?", "PartitionKey": "k" })),
            ["SerializationException"; 2]
        );
        assert_eq!(
            refused(json!({ "Data": "", "PartitionKey": "k", "ExplicitHashKey": "-1" })),
            ["InvalidArgumentException"; 2]
        );
    }
}
