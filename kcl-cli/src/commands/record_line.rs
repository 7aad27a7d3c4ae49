//! A record as one line of JSON, which `tail` and `replay` write.

use kcl_core::model::{Record, ShardId, Timestamp};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct RecordLine<'a> {
    /// The shard that was read, which a record does not name itself.
    shard: &'a str,
    /// A decimal number of up to 186 bits, as a text: no program's numbers hold it.
    sequence: String,
    /// The place within an aggregate, and 0 for a record that was not aggregated.
    sub: u64,
    /// Milliseconds since 1970.
    arrived_at: Option<i64>,
    /// The partition key of the user record, not that of the aggregate around it.
    key: &'a str,
    /// The data, if it is UTF-8.
    data: Option<&'a str>,
    /// The data in hexadecimal digits, if it is not.
    hex: Option<String>,
}

/// The line, without a line break.
///
/// # Errors
/// As of the serializer; texts and numbers give none.
pub(super) fn record_line(shard: &ShardId, record: &Record) -> serde_json::Result<String> {
    let data = std::str::from_utf8(&record.data).ok();
    serde_json::to_string(&RecordLine {
        shard: shard.as_str(),
        sequence: record.sequence().to_string(),
        sub: record.sub_sequence(),
        arrived_at: record.arrived_at.map(Timestamp::as_millis),
        key: &record.partition_key,
        data,
        hex: data.is_none().then(|| hex(&record.data)),
    })
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
