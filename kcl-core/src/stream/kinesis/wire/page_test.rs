//! Any page, written in any way that the two forms allow, is read as it was.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::model::{ChildShard, Encryption, HashKeyRange, RawRecord, ShardId, Timestamp};

use super::super::page_pool::PagePool;
use super::super::wire_oracle::{assert_cbor, assert_json};
use super::page_in_pieces::PageInPieces;
use super::{Form, NextMember, Unreadable, WirePage, page_of};

fn record() -> impl Strategy<Value = RawRecord> {
    let sequence = prop_oneof!["0|[1-9][0-9]{0,128}", "[1-9][0-9]{55}"];
    let data = prop::collection::vec(any::<u8>(), 0..40);
    let at = prop::option::of(1_400_000_000_000_i64..3_000_000_000_000);
    (sequence, any::<String>(), data, at, any::<bool>()).prop_map(
        |(sequence, key, data, at, kms)| {
            let mut record = RawRecord::new(sequence.parse().unwrap(), key, data);
            record.arrived_at = at.map(Timestamp::from_millis);
            if kms {
                record = record.encrypted(Encryption::Kms);
            }
            record
        },
    )
}

fn child() -> impl Strategy<Value = ChildShard> {
    let parents = prop::collection::vec("shardId-[0-9]{12}", 0..3);
    ("shardId-[0-9]{12}", parents, any::<u128>(), any::<u128>()).prop_map(|(id, parents, a, b)| {
        let range = HashKeyRange::new(a.min(b), a.max(b)).unwrap();
        ChildShard::new(id, parents.into_iter().map(ShardId::from).collect(), range)
    })
}

fn page() -> impl Strategy<Value = WirePage> {
    (
        prop::collection::vec(record(), 0..6),
        prop::option::of("[A-Za-z0-9+/=]{0,60}"),
        prop::option::of(any::<u64>()),
        prop::collection::vec(child(), 0..3),
    )
        .prop_map(|(records, next, millis_behind_latest, children)| WirePage {
            records,
            next,
            millis_behind_latest,
            children,
        })
}

/// Answers that look alike to the page, by what is drawn: the order of members, unknown ones, null
/// or nothing, and in CBOR lengths that are not known.
struct PageWriter<'a> {
    draws: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

/// A value with what JSON lacks.
enum Drawn {
    Json(Value),
    Bytes(Vec<u8>),
    Time(i64),
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
}

impl PageWriter<'_> {
    fn draw(&mut self, of: u8) -> u8 {
        self.draws.next().copied().unwrap_or_default() % of
    }

    fn page(&mut self, page: &WirePage) -> Drawn {
        let records = page.records.iter().map(|record| self.record(record));
        let records = Drawn::List(records.collect());
        let mut members = vec![("Records", records)];
        self.optional(
            &mut members,
            "NextShardIterator",
            page.next.as_ref().map(|next| json!(next)),
        );
        self.optional(
            &mut members,
            "MillisBehindLatest",
            page.millis_behind_latest.map(|millis| json!(millis)),
        );
        let children: Vec<_> = page
            .children
            .iter()
            .map(|child| {
                let parents: Vec<_> = child.parents.iter().map(ShardId::as_str).collect();
                json!({
                    "ShardId": child.id.as_str(), "ParentShards": parents,
                    "HashKeyRange": {
                        "StartingHashKey": child.hash_range.start().to_string(),
                        "EndingHashKey": child.hash_range.end().to_string(),
                    },
                })
            })
            .collect();
        let children = Some(json!(children)).filter(|_| !page.children.is_empty());
        self.optional(&mut members, "ChildShards", children);
        self.map(members)
    }

    fn record(&mut self, record: &RawRecord) -> Drawn {
        let mut members = vec![
            (
                "SequenceNumber",
                Drawn::Json(json!(record.sequence.to_string())),
            ),
            ("Data", Drawn::Bytes(record.data.to_vec())),
            (
                "PartitionKey",
                Drawn::Json(json!(record.partition_key.as_str())),
            ),
        ];
        match record.arrived_at {
            Some(at) => members.push(("ApproximateArrivalTimestamp", Drawn::Time(at.as_millis()))),
            None => self.optional(&mut members, "ApproximateArrivalTimestamp", None),
        }
        let kms = (record.encryption == Encryption::Kms).then(|| json!("KMS"));
        self.optional(&mut members, "EncryptionType", kms);
        self.map(members)
    }

    fn optional(
        &mut self,
        members: &mut Vec<(&'static str, Drawn)>,
        name: &'static str,
        value: Option<Value>,
    ) {
        match value {
            Some(value) => members.push((name, Drawn::Json(value))),
            None if self.draw(2) == 0 => members.push((name, Drawn::Json(Value::Null))),
            None => {}
        }
    }

    fn map(&mut self, mut members: Vec<(&'static str, Drawn)>) -> Drawn {
        if self.draw(3) == 0 {
            let unknown =
                json!({ "deep": [1, -7, 2.5, null, true, { "Records": [[], {}] }], "ü\"\n": "x" });
            members.push(("Unknown", Drawn::Json(unknown)));
        }
        let first = usize::from(self.draw(4)) % members.len();
        members.rotate_left(first);
        Drawn::Map(members)
    }

    fn json(&mut self, value: Drawn) -> Value {
        match value {
            Drawn::Json(value) => value,
            Drawn::Bytes(bytes) => json!(base64_simd::STANDARD.encode_to_string(bytes)),
            Drawn::Time(millis) => json!(millis as f64 / 1_000.0),
            Drawn::List(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Drawn::Map(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), self.json(value)))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    fn cbor(&mut self, body: &mut Vec<u8>, value: Drawn) {
        match value {
            Drawn::Bytes(bytes) => self.string(body, 2, &bytes),
            Drawn::Time(millis) => match self.draw(3) {
                0 => {
                    body.push(0xC1);
                    head(body, 0, millis as u64);
                }
                1 => head(body, 0, millis as u64),
                _ => {
                    body.push(0xFB);
                    body.extend_from_slice(&(millis as f64 / 1_000.0).to_be_bytes());
                }
            },
            Drawn::List(items) => {
                let ends = self.begin(body, 4, items.len());
                items.into_iter().for_each(|item| self.cbor(body, item));
                body.extend(ends);
            }
            Drawn::Map(members) => {
                let ends = self.begin(body, 5, members.len());
                for (name, value) in members {
                    self.string(body, 3, name.as_bytes());
                    self.cbor(body, value);
                }
                body.extend(ends);
            }
            Drawn::Json(Value::String(text)) => self.string(body, 3, text.as_bytes()),
            Drawn::Json(Value::Array(items)) => self.cbor(
                body,
                Drawn::List(items.into_iter().map(Drawn::Json).collect()),
            ),
            Drawn::Json(Value::Object(entries)) => {
                let ends = self.begin(body, 5, entries.len());
                for (name, value) in entries {
                    self.string(body, 3, name.as_bytes());
                    self.cbor(body, Drawn::Json(value));
                }
                body.extend(ends);
            }
            Drawn::Json(other) => ciborium::into_writer(&other, body).unwrap(),
        }
    }

    /// A list or map begins, of a length that is known or not; then it has an end.
    fn begin(&mut self, body: &mut Vec<u8>, major: u8, length: usize) -> Option<u8> {
        if self.draw(2) == 0 {
            head(body, major, length as u64);
            return None;
        }
        body.push(major << 5 | 31);
        Some(0xFF)
    }

    fn string(&mut self, body: &mut Vec<u8>, major: u8, bytes: &[u8]) {
        if self.draw(4) > 0 {
            head(body, major, bytes.len() as u64);
            body.extend_from_slice(bytes);
            return;
        }
        body.push(major << 5 | 31);
        let middle = std::str::from_utf8(bytes).map_or(bytes.len() / 2, |text| {
            let mut middle = text.len() / 2;
            while !text.is_char_boundary(middle) {
                middle -= 1;
            }
            middle
        });
        for piece in [&bytes[..middle], &bytes[middle..]] {
            head(body, major, piece.len() as u64);
            body.extend_from_slice(piece);
        }
        body.push(0xFF);
    }
}

fn head(body: &mut Vec<u8>, major: u8, argument: u64) {
    let value = match major {
        0 => ciborium::Value::Integer(argument.into()),
        _ => {
            let mut begin = Vec::new();
            ciborium::into_writer(&argument, &mut begin).unwrap();
            begin[0] |= major << 5;
            body.extend_from_slice(&begin);
            return;
        }
    };
    ciborium::into_writer(&value, body).unwrap();
}

fn written(page: &WirePage, form: Form, draws: &[u8]) -> Vec<u8> {
    let mut writer = PageWriter {
        draws: draws.iter().cycle(),
    };
    let drawn = writer.page(page);
    match form {
        Form::Cbor => {
            let mut body = Vec::new();
            writer.cbor(&mut body, drawn);
            body
        }
        Form::Json => {
            let value = writer.json(drawn);
            let text = match writer.draw(3) {
                0 => serde_json::to_string_pretty(&value).unwrap(),
                1 => value.to_string().replace('/', "\\/"),
                _ => value.to_string(),
            };
            text.into_bytes()
        }
    }
}

fn read(form: Form, body: Vec<u8>) -> Result<WirePage, Unreadable> {
    page_of(
        Some(form.content_type()),
        &Bytes::from(body),
        NextMember::NextShardIterator,
        &PagePool::new(),
    )
    .map(|(page, _)| page)
}

/// The same of a body that comes in pieces of these lengths.
fn read_in_pieces(body: &[u8], lengths: &[usize]) -> Result<WirePage, Unreadable> {
    let next = NextMember::NextShardIterator;
    let mut page = PageInPieces::new(body.len(), next, &PagePool::new());
    let (mut rest, mut lengths) = (body, lengths.iter().cycle());
    while !rest.is_empty() {
        let length = lengths.next().copied().unwrap_or(1).min(rest.len());
        page.push(&rest[..length]);
        rest = &rest[length..];
    }
    page.finish()
}

/// Much of it is longer than what is read at a time.
fn long_page() -> impl Strategy<Value = WirePage> {
    let data = prop_oneof![4 => 0..300_usize, 1 => 0..9000_usize];
    (
        page(),
        prop::collection::vec((record(), data), 0..40),
        any::<u8>(),
    )
        .prop_map(|(mut page, records, byte)| {
            page.records
                .extend(records.into_iter().map(|(mut record, length)| {
                    record.data = vec![byte; length].into();
                    record
                }));
            page
        })
}

proptest! {
    #[test]
    fn a_page_in_pieces_is_read_as_it_is_as_a_whole(
        page in long_page(),
        draws in prop::collection::vec(any::<u8>(), 1..40),
        lengths in prop::collection::vec(prop_oneof![1..40_usize, 1..5000_usize], 1..20),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = written(&page, Form::Json, &draws);
        prop_assert_eq!(read_in_pieces(&body, &lengths), Ok(page));
        let cut = at.index(body.len());
        prop_assert!(read_in_pieces(&body[..cut], &lengths).is_err());
        body[cut] = byte;
        // Of a whole body in another form nothing is read as JSON.
        if body[0] == b'{' {
            prop_assert_eq!(read_in_pieces(&body, &lengths), read(Form::Json, body));
        }
    }

    #[test]
    fn any_page_is_read_as_it_was_written(
        page in page(),
        draws in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        for form in [Form::Json, Form::Cbor] {
            let body = written(&page, form, &draws);
            prop_assert_eq!(read(form, body), Ok(page.clone()), "{:?}", form);
        }
    }

    #[test]
    fn a_page_that_is_cut_off_or_goes_on_gives_no_record(
        page in page(),
        draws in prop::collection::vec(any::<u8>(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        for form in [Form::Json, Form::Cbor] {
            let mut body = written(&page, form, &draws);
            let cut = cut.index(body.len());
            prop_assert!(read(form, body[..cut].to_vec()).is_err(), "{:?}", form);
            body.push(b'0');
            prop_assert!(read(form, body).is_err(), "{:?}", form);
        }
    }

    /// Also where what is there is no page any more.
    #[test]
    fn a_page_with_a_changed_byte_is_read_as_others_read_it(
        page in page(),
        draws in prop::collection::vec(any::<u8>(), 1..40),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut json = written(&page, Form::Json, &draws);
        let at_json = at.index(json.len());
        json[at_json] = byte;
        assert_json(&json);
        let mut cbor = written(&page, Form::Cbor, &draws);
        let at_cbor = at.index(cbor.len());
        cbor[at_cbor] = byte;
        assert_cbor(&cbor);
    }
}
