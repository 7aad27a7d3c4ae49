//! Pages of records, written straight into a body.
//!
//! A page can have 10 MiB. As a tree of values it would be in memory several times over, and every
//! payload would be copied twice.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use super::{Format, cbor};
use crate::stream::records::StoredRecord;
use crate::stream::shards::ChildShard;

/// What `GetRecords` returns besides the records.
///
/// The same three members end an event of a subscription.
#[derive(Debug)]
pub(in crate::stream) struct PageEnd {
    /// `NextShardIterator` or `ContinuationSequenceNumber`; null at the end of a closed shard.
    pub(in crate::stream) next: Option<String>,
    /// `MillisBehindLatest`.
    pub(in crate::stream) millis_behind: u64,
    /// `ChildShards`, at the end of a closed shard.
    pub(in crate::stream) children: Option<Vec<ChildShard>>,
}

impl PageEnd {
    /// The members of a reply besides the records; `next` is the name of the first one.
    fn members(&self, next: &'static str) -> Vec<(&'static str, Value)> {
        let mut members = vec![
            (next, json!(self.next)),
            ("MillisBehindLatest", json!(self.millis_behind)),
        ];
        if let Some(children) = &self.children {
            members.push(("ChildShards", json!(children)));
        }
        members
    }
}

/// The reply of `GetRecords`.
pub(in crate::stream) fn get_records_body<'a>(
    format: Format,
    records: impl ExactSizeIterator<Item = &'a StoredRecord> + Clone,
    end: &PageEnd,
) -> Vec<u8> {
    page(format, records, &end.members("NextShardIterator"))
}

/// The payload of a `SubscribeToShardEvent`.
pub(in crate::stream) fn subscribe_body<'a>(
    format: Format,
    records: impl ExactSizeIterator<Item = &'a StoredRecord> + Clone,
    end: &PageEnd,
) -> Vec<u8> {
    page(format, records, &end.members("ContinuationSequenceNumber"))
}

/// Records and members in one body, which is large enough from the beginning.
fn page<'a>(
    format: Format,
    records: impl ExactSizeIterator<Item = &'a StoredRecord> + Clone,
    members: &[(&'static str, Value)],
) -> Vec<u8> {
    // Four characters of Base64 for three bytes, and the other members of each record.
    let size: usize = records
        .clone()
        .map(|record| record.weight().div_ceil(3) * 4 + 256)
        .sum();
    let mut body = Vec::with_capacity(size + 1024);
    match format {
        Format::Json => {
            body.extend_from_slice(b"{\"Records\":[");
            for (at, record) in records.enumerate() {
                if at > 0 {
                    body.push(b',');
                }
                json_record(&mut body, record);
            }
            body.push(b']');
            for (name, value) in members {
                body.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
            }
            body.push(b'}');
        }
        Format::Cbor => {
            cbor::map(&mut body);
            cbor::text(&mut body, "Records");
            cbor::array(&mut body);
            for record in records {
                cbor_record(&mut body, record);
            }
            cbor::end(&mut body);
            for (name, value) in members {
                cbor::text(&mut body, name);
                cbor::write(&mut body, value);
            }
            cbor::end(&mut body);
        }
    }
    body
}

/// One record in JSON. The arrival time is in seconds with three decimal places, as the service
/// sends it.
fn json_record(body: &mut Vec<u8>, record: &StoredRecord) {
    body.extend_from_slice(b"{\"SequenceNumber\":\"");
    body.extend_from_slice(record.sequence.as_bytes());
    body.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
    let (seconds, millis) = (record.arrival_ms / 1_000, record.arrival_ms % 1_000);
    body.extend_from_slice(format!("{seconds}.{millis:03}").as_bytes());
    body.extend_from_slice(b",\"Data\":\"");
    STANDARD.encode_append(&record.data, body);
    body.extend_from_slice(b"\",\"PartitionKey\":");
    body.extend_from_slice(Value::from(&*record.partition_key).to_string().as_bytes());
    if record.encrypted {
        body.extend_from_slice(b",\"EncryptionType\":\"KMS\"");
    }
    body.push(b'}');
}

/// One record in CBOR.
fn cbor_record(body: &mut Vec<u8>, record: &StoredRecord) {
    cbor::map(body);
    cbor::text(body, "SequenceNumber");
    cbor::text(body, &record.sequence);
    cbor::text(body, "ApproximateArrivalTimestamp");
    cbor::time(body, record.arrival_ms);
    cbor::text(body, "Data");
    cbor::bytes(body, &record.data);
    cbor::text(body, "PartitionKey");
    cbor::text(body, &record.partition_key);
    if record.encrypted {
        cbor::text(body, "EncryptionType");
        cbor::text(body, "KMS");
    }
    cbor::end(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let record = StoredRecord {
            index: 1,
            sequence: "4957".into(),
            arrival_ms: 1_700_000_000_007,
            partition_key: "a \"quoted\" ключ".into(),
            data: vec![0, 255, 7, 9].into(),
            encrypted: true,
        };
        let end = PageEnd {
            next: None,
            millis_behind: 12,
            children: Some(Vec::new()),
        };
        let [json, cbor] = [Format::Json, Format::Cbor].map(|format| {
            let body = get_records_body(format, [&record, &record].into_iter(), &end);
            format.decode(&body).expect("readable")
        });
        assert_eq!(json, cbor);
        let one = json!({
            "SequenceNumber": "4957", "ApproximateArrivalTimestamp": 1_700_000_000.007, "Data": "AP8HCQ==",
            "PartitionKey": "a \"quoted\" ключ", "EncryptionType": "KMS",
        });
        let whole = json!({ "Records": [one, one], "NextShardIterator": null, "MillisBehindLatest": 12, "ChildShards": [] });
        assert_eq!(json, whole);
    }
}
