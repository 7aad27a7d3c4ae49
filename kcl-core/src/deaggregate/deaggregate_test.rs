use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::model::{Encryption, HashKeyRange, RawRecord, Record, SequenceNumber, Timestamp};

/// The published schema, read by an independent decoder (`prost`).
pub(super) mod schema {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::deaggregate) struct AggregatedRecord {
        #[prost(string, repeated, tag = "1")]
        pub(in crate::deaggregate) partition_key_table: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub(in crate::deaggregate) explicit_hash_key_table: Vec<String>,
        #[prost(message, repeated, tag = "3")]
        pub(in crate::deaggregate) records: Vec<KplRecord>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::deaggregate) struct KplRecord {
        #[prost(uint64, required, tag = "1")]
        pub(in crate::deaggregate) partition_key_index: u64,
        #[prost(uint64, optional, tag = "2")]
        pub(in crate::deaggregate) explicit_hash_key_index: Option<u64>,
        #[prost(bytes = "vec", required, tag = "3")]
        pub(in crate::deaggregate) data: Vec<u8>,
        #[prost(message, repeated, tag = "4")]
        pub(in crate::deaggregate) tags: Vec<Tag>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::deaggregate) struct Tag {
        #[prost(string, required, tag = "1")]
        pub(in crate::deaggregate) key: String,
        #[prost(string, optional, tag = "2")]
        pub(in crate::deaggregate) value: Option<String>,
    }
}

use schema::{AggregatedRecord, Tag};

pub(super) fn seal(message: &[u8]) -> Vec<u8> {
    [&MAGIC[..], message, &digest(message)].concat()
}

pub(super) fn raw(data: impl Into<Bytes>) -> RawRecord {
    let at = Timestamp::from_millis(1_700_000_000_000);
    RawRecord::new(SequenceNumber::from_u128(5), "outer", data)
        .arrived_at(at)
        .encrypted(Encryption::Kms)
}

pub(super) fn apart(data: impl Into<Bytes>) -> UserRecords {
    Deaggregator::new(None).take_apart(vec![raw(data)])
}

/// Asserts that the record is delivered unchanged and counted as corrupt.
fn assert_handed_on_as_it_is(data: &[u8], what: &str) {
    let apart = apart(data.to_vec());
    assert_eq!(apart.records, [Record::from(raw(data.to_vec()))], "{what}");
    assert_eq!((apart.aggregates, apart.corrupt), (0, 1), "{what}");
}

pub(super) fn record(key: u64, hash_key: Option<u64>, data: &str) -> schema::KplRecord {
    let tags = vec![Tag {
        key: "ignored".to_owned(),
        value: None,
    }];
    schema::KplRecord {
        partition_key_index: key,
        explicit_hash_key_index: hash_key,
        data: data.into(),
        tags,
    }
}

fn sample() -> AggregatedRecord {
    AggregatedRecord {
        partition_key_table: vec!["a".to_owned(), "ключ".to_owned()],
        explicit_hash_key_table: vec!["42".to_owned()],
        records: vec![
            record(0, None, "first"),
            record(1, Some(0), "second"),
            record(0, None, ""),
        ],
    }
}

/// A user record has its own partition and explicit hash key; all else comes from the Kinesis
/// record that contained it.
#[test]
fn user_records_have_keys_of_their_own_within_their_record() {
    let apart = apart(seal(&sample().encode_to_vec()));
    assert_eq!((apart.aggregates, apart.corrupt), (1, 0));
    let [first, second, third] = apart.records.try_into().unwrap();
    assert_eq!(
        (
            first.sub_sequence(),
            second.sub_sequence(),
            third.sub_sequence()
        ),
        (0, 1, 2)
    );
    assert!(first.partition_key == "a" && first.explicit_hash_key.is_none());
    assert_eq!(second.partition_key, "ключ");
    assert_eq!(second.explicit_hash_key.as_deref(), Some("42"));
    assert_eq!(
        (&second.data[..], &third.data[..]),
        (&b"second"[..], &b""[..])
    );
    let outer = Record::from(raw(""));
    for record in [first, second, third] {
        assert!(record.aggregated && !record.out_of_range);
        assert_eq!(record.sequence(), outer.sequence());
        assert_eq!(
            (record.arrived_at, record.encryption),
            (outer.arrived_at, outer.encryption)
        );
    }
}

#[test]
fn payloads_are_views_into_the_fetched_bytes() {
    let fetched = Bytes::from(seal(&sample().encode_to_vec()));
    let apart = apart(fetched.clone());
    let within = fetched.as_ptr_range();
    assert!(
        within.contains(&apart.records[0].data.as_ptr())
            && within.contains(&apart.records[1].data.as_ptr())
    );
}

/// Unknown fields of every wire type are skipped, and the key tables may come after the records
/// that use them.
#[test]
fn unknown_fields_are_skipped_and_tables_may_follow_records() {
    let unknown = [
        0x48, 1, 0x51, 1, 2, 3, 4, 5, 6, 7, 8, 0x5a, 2, 9, 9, 0x63, 0x08, 1, 0x64, 0x6d, 1, 2, 3, 4,
    ];
    let AggregatedRecord {
        partition_key_table,
        explicit_hash_key_table,
        records,
    } = sample();
    let records = AggregatedRecord {
        records,
        ..AggregatedRecord::default()
    }
    .encode_to_vec();
    let tables = AggregatedRecord {
        partition_key_table,
        explicit_hash_key_table,
        records: Vec::new(),
    }
    .encode_to_vec();
    let inner = [&[0x1a, 4 + 24, 0x08, 0][..], &unknown, &[0x1a, 0]].concat();
    let mixed = apart(seal(
        &[&unknown[..], &records, &unknown, &inner, &tables].concat(),
    ));
    assert_eq!(mixed.corrupt, 0);
    let expected = apart(seal(&sample().encode_to_vec())).records;
    assert_eq!(mixed.records[..3], expected);
    assert_eq!(mixed.records[3].sub_sequence(), 3);
}

#[test]
fn what_is_no_aggregate_is_left_alone_and_not_counted() {
    for data in [&b""[..], &MAGIC[..3], b"plain", &[0; 40]] {
        let apart = apart(data.to_vec());
        assert_eq!(apart.records, [Record::from(raw(data.to_vec()))]);
        assert_eq!((apart.aggregates, apart.corrupt), (0, 0));
        let key = raw("").partition_key.len() + 2 * size_of::<usize>();
        assert_eq!(apart.occupied, data.len() + key + size_of::<Record>());
    }
}

/// A record that starts with the magic number but is not a valid aggregate is delivered as one
/// plain record.
#[test]
fn a_false_aggregate_is_delivered_unchanged_and_counted() {
    let good = seal(&sample().encode_to_vec());
    for length in MAGIC.len()..good.len() {
        assert_handed_on_as_it_is(&good[..length], &format!("cut to {length}"));
    }
    let mut other_digest = good;
    *other_digest.last_mut().unwrap() ^= 1;
    assert_handed_on_as_it_is(&other_digest, "another digest");
    for wrong in [
        record(2, None, "x"),
        record(u64::MAX, None, "x"),
        record(0, Some(1), "x"),
        record(0, Some(u64::MAX), "x"),
    ] {
        let mut message = sample();
        message.records.push(wrong);
        assert_handed_on_as_it_is(
            &seal(&message.encode_to_vec()),
            "an index outside its table",
        );
    }
    let key = [0x0a, 1, b'k'];
    let cases: [(&str, &[u8]); 6] = [
        ("no key", &[0x1a, 4, 0x1a, 2, 1, 1]),
        ("no data", &[0x1a, 4, 0x08, 0, 0x10, 0]),
        ("an empty record", &[0x1a, 0]),
        ("data of another type", &[0x1a, 4, 0x08, 0, 0x18, 0]),
        (
            "data longer than its record",
            &[0x1a, 5, 0x08, 0, 0x1a, 9, 1],
        ),
        (
            "an absurd length",
            &[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ),
    ];
    for (what, record) in cases {
        assert_handed_on_as_it_is(&seal(&[&key, record].concat()), what);
    }
}

#[test]
fn an_aggregate_without_records_yields_none_and_is_counted() {
    let keys_only = AggregatedRecord {
        records: Vec::new(),
        ..sample()
    }
    .encode_to_vec();
    for message in [&b""[..], &keys_only] {
        let alone = apart(seal(message));
        assert_eq!(
            (
                alone.records.len(),
                alone.aggregates,
                alone.corrupt,
                alone.occupied
            ),
            (0, 1, 0, 0)
        );
        let between = Deaggregator::new(None).take_apart(vec![
            raw("before"),
            raw(seal(message)),
            raw("behind"),
        ]);
        assert_eq!(
            between.records,
            [Record::from(raw("before")), Record::from(raw("behind"))]
        );
    }
}

#[test]
fn one_bad_record_takes_nothing_from_its_neighbours() {
    let good = seal(&sample().encode_to_vec());
    let page = vec![
        raw(good.clone()),
        raw(good[..30].to_vec()),
        raw("plain"),
        raw(good),
    ];
    let apart = Deaggregator::new(None).take_apart(page);
    assert_eq!(
        (apart.records.len(), apart.aggregates, apart.corrupt),
        (3 + 1 + 1 + 3, 2, 1)
    );
}

#[test]
fn an_aggregate_in_an_aggregate_is_a_payload() {
    let inner = seal(&sample().encode_to_vec());
    let mut outer = sample();
    outer.records = vec![schema::KplRecord {
        data: inner.clone(),
        ..record(0, None, "")
    }];
    let apart = apart(seal(&outer.encode_to_vec()));
    assert_eq!(apart.records.len(), 1);
    assert_eq!(apart.records[0].data, inner);
}

/// No memory is allocated for user records that are too small to be valid.
#[test]
fn user_records_that_are_too_small_to_be_any_take_no_memory() {
    let apart = apart(seal(&[0x1a, 0].repeat(1000)));
    assert_eq!(
        (apart.records.len(), apart.aggregates, apart.corrupt),
        (1, 0, 1)
    );
    assert_eq!(apart.records.capacity(), 1);
}

#[test]
fn a_long_key_that_many_records_share_is_held_once() {
    let mut message = sample();
    message.partition_key_table[0] = "k".repeat(500_000);
    message.records = vec![record(0, None, "x"); 20_000];
    let data = seal(&message.encode_to_vec());
    let apart = apart(data.clone());
    assert_eq!(apart.records.len(), 20_000);
    assert_eq!(apart.records.capacity(), 20_000);
    let list = 20_000 * size_of::<Record>();
    let keys = apart.occupied - list - data.len();
    assert!((500_000..501_000).contains(&keys), "{keys}");
    let text = |record: &Record| record.partition_key.as_ptr();
    assert_eq!(text(&apart.records[0]), text(&apart.records[19_999]));
}

/// Bytes that are not UTF-8 become replacement characters; the hash is computed from the original
/// bytes.
#[test]
fn keys_that_are_not_text_get_replacements_but_hash_as_given() {
    let message = [&[0x0a, 2, 0xff, b'k'][..], &[0x1a, 4, 0x08, 0, 0x1a, 0]].concat();
    let hash_key = u128::from_be_bytes(digest(&[0xff, b'k']));
    let only = HashKeyRange::new(hash_key, hash_key).unwrap();
    let apart = Deaggregator::new(Some(only)).take_apart(vec![raw(seal(&message))]);
    assert!(
        apart.records[0].partition_key == "\u{fffd}k"
            && apart.records[0].aggregated
            && !apart.records[0].out_of_range
    );
}

fn outside(range: Option<HashKeyRange>, message: &AggregatedRecord) -> Vec<bool> {
    let apart = Deaggregator::new(range).take_apart(vec![raw(seal(&message.encode_to_vec()))]);
    apart
        .records
        .iter()
        .map(|record| record.out_of_range)
        .collect()
}

#[test]
fn a_user_record_outside_the_range_is_flagged_it_alone() {
    let a = u128::from_be_bytes(digest(b"a"));
    let around = |least, most| Some(HashKeyRange::new(least, most).unwrap());
    let mut message = sample();
    message.explicit_hash_key_table.push(a.to_string());
    message.records.push(record(
        1,
        Some(1),
        "elsewhere by its key, here by its hash key",
    ));
    // `a`, the hash key 42, `a` again, the hash key of `a`.
    assert_eq!(
        outside(around(a, a), &message),
        [false, true, false, false],
        "both ends belong to the range"
    );
    assert_eq!(
        outside(around(0, a - 1), &message),
        [true, false, true, true]
    );
    assert_eq!(outside(around(a + 1, u128::MAX), &message), [true; 4]);
    assert_eq!(outside(Some(HashKeyRange::WHOLE), &message), [false; 4]);
    assert_eq!(
        outside(None, &message),
        [false; 4],
        "nothing is outside an unknown range"
    );
}

#[test]
fn an_explicit_hash_key_that_is_no_number_is_never_outside() {
    for text in ["", "x", "-1", "340282366920938463463374607431768211456"] {
        let mut message = sample();
        message.explicit_hash_key_table[0] = text.to_owned();
        message.records = vec![record(0, Some(0), "x")];
        assert_eq!(
            outside(Some(HashKeyRange::new(7, 7).unwrap()), &message),
            [false],
            "{text:?}"
        );
    }
}
