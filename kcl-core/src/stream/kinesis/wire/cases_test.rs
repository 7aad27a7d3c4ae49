//! What others were seen to send, byte by byte.

use bytes::Bytes;

use crate::model::{Encryption, Timestamp};

use super::super::page_pool::PagePool;
use super::{
    Form, NextMember, Unreadable, WirePage, WireRefusal, get_records, page_of, refusal_of,
};

const CBOR: &str = "application/x-amz-cbor-1.1";
const JSON: &str = "application/x-amz-json-1.1";

fn read(content_type: &str, body: impl Into<Bytes>) -> Result<WirePage, Unreadable> {
    page_of(
        Some(content_type),
        &body.into(),
        NextMember::NextShardIterator,
        &PagePool::new(),
    )
    .map(|(page, _)| page)
}

/// CBOR in hexadecimal digits, with names and texts in quotes.
fn cbor(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, part) in text.split('\'').enumerate() {
        if number % 2 == 1 {
            bytes.push(
                0x60 | u8::try_from(part.len())
                    .ok()
                    .filter(|length| *length < 24)
                    .unwrap(),
            );
            bytes.extend_from_slice(part.as_bytes());
        } else {
            let digits: String = part.split_whitespace().collect();
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            bytes.extend((0..digits.len()).step_by(2).map(byte));
        }
    }
    bytes
}

fn arrived(value: &str) -> Option<i64> {
    let body = cbor(&format!(
        "bf 'Records' 9f bf 'SequenceNumber' '7' 78 1b {} {value} ff ff ff",
        hex("ApproximateArrivalTimestamp")
    ));
    let page = read(CBOR, body).unwrap();
    page.records[0].arrived_at.map(Timestamp::as_millis)
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn arrived_json(value: &str) -> Option<i64> {
    let body = format!(
        r#"{{"Records":[{{"SequenceNumber":"7","ApproximateArrivalTimestamp":{value}}}]}}"#
    );
    read(JSON, body).unwrap().records[0]
        .arrived_at
        .map(Timestamp::as_millis)
}

/// As the service writes it: maps and lists of unknown length, times in tagged milliseconds.
#[test]
fn lists_and_maps_of_unknown_length_are_read() {
    let body = cbor(&format!(
        "bf 'MillisBehindLatest' 19 05dc 'Records' 9f \
           bf 'Data' 43 00ff07 78 1b {arrival} c1 1b 0000018bcfe568 7b 'PartitionKey' 'customer-7' \
              'SequenceNumber' '4957' 'EncryptionType' 'KMS' ff ff \
         'NextShardIterator' 'the-next' ff",
        arrival = hex("ApproximateArrivalTimestamp"),
    ));
    let page = read(CBOR, body).unwrap();
    assert_eq!(page.millis_behind_latest, Some(1500));
    assert_eq!(page.next.as_deref(), Some("the-next"));
    let record = &page.records[0];
    assert_eq!(record.sequence.to_string(), "4957");
    assert_eq!(record.partition_key, "customer-7");
    assert_eq!(&record.data[..], [0, 0xFF, 7]);
    assert_eq!(record.encryption, Encryption::Kms);
    assert_eq!(
        record.arrived_at,
        Some(Timestamp::from_millis(1_700_000_000_123))
    );
}

#[test]
fn strings_in_pieces_are_joined() {
    let body = cbor(
        "a1 'Records' 81 a3 'SequenceNumber' 7f '49' '57' ff 'Data' 5f 41 01 40 42 0203 ff \
         7f 'Partition' 'Key' ff 7f 'cust' 'omer' ff",
    );
    let page = read(CBOR, body).unwrap();
    assert_eq!(page.records[0].sequence.to_string(), "4957");
    assert_eq!(page.records[0].partition_key, "customer");
    assert_eq!(&page.records[0].data[..], [1, 2, 3]);
}

#[test]
fn an_iterator_of_null_is_none_and_null_is_nothing_elsewhere() {
    for body in [
        cbor("a4 'NextShardIterator' f6 'ChildShards' f6 'MillisBehindLatest' f6 'Records' f6"),
        cbor("a1 'NextShardIterator' f7"),
        b"{\"NextShardIterator\":null,\"ChildShards\":null,\"MillisBehindLatest\":null,\"Records\":null}".to_vec(),
    ] {
        assert_eq!(read(CBOR, body), Ok(WirePage::default()));
    }
}

#[test]
fn members_that_are_unknown_are_passed_over_to_a_depth() {
    let nested = |depth: usize| format!("a2 'x' {} 01 'Records' 80", "81".repeat(depth));
    assert!(read(CBOR, cbor(&nested(32))).is_ok());
    assert_eq!(read(CBOR, cbor(&nested(33))), Err(Unreadable::TooDeep));
    assert_eq!(read(CBOR, cbor(&nested(100_000))), Err(Unreadable::TooDeep));
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"x\":{open}1{close},\"Records\":[]}}")
    };
    assert!(read(JSON, nested(32)).is_ok());
    assert_eq!(read(JSON, nested(33)), Err(Unreadable::TooDeep));
    assert_eq!(read(JSON, nested(100_000)), Err(Unreadable::TooDeep));
    // Tags are no levels, and are not followed by calls.
    let tags = "c6".repeat(100_000);
    assert!(read(CBOR, cbor(&format!("a2 'x' {tags} 01 'Records' 80"))).is_ok());
}

#[test]
fn a_tagged_time_is_milliseconds() {
    assert_eq!(arrived("c1 1b 0000018bcfe5687b"), Some(1_700_000_000_123));
    assert_eq!(arrived("c1 00"), Some(0));
}

/// ferrokinesis sends `1a 6b0bb4ef`.
#[test]
fn a_time_without_a_tag_may_be_whole_seconds() {
    assert_eq!(arrived("1a 6b0bb4ef"), Some(0x6b0b_b4ef * 1_000));
    assert_eq!(arrived("1b 000000174876e7ff"), Some(99_999_999_999_000));
    assert_eq!(arrived("1b 000000174876e800"), Some(100_000_000_000));
}

#[test]
fn a_time_in_floating_point_is_seconds() {
    assert_eq!(arrived("fb 41d954fc4007df3b"), Some(1_700_000_000_123));
    assert_eq!(arrived("c1 fb 41d954fc4007df3b"), Some(1_700_000_000_123));
    assert_eq!(arrived("fa 4ecaa7e2"), Some(1_700_000_000_000));
    assert_eq!(arrived("f9 3e00"), Some(1_500));
    assert_eq!(arrived("f9 7c00"), None, "infinite");
    assert_eq!(arrived("fb 7ff8000000000000"), None, "no number");
    assert_eq!(arrived("f6"), None);
}

#[test]
fn a_time_in_json_is_seconds_in_any_writing() {
    for (written, millis) in [
        ("1603149588.042", 1_603_149_588_042),
        ("1.603149588042E9", 1_603_149_588_042),
        ("1603149588", 1_603_149_588_000),
        ("1603149588.0420001", 1_603_149_588_042),
        ("1603149588.0", 1_603_149_588_000),
        ("1.5e0", 1_500),
        ("-1.5", -1_500),
    ] {
        assert_eq!(arrived_json(written), Some(millis), "{written}");
    }
    assert_eq!(arrived_json("null"), None);
    assert_eq!(arrived_json("1e300"), None);
    assert_eq!(arrived_json("9999999999999999"), None, "too large in ms");
}

/// In CBOR a payload is what it is: base64 in it is the producer's.
#[test]
fn a_payload_in_cbor_is_not_decoded_again() {
    let page = read(
        CBOR,
        cbor("a1 'Records' 81 a2 'SequenceNumber' '7' 'Data' 44 41414141"),
    );
    assert_eq!(&page.unwrap().records[0].data[..], b"AAAA");
    let text = read(
        CBOR,
        cbor("a1 'Records' 81 a2 'SequenceNumber' '7' 'Data' 'AAAA'"),
    );
    assert!(
        matches!(text, Err(Unreadable::Unexpected { .. })),
        "{text:?}"
    );
}

#[test]
fn an_empty_payload_is_an_empty_one() {
    for body in [
        cbor("a1 'Records' 81 a2 'SequenceNumber' '7' 'Data' 40"),
        cbor("a1 'Records' 81 a2 'SequenceNumber' '7' 'Data' f6"),
        b"{\"Records\":[{\"SequenceNumber\":\"7\",\"Data\":\"\"}]}".to_vec(),
    ] {
        let page = read(CBOR, body).unwrap();
        assert_eq!((page.records.len(), page.records[0].data.len()), (1, 0));
    }
}

#[test]
fn base64_with_an_escaped_slash_is_decoded() {
    for data in ["//8=", "\\/\\/8=", "\\u002f/8="] {
        let body = format!(r#"{{"Records":[{{"SequenceNumber":"7","Data":"{data}"}}]}}"#);
        assert_eq!(
            &read(JSON, body).unwrap().records[0].data[..],
            [0xFF, 0xFF],
            "{data}"
        );
    }
    for data in ["//8", "//8=\\n", "*", "//8= "] {
        let body = format!(r#"{{"Records":[{{"SequenceNumber":"7","Data":"{data}"}}]}}"#);
        assert!(read(JSON, body).is_err(), "{data}");
    }
}

/// The service now and then answers a call in CBOR with JSON, and says so or not.
#[test]
fn the_first_byte_tells_json_from_cbor() {
    for content_type in [CBOR, JSON, "application/json", ""] {
        let page = read(content_type, r#" {"Records":[],"NextShardIterator":"n"}"#).unwrap();
        assert_eq!(page.next.as_deref(), Some("n"), "{content_type}");
    }
    assert!(read("", cbor("a1 'Records' 80")).is_ok());
    assert!(
        read(JSON, cbor("a1 'Records' 80")).is_err(),
        "said to be JSON"
    );
}

#[test]
fn html_and_text_are_no_page() {
    for body in [
        "<html>no access</html>",
        "",
        "Bad Gateway",
        "[]",
        "7",
        "\u{FEFF}{}",
    ] {
        for content_type in [CBOR, "text/html; charset=utf-8"] {
            let error = read(content_type, body).unwrap_err();
            assert!(
                matches!(error, Unreadable::OfNeitherForm { .. }),
                "{body} {error}"
            );
        }
    }
    let error = read("text/html", "<html>a secret</html>")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("text/html") && error.contains("0x3c"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
}

/// It would be taken for the end of a shard.
#[test]
fn an_answer_with_nothing_of_a_page_is_none() {
    for body in [
        cbor("a0"),
        cbor("a1 'error' 'no'"),
        b"{}".to_vec(),
        b"{\"error\":\"no\"}".to_vec(),
    ] {
        assert_eq!(read("", body), Err(Unreadable::NoPage));
    }
}

#[test]
fn a_record_without_a_valid_number_is_refused() {
    for record in [
        "a0",
        "a1 'SequenceNumber' f6",
        "a1 'SequenceNumber' 'shardEnd'",
    ] {
        let error = read(CBOR, cbor(&format!("a1 'Records' 81 {record}"))).unwrap_err();
        assert!(matches!(error, Unreadable::Sequence(_)), "{error}");
    }
}

#[test]
fn two_lists_of_records_are_refused() {
    let body = r#"{"Records":[{"SequenceNumber":"7"}],"Records":[]}"#;
    assert_eq!(read(JSON, body), Err(Unreadable::Twice("Records")));
    let body = cbor("bf 'Records' 80 'Records' 80 ff");
    assert_eq!(read(CBOR, body), Err(Unreadable::Twice("Records")));
}

#[test]
fn lengths_beyond_the_body_are_refused_at_once() {
    for body in [
        "a1 'Records' 9b ffffffffffffffff",
        "a1 'Records' 81 a1 'Data' 5b ffffffffffffffff",
        "bb ffffffffffffffff",
        "a1 'Records' 9f ff ff",
        "bf 'Records' ff",
        "a1 'Records' 1c",
    ] {
        assert!(read(CBOR, cbor(body)).is_err(), "{body}");
    }
}

#[test]
fn payloads_in_cbor_are_slices_of_the_body() {
    let body = Bytes::from(cbor(
        "a1 'Records' 82 a2 'SequenceNumber' '7' 'Data' 43 010203 a2 'Data' 41 04 \
         'SequenceNumber' '8'",
    ));
    let (page, _) = page_of(
        Some(CBOR),
        &body,
        NextMember::NextShardIterator,
        &PagePool::new(),
    )
    .unwrap();
    for record in &page.records {
        assert!(body.as_ptr_range().contains(&record.data.as_ptr()));
    }
}

#[test]
fn an_error_is_read_in_both_forms() {
    let refusal = |code: &str, message: Option<&str>| WireRefusal {
        code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        message: message.map(ToOwned::to_owned),
    };
    let said = |body: &[u8]| refusal_of(None, Some(CBOR), &Bytes::copy_from_slice(body));
    let expired = refusal("ExpiredIteratorException", Some("too old"));
    let bodies = [cbor("bf 'message' 'too old' '__type' 78 18")];
    let mut long = bodies[0].clone();
    long.extend_from_slice(b"ExpiredIteratorException\xFF");
    assert_eq!(said(&long), expired);
    assert_eq!(
        said(br#"{"__type":"com.amazonaws.kinesis.v20131202#ExpiredIteratorException","message":"too old"}"#),
        expired
    );
    assert_eq!(
        said(br#"{"Message":"too old","code":"ExpiredIteratorException:http://internal"}"#),
        expired
    );
    assert_eq!(
        said(br#"{"__type":"Throttling","message":null}"#),
        refusal("Throttling", None)
    );
    let named = refusal_of(
        Some("Throttling:http://x"),
        None,
        &Bytes::from_static(b"<html>"),
    );
    assert_eq!(named, refusal("Throttling", None));
    for nothing in [&b"<html>"[..], b"", b"{\"__type\":7}", b"\xA1\x66__type"] {
        assert_eq!(said(nothing), WireRefusal::default());
    }
}

#[test]
fn a_call_is_written_in_both_forms() {
    let json = get_records(Form::Json, "an\"iter\\a\ntor", 10_000, Some("arn:x"));
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected = serde_json::json!({ "ShardIterator": "an\"iter\\a\ntor", "Limit": 10_000, "StreamARN": "arn:x" });
    assert_eq!(json, expected);
    for limit in [1, 23, 24, 255, 256, 10_000] {
        for arn in [None, Some("arn:x")] {
            let iterator = "i".repeat(300);
            let [json, cbor] =
                [Form::Json, Form::Cbor].map(|form| get_records(form, &iterator, limit, arn));
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let cbor: serde_json::Value = ciborium::from_reader(&cbor[..]).unwrap();
            assert_eq!(json, cbor);
        }
    }
}
