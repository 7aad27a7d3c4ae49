//! The server of the embedded stream: protocols, sizes, start and end.

use super::support::{create, fill, id, post, post_signed, put};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use kcl_local::stream::{LocalStream, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "application/x-amz-json-1.1";

#[tokio::test]
async fn every_reply_has_a_date() {
    let stream = LocalStream::start().await.expect("starts");
    for (operation, status) in [
        ("ListStreams", 200),
        ("ListShards", 400),
        ("GetRecords", 400),
        ("Nonsense", 400),
    ] {
        let reply = post(&stream, operation, JSON, b"{}").await;
        assert_eq!(reply.status, status, "{operation}: {reply:?}");
        let date = reply
            .header("date")
            .unwrap_or_else(|| panic!("{operation} has no date: {reply:?}"));
        assert!(date.ends_with(" GMT"), "{date}");
    }
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_answered_at_the_same_port() {
    let stream = LocalStream::start().await.expect("starts");
    let mut connection = TcpStream::connect(stream.address())
        .await
        .expect("connects");
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    connection
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .expect("sends");
    connection.write_all(&empty_settings).await.expect("sends");
    let mut frame = [0; 9];
    connection.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame[3], 4, "the server's first frame is SETTINGS");
}

/// A put of eight mebibytes is taken and one beyond the service is not.
#[tokio::test]
async fn a_put_is_taken_up_to_the_limit_of_the_service() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let entry = |_| {
        let data = Blob::new(vec![7; 1024 * 1024 - 16]);
        aws_sdk_kinesis::types::PutRecordsRequestEntry::builder()
            .partition_key("k")
            .data(data)
            .build()
            .expect("complete")
    };
    let reply = client
        .put_records()
        .stream_name("s")
        .set_records(Some((0..8).map(entry).collect()))
        .send()
        .await;
    assert_eq!(reply.expect("puts").failed_record_count, Some(0));
    let error = client
        .put_records()
        .stream_name("s")
        .set_records(Some((0..11).map(entry).collect()))
        .send()
        .await;
    assert!(
        error
            .expect_err("too much")
            .into_service_error()
            .is_invalid_argument_exception()
    );
    let whole = vec![b' '; 17 * 1024 * 1024];
    assert_eq!(post(&stream, "PutRecords", JSON, &whole).await.status, 413);
    let large = client
        .put_record()
        .stream_name("s")
        .partition_key("k")
        .data(Blob::new(vec![0; 1024 * 1024 + 1]));
    let error = large.send().await.expect_err("too large");
    assert_eq!(error.code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_refused() {
    let stream = LocalStream::start().await.expect("starts");
    for operation in [
        "GetRecords",
        "PutRecords",
        "PutRecord",
        "ListShards",
        "ListStreams",
    ] {
        let reply = post(&stream, operation, JSON, b"{").await;
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (400, Some("SerializationException")),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let stream = LocalStream::start().await.expect("starts");
    for operation in [
        "GetRecords",
        "PutRecords",
        "PutRecord",
        "ListShards",
        "ListStreams",
    ] {
        let reply = post_signed(&stream, operation, JSON, b"{}", "").await;
        let kind = Some("MissingAuthenticationTokenException");
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (400, kind),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn a_stopped_or_dropped_server_takes_no_connection() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    fill(&client, "s", 10, 10).await;
    let address = stream.address();
    stream.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    let again = LocalStream::builder()
        .address(address)
        .start()
        .await
        .expect("the port is free");
    drop(again);
    super::support::until(|| async { TcpStream::connect(address).await.err() }).await;
}

#[tokio::test]
async fn a_setting_that_is_not_allowed_is_named() {
    let error = LocalStream::builder()
        .account("12")
        .start()
        .await
        .expect_err("not an account");
    assert_eq!(
        error.to_string(),
        "invalid account: got \"12\", expected 12 digits"
    );
    let taken = LocalStream::start().await.expect("starts");
    let error = LocalStream::builder()
        .address(taken.address())
        .start()
        .await
        .expect_err("taken");
    assert!(matches!(error, StartError::Listen { address, .. } if address == taken.address()));
}

#[test]
fn a_server_works_outside_the_runtime_that_started_it() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let stream = runtime().block_on(LocalStream::start()).expect("starts");
    runtime().block_on(async {
        let client = stream.client();
        create(&client, "s", 1).await;
        put(&client, "s", "k", b"x").await;
        assert_eq!(
            super::support::shards(&client, "s").await[0].shard_id,
            id(0)
        );
    });
}

/// A listing of streams goes on with its token and ends without one.
#[tokio::test]
async fn a_listing_of_streams_goes_on_while_it_has_a_token() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    for name in ["a", "b", "c"] {
        create(&client, name, 1).await;
    }
    let first = client.list_streams().limit(2).send().await.expect("lists");
    assert_eq!(
        (first.stream_names(), first.has_more_streams),
        (&["a".to_owned(), "b".to_owned()][..], true)
    );
    let rest = client
        .list_streams()
        .limit(2)
        .next_token(first.next_token.expect("a token"))
        .send()
        .await
        .expect("goes on");
    assert_eq!(
        (
            rest.stream_names(),
            rest.has_more_streams,
            rest.next_token()
        ),
        (&["c".to_owned()][..], false, None)
    );
    let behind = client
        .list_streams()
        .exclusive_start_stream_name("a")
        .send()
        .await
        .expect("lists");
    assert_eq!(behind.stream_names(), ["b", "c"]);
}
