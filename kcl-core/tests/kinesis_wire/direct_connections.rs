//! The connections of calls of our own: kept, lost, cut off, with TLS.

use std::time::Duration;

use futures_util::future::join_all;
use kcl_core::stream::ErrorKind;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::Http1Client;
use serde_json::json;

use super::desk::{PageDesk, Served};
use super::direct::{CBOR, name, page, read};
use crate::fan_out_wire::tls::{CERTIFICATE, acceptor};

#[tokio::test]
async fn a_kept_connection_that_has_been_closed_is_replaced_once() {
    let good = || Served::cbor(200, &page("n"));
    let desk = PageDesk::answering([
        good(),
        Served::Closed,
        good(),
        Served::Closed,
        Served::Closed,
    ])
    .await;
    let stream = desk.stream("orders").await;
    name(&stream).await;
    name(&stream).await;
    let connections =
        |desk: &PageDesk| -> Vec<_> { desk.asked().iter().map(|asked| asked.connection).collect() };
    assert_eq!(connections(&desk), [0, 0, 1]);
    let error = read(&stream).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .starts_with("GetRecords: no connection: no answer"),
        "{error}"
    );
    assert_eq!(connections(&desk), [0, 0, 1, 1, 2]);
}

/// Load balancers say so when they close a connection that was idle.
#[tokio::test]
async fn a_server_that_was_tired_of_waiting_is_asked_again() {
    let tired = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let good = || Served::cbor(200, &page("n"));
    let desk = PageDesk::answering([good(), Served::Last(tired.to_vec()), good()]).await;
    let stream = desk.stream("orders").await;
    name(&stream).await;
    assert_eq!(name(&stream).await, "n");
    let connections: Vec<_> = desk.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_no_page() {
    let Served::Bytes(whole) = Served::cbor(200, &page("n")) else {
        unreachable!()
    };
    let good = Served::cbor(200, &page("n"));
    let desk = PageDesk::answering([
        good.clone(),
        Served::Last(whole[..whole.len() - 1].to_vec()),
        good,
    ])
    .await;
    let stream = desk.stream("orders").await;
    name(&stream).await;
    let error = read(&stream).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains("no connection: the answer broke off"),
        "{error}"
    );
    name(&stream).await;
    assert_eq!(desk.asked().len(), 3);
}

#[tokio::test]
async fn a_body_in_chunks_is_joined_and_the_connection_kept() {
    let mut body = Vec::new();
    ciborium::into_writer(&page(&"n".repeat(5_000)), &mut body).unwrap();
    let mut chunked =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {CBOR}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in body.chunks(1_999) {
        chunked.extend_from_slice(format!("{:X};x=y\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    let closed = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body[..]].concat();
    let cut = [&chunked[..], b"0\r\n"].concat();
    let bad = [&chunked[..], b"5\r\nno"].concat();
    chunked.extend_from_slice(b"0\r\nTrailer: yes\r\n\r\n");
    let desk = PageDesk::answering([
        Served::Bytes(chunked.clone()),
        Served::Bytes(chunked),
        Served::Last(closed),
        Served::Last(cut),
        Served::Last(bad),
    ])
    .await;
    let stream = desk.stream("orders").await;
    for _ in 0..3 {
        assert_eq!(name(&stream).await.len(), 5_000);
    }
    assert!(desk.asked().iter().all(|asked| asked.connection == 0));
    for _ in 0..2 {
        assert_eq!(
            read(&stream).await.unwrap_err().kind,
            ErrorKind::Unreachable
        );
    }
}

#[tokio::test]
async fn what_is_no_http_and_what_is_too_long_are_errors() {
    for bytes in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    ] {
        let desk = PageDesk::answering([Served::Bytes(bytes.to_vec())]).await;
        let error = read(&desk.stream("orders").await).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        assert!(
            error.to_string().contains("not a valid HTTP answer"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_call_has_the_time_limit_of_the_client() {
    let desk = PageDesk::answering([Served::Silence]).await;
    let config = desk.config(Duration::from_millis(200));
    let stream = KinesisStream::from_config(&config, "orders".parse().unwrap())
        .await
        .unwrap();
    let error = read(&stream).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    let text = error.to_string();
    let said = "GetRecords: no answer in time: no answer within 200ms (asked: http://localhost:";
    assert!(text.starts_with(said), "{text}");
    assert!(text.ends_with(", region eu-west-1)"), "{text}");
}

#[tokio::test]
async fn without_a_server_there_is_no_connection() {
    let desk = PageDesk::answering([]).await;
    let stream = desk.stream("orders").await;
    drop(desk);
    let error = read(&stream).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.to_string().starts_with("GetRecords: no connection: "),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());
}

/// Many calls in one task: under tokio's budget of a task a write may leave bytes within TLS.
#[tokio::test]
async fn calls_over_tls_are_sent_to_their_last_byte() {
    let large = json!({ "Records": [], "NextShardIterator": "n".repeat(300_000) });
    let answers = (0..1_000).map(|_| Served::cbor(200, &large));
    let desk = PageDesk::start(answers, Some(acceptor(&[b"http/1.1"]))).await;
    let trusting = Http1Client::new().trusting(CERTIFICATE).unwrap();
    let stream = desk.stream("orders").await.read_over(trusting);
    for _ in 0..4 {
        for page in join_all((0..200).map(|_| read(&stream))).await {
            assert_eq!(page.unwrap().next.unwrap().as_str().len(), 300_000);
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_no_connection() {
    let desk = PageDesk::start([], Some(acceptor(&[b"http/1.1"]))).await;
    let error = read(&desk.stream("orders").await).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("no TLS"), "{error}");
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let desk = PageDesk::answering((0..5).map(|_| Served::cbor(200, &page("n")))).await;
    let stream = desk.stream("orders").await;
    for _ in 0..5 {
        name(&stream.clone()).await;
    }
    assert!(desk.asked().iter().all(|asked| asked.connection == 0));
}
