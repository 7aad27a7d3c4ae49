//! `GetRecords` by a call of our own: it sends, and makes of answers, what the SDK does.

use kcl_core::model::ShardId;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::{Cursor, Error, ErrorKind, Page, Stream as _};
use serde_json::{Value, json};

use super::desk::{Asked, PageDesk, Served};
use super::failures::{answers, table};
use super::wire::{Answer, Wire};

const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
pub(super) const CBOR: &str = "application/x-amz-cbor-1.1";
const JSON: &str = "application/x-amz-json-1.1";

pub(super) fn cursor() -> Cursor {
    Cursor::new(ShardId::from("shardId-000000000000"), "an-iterator")
}

pub(super) async fn read(stream: &KinesisStream) -> Result<Page, Error> {
    stream.read(&cursor(), 10).await
}

/// A page that names itself in its next iterator.
pub(super) fn page(name: &str) -> Value {
    json!({ "Records": [], "NextShardIterator": name, "MillisBehindLatest": 0 })
}

pub(super) async fn name(stream: &KinesisStream) -> String {
    read(stream)
        .await
        .unwrap()
        .next
        .unwrap()
        .as_str()
        .to_owned()
}

/// What both ways must agree on.
fn told(error: &Error) -> (ErrorKind, Option<String>, String) {
    let text = error.to_string();
    // What is wrong with an answer that cannot be read, each reader says in its own words.
    let text = match text.split_once("the answer cannot be read") {
        Some((before, _)) => format!("{before}the answer cannot be read"),
        None => text,
    };
    // The two are asked at different addresses.
    let text = match text.split_once(" (asked: ") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    (
        error.kind,
        error.code.as_deref().map(ToOwned::to_owned),
        text,
    )
}

#[tokio::test]
async fn every_row_of_the_error_table_holds_in_both_ways() {
    let mut checked = 0;
    for [calls, sign, _] in table() {
        if !calls.split(' ').any(|call| call == "R") {
            continue;
        }
        for (answer, _) in answers(sign) {
            let Answer::Http { status, body, .. } = &answer else {
                continue;
            };
            let by_sdk = read(&Wire::answering([answer.clone()]).stream(ARN)).await;
            let by_sdk = told(&by_sdk.unwrap_err());

            // What is refused for good is asked by the SDK too, as no page has come yet.
            let again = || [Served::from(&answer), Served::from(&answer)];
            let desk = PageDesk::answering(again()).await;
            let in_json = desk.stream(ARN).await.without_cbor();
            assert_eq!(
                told(&read(&in_json).await.unwrap_err()),
                by_sdk,
                "{answer:?}"
            );

            // In CBOR as well; what is said in no form of the service is asked for again.
            let served = match serde_json::from_str::<Value>(body) {
                Ok(value) if *status != 200 => Served::cbor(*status, &value),
                _ => Served::new(*status, "text/html", body.as_bytes()),
            };
            let desk = PageDesk::answering([served].into_iter().chain(again())).await;
            let in_cbor = desk.stream(ARN).await;
            assert_eq!(
                told(&read(&in_cbor).await.unwrap_err()),
                by_sdk,
                "{answer:?}"
            );
            assert!(desk.asked()[0].is_cbor());
            checked += 1;
        }
    }
    assert!(
        checked > 60,
        "the table was not found: {checked} answers checked"
    );
}

fn same(a: &Page, b: &Page) {
    assert_eq!(a.records, b.records);
    assert_eq!(a.next, b.next);
    assert_eq!(a.millis_behind_latest, b.millis_behind_latest);
    assert_eq!(a.children, b.children);
}

/// An endpoint may want what a call of ours lacks, such as another signature.
#[tokio::test]
async fn where_the_sdk_gets_a_page_and_we_do_not_it_makes_the_calls() {
    let refused = json!({ "__type": "InvalidSignatureException", "message": "not so" });
    let refused = Served::cbor(403, &refused);
    let [a, b] = ["a", "b"].map(|name| Served::json(&page(name)));
    let desk = PageDesk::answering([refused.clone(), a, b]).await;
    let stream = desk.stream("orders").await;
    assert_eq!(
        (name(&stream).await, name(&stream).await),
        ("a".to_owned(), "b".to_owned())
    );
    let by_sdk = |asked: &Asked| asked.header("amz-sdk-request").is_some();
    assert_eq!(
        desk.asked().iter().map(by_sdk).collect::<Vec<_>>(),
        [false, true, true]
    );
    // Once a page has come, an error is the endpoint's own.
    let desk = PageDesk::answering([Served::cbor(200, &page("a")), refused]).await;
    let stream = desk.stream("orders").await;
    name(&stream).await;
    assert_eq!(read(&stream).await.unwrap_err().kind, ErrorKind::Fatal);
    assert!(!desk.asked().iter().any(by_sdk));
}

#[tokio::test]
async fn a_page_is_the_same_in_both_ways() {
    let record = |data: &str, at: Value| {
        json!({
            "SequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "ApproximateArrivalTimestamp": at, "Data": data, "PartitionKey": "ключ \"7\"\n",
        })
    };
    let child = json!({
        "ShardId": "shardId-2", "ParentShards": ["shardId-0", "shardId-1"],
        "HashKeyRange": { "StartingHashKey": "5", "EndingHashKey": "9" },
    });
    for body in [
        page("next"),
        json!({ "Records": [record("AP8H", json!(1_700_000_000.123)), record("", Value::Null)], "NextShardIterator": "n" }),
        json!({ "Records": [record("AA==", json!(1_603_149_588.042_5))], "NextShardIterator": null, "ChildShards": [child] }),
        json!({ "Records": [], "NextShardIterator": "n", "ChildShards": [child], "MillisBehindLatest": -1 }),
        json!({ "MillisBehindLatest": 7, "Records": [], "ChildShards": [{ "ShardId": "x", "ParentShards": [] }] }),
    ] {
        let by_sdk = Wire::answering([Answer::ok(&body)]).stream("orders");
        let desk = PageDesk::answering([Served::json(&body)]).await;
        same(
            &read(&desk.stream("orders").await).await.unwrap(),
            &read(&by_sdk).await.unwrap(),
        );
    }
}

#[tokio::test]
async fn a_call_is_sent_signed_and_in_cbor_to_the_endpoint() {
    for (stream, arn) in [("orders", None), (ARN, Some(ARN))] {
        let desk = PageDesk::answering([Served::cbor(200, &page("n"))]).await;
        name(&desk.stream(stream).await).await;
        let asked = &desk.asked()[0];
        let mut expected = json!({ "ShardIterator": "an-iterator", "Limit": 10 });
        if let Some(arn) = arn {
            expected["StreamARN"] = json!(arn);
        }
        assert_eq!(asked.members(), expected);
        assert!(
            asked.head.starts_with("POST / HTTP/1.1\r\n"),
            "{}",
            asked.head
        );
        assert_eq!(asked.header("content-type"), Some(CBOR));
        assert_eq!(
            asked.header("x-amz-target"),
            Some("Kinesis_20131202.GetRecords")
        );
        assert_eq!(asked.header("x-amz-security-token"), Some("a-token"));
        let host = format!("localhost:{}", desk.at.port());
        assert_eq!(asked.header("host"), Some(&*host));
        let signed = asked.header("authorization").unwrap();
        assert!(
            signed.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"),
            "{signed}"
        );
        assert!(
            signed.contains("/eu-west-1/kinesis/aws4_request, "),
            "{signed}"
        );
        let headers =
            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, ";
        assert!(signed.contains(headers), "{signed}");
    }
}

/// What endpoints without CBOR were seen to answer to it.
fn without_cbor() -> Vec<Served> {
    let error = |status, code: &str| {
        let body = json!({ "__type": code, "message": "no" }).to_string();
        Served::new(status, JSON, body.as_bytes())
    };
    vec![
        Served::new(404, "text/html", b"<html>not found</html>"),
        Served::new(415, "", b""),
        error(400, "SerializationException"),
        error(400, "UnknownOperationException"),
        error(400, "AnErrorOfAnEmulator"),
        Served::new(500, "text/plain", b"Internal Server Error"),
        Served::new(500, "text/xml", b"<?xml version=\"1.0\"?><Error/>"),
        Served::new(200, "text/html", b"<html>hello</html>"),
        Served::new(200, CBOR, b"\xA1\x67Records\x07"),
    ]
}

#[tokio::test]
async fn an_endpoint_without_cbor_is_asked_in_json_for_good() {
    for refusal in without_cbor() {
        let pages = ["a", "b"].map(|name| Served::json(&page(name)));
        let desk = PageDesk::answering([refusal.clone()].into_iter().chain(pages)).await;
        let stream = desk.stream("orders").await;
        assert_eq!(name(&stream).await, "a", "{refusal:?}");
        // A clone knows it too.
        assert_eq!(name(&stream.clone()).await, "b");
        let forms: Vec<_> = desk.asked().iter().map(Asked::is_cbor).collect();
        assert_eq!(forms, [true, false, false], "{refusal:?}");
        let members: Vec<_> = desk.asked().iter().map(Asked::members).collect();
        assert_eq!(members[0], members[1]);
    }
}

/// An error that the service has a name for shows too that JSON is understood.
#[tokio::test]
async fn an_error_in_json_shows_that_an_endpoint_has_json() {
    let expired = Served::from(&Answer::error("ExpiredIteratorException", "too old"));
    let refusal = Served::new(404, "text/html", b"");
    let desk = PageDesk::answering([refusal, expired, Served::json(&page("b"))]).await;
    let stream = desk.stream("orders").await;
    assert_eq!(read(&stream).await.unwrap_err().kind, ErrorKind::Expired);
    assert_eq!(name(&stream).await, "b");
    assert!(!desk.asked()[2].is_cbor());
}

#[tokio::test]
async fn an_endpoint_out_of_order_is_asked_in_cbor_again() {
    let down = || Served::new(503, "text/html", b"<html>down</html>");
    let desk = PageDesk::answering([down(), down(), Served::cbor(200, &page("up"))]).await;
    let stream = desk.stream("orders").await;
    let error = read(&stream).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(
        error.to_string(),
        "GetRecords: HTTP status 503 without an error code"
    );
    assert_eq!(name(&stream).await, "up");
    let forms: Vec<_> = desk.asked().iter().map(Asked::is_cbor).collect();
    assert_eq!(forms, [true, false, true]);
}

/// The service does this now and then.
#[tokio::test]
async fn a_page_in_json_to_a_call_in_cbor_is_read() {
    let desk = PageDesk::answering([
        Served::new(200, CBOR, page("a").to_string().as_bytes()),
        Served::cbor(200, &page("b")),
        Served::json(&page("c")),
        Served::cbor(200, &page("d")),
    ])
    .await;
    let stream = desk.stream("orders").await;
    for expected in ["a", "b", "c", "d"] {
        assert_eq!(name(&stream).await, expected);
    }
    assert!(desk.asked().iter().all(Asked::is_cbor));
}

#[tokio::test]
async fn an_error_after_a_page_in_cbor_is_the_endpoints_own() {
    for (served, kind) in [
        (
            Served::new(503, "text/html", b"<html>down</html>"),
            ErrorKind::Transient,
        ),
        (Served::new(404, "", b""), ErrorKind::Fatal),
        (
            Served::cbor(
                400,
                &json!({ "__type": "ProvisionedThroughputExceededException" }),
            ),
            ErrorKind::Throttled,
        ),
    ] {
        let good = || Served::cbor(200, &page("n"));
        let desk = PageDesk::answering([good(), served, good()]).await;
        let stream = desk.stream("orders").await;
        name(&stream).await;
        assert_eq!(read(&stream).await.unwrap_err().kind, kind);
        name(&stream).await;
        assert!(desk.asked().iter().all(Asked::is_cbor));
    }
}

#[tokio::test]
async fn an_unreadable_page_is_asked_for_once_more_in_json() {
    let cut = Served::new(200, CBOR, b"\xA1\x67Records\x81");
    let desk = PageDesk::answering([
        Served::cbor(200, &page("a")),
        cut.clone(),
        Served::json(&page("b")),
        Served::cbor(200, &page("c")),
        cut,
        Served::new(200, "text/html", b"<html>"),
    ])
    .await;
    let stream = desk.stream("orders").await;
    for expected in ["a", "b", "c"] {
        assert_eq!(name(&stream).await, expected);
    }
    let error = read(&stream).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.to_string().contains(
            "the answer cannot be read: expected CBOR or JSON, got the content type `text/html`"
        ),
        "{error}"
    );
    let forms: Vec<_> = desk.asked().iter().map(Asked::is_cbor).collect();
    assert_eq!(forms, [true, true, false, true, true, false]);
}

#[tokio::test]
async fn cbor_is_not_asked_for_where_it_is_switched_off() {
    let desk = PageDesk::answering([Served::json(&page("a"))]).await;
    name(&desk.stream("orders").await.without_cbor()).await;
    assert!(!desk.asked()[0].is_cbor());
}

#[tokio::test]
async fn the_time_of_the_service_is_signed_with_after_an_answer() {
    let date = "date: Tue, 14 Nov 2023 22:13:20 GMT\r\n";
    let refused =
        json!({ "__type": "InvalidSignatureException", "message": "Signature expired: x" });
    let refused = Served::with(403, date, refused.to_string().as_bytes());
    let cached = Served::with(
        503,
        "date: Tue, 14 Nov 2000 22:13:20 GMT\r\nage: 7\r\n",
        b"",
    );
    let desk = PageDesk::answering([
        refused,
        cached.clone(),
        cached,
        Served::cbor(200, &page("n")),
    ])
    .await;
    let stream = desk.stream("orders").await;
    assert_eq!(
        read(&stream).await.unwrap_err().kind,
        ErrorKind::Unreachable
    );
    read(&stream).await.unwrap_err();
    name(&stream).await;
    let dates: Vec<_> = desk
        .asked()
        .iter()
        .map(|asked| asked.header("x-amz-date").unwrap()[..9].to_owned())
        .collect();
    assert_ne!(dates[0], "20231114T");
    assert_eq!(dates[1..], ["20231114T"; 3]);
}

#[tokio::test]
async fn an_iterator_does_not_appear_in_an_error_of_a_direct_call() {
    let message = "Value 'an-iterator' at 'shardIterator' failed to satisfy constraint";
    let refused = json!({ "__type": "ValidationException", "message": message });
    let desk = PageDesk::answering([Served::cbor(400, &refused)]).await;
    let error = read(&desk.stream("orders").await).await.unwrap_err();
    assert!(
        error.to_string().contains("Value '(the iterator)' at"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("an-iterator"), "{error:?}");
}
