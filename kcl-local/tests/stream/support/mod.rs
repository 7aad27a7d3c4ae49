//! What the tests of the embedded stream share.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait between looks at a state"
)]
#![allow(dead_code, reason = "each test file uses a part")]

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    ConsumerStatus, PutRecordsRequestEntry, Record, Shard, ShardIteratorType, StreamStatus,
};
use kcl_local::stream::LocalStream;
pub(crate) mod http2;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What `work` gives; a test does not wait for it forever.
pub(crate) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .expect("what the test waits for")
}

/// Looks until `look` has found something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(search).await
}

/// Waits until a stream is active.
pub(crate) async fn active(client: &Client, name: &str) {
    until(|| async {
        let summary = client
            .describe_stream_summary()
            .stream_name(name)
            .send()
            .await
            .expect("describes");
        let summary = summary.stream_description_summary.expect("a summary");
        (summary.stream_status == StreamStatus::Active).then_some(())
    })
    .await;
}

/// Makes a stream and waits until it is active.
pub(crate) async fn create(client: &Client, name: &str, shards: i32) {
    client
        .create_stream()
        .stream_name(name)
        .shard_count(shards)
        .send()
        .await
        .expect("creates");
    active(client, name).await;
}

/// The ARN of a stream.
pub(crate) async fn stream_arn(client: &Client, name: &str) -> String {
    let summary = client
        .describe_stream_summary()
        .stream_name(name)
        .send()
        .await
        .expect("describes");
    summary
        .stream_description_summary
        .expect("a summary")
        .stream_arn
}

/// Registers the consumer `c` of a stream and waits until it is active; its ARN.
pub(crate) async fn register(client: &Client, name: &str) -> String {
    let arn = stream_arn(client, name).await;
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("c")
        .send()
        .await
        .expect("registers");
    let arn = consumer.consumer.expect("a consumer").consumer_arn;
    until(|| async {
        let consumer = client
            .describe_stream_consumer()
            .consumer_arn(&arn)
            .send()
            .await
            .expect("describes");
        let status = consumer
            .consumer_description
            .expect("a consumer")
            .consumer_status;
        (status == ConsumerStatus::Active).then_some(())
    })
    .await;
    arn
}

/// The shards of a stream.
pub(crate) async fn shards(client: &Client, name: &str) -> Vec<Shard> {
    client
        .list_shards()
        .stream_name(name)
        .send()
        .await
        .expect("lists")
        .shards
        .unwrap_or_default()
}

/// The n-th shard's id.
pub(crate) fn id(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

/// Puts one record; the sequence number.
pub(crate) async fn put(client: &Client, name: &str, key: &str, data: &[u8]) -> String {
    let put = client
        .put_record()
        .stream_name(name)
        .partition_key(key)
        .data(Blob::new(data))
        .send();
    put.await.expect("puts").sequence_number
}

/// Puts `count` records of `size` bytes, in calls of at most 5 MiB.
pub(crate) async fn fill(client: &Client, name: &str, count: usize, size: usize) {
    let entry = |n: usize| {
        let data = Blob::new(vec![b'x'; size]);
        PutRecordsRequestEntry::builder()
            .partition_key(format!("key-{n}"))
            .data(data)
            .build()
            .expect("complete")
    };
    let batch = (5 * 1024 * 1024 / (size + 16)).clamp(1, 500);
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(batch) {
        let entries = batch.iter().map(|&n| entry(n)).collect();
        let reply = client
            .put_records()
            .stream_name(name)
            .set_records(Some(entries))
            .send()
            .await
            .expect("puts");
        assert_eq!(reply.failed_record_count, Some(0));
    }
}

/// An iterator.
pub(crate) async fn iterator(
    client: &Client,
    name: &str,
    shard: &str,
    kind: ShardIteratorType,
) -> String {
    let request = client
        .get_shard_iterator()
        .stream_name(name)
        .shard_id(shard)
        .shard_iterator_type(kind);
    request
        .send()
        .await
        .expect("an iterator")
        .shard_iterator
        .expect("a token")
}

/// An iterator at a time.
pub(crate) async fn iterator_at(client: &Client, name: &str, shard: &str, at: DateTime) -> String {
    let request = client
        .get_shard_iterator()
        .stream_name(name)
        .shard_id(shard)
        .timestamp(at);
    let request = request.shard_iterator_type(ShardIteratorType::AtTimestamp);
    request
        .send()
        .await
        .expect("an iterator")
        .shard_iterator
        .expect("a token")
}

/// One page.
pub(crate) async fn read(client: &Client, iterator: &str) -> GetRecordsOutput {
    client
        .get_records()
        .shard_iterator(iterator)
        .send()
        .await
        .expect("a page")
}

/// When a record arrived, in milliseconds: the SDK reads a fraction of seconds, which falls short
/// of them by nanoseconds.
pub(crate) fn arrival_ms(record: &Record) -> i64 {
    let at = record.approximate_arrival_timestamp().expect("a time");
    (at.as_secs_f64() * 1_000.0).round() as i64
}

/// The payloads of a page, as text.
pub(crate) fn texts(page: &GetRecordsOutput) -> Vec<String> {
    page.records
        .iter()
        .map(|record| String::from_utf8_lossy(record.data.as_ref()).into_owned())
        .collect()
}

/// Splits a shard in the middle and waits until the children are there.
pub(crate) async fn split(client: &Client, name: &str, shard: &str) {
    let all = shards(client, name).await;
    let range = all
        .iter()
        .find(|one| one.shard_id == shard)
        .expect("the shard")
        .hash_key_range
        .clone()
        .expect("a range");
    let ends = [range.starting_hash_key, range.ending_hash_key]
        .map(|key| key.parse::<u128>().expect("a number"));
    let middle = ends[0] + (ends[1] - ends[0]) / 2;
    let call = client
        .split_shard()
        .stream_name(name)
        .shard_to_split(shard)
        .new_starting_hash_key(middle.to_string());
    call.send().await.expect("splits");
    active(client, name).await;
}

/// Merges two shards and waits until the child is there.
pub(crate) async fn merge(client: &Client, name: &str, left: &str, right: &str) {
    let call = client
        .merge_shards()
        .stream_name(name)
        .shard_to_merge(left)
        .adjacent_shard_to_merge(right);
    call.send().await.expect("merges");
    active(client, name).await;
}

/// A reply as it came over the wire.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl RawReply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// Sends a request as it is, over HTTP/1.1; the body of the reply is read to its end.
pub(crate) async fn post(
    stream: &LocalStream,
    operation: &str,
    content_type: &str,
    body: &[u8],
) -> RawReply {
    let signature =
        "Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0\r\n";
    post_signed(stream, operation, content_type, body, signature).await
}

/// The same with a header of one's own for the signature.
pub(crate) async fn post_signed(
    stream: &LocalStream,
    operation: &str,
    content_type: &str,
    body: &[u8],
    signature: &str,
) -> RawReply {
    let mut connection = tokio::net::TcpStream::connect(stream.address())
        .await
        .expect("connects");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         {signature}Content-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.expect("sends");
    connection.write_all(body).await.expect("sends");
    let mut reply = Vec::new();
    connection.read_to_end(&mut reply).await.expect("receives");
    let split = reply
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let headers = String::from_utf8_lossy(&reply[..split]).into_owned();
    let status = headers
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    let mut body = reply.split_off(split + 4);
    let reply = RawReply {
        status,
        headers,
        body: Vec::new(),
    };
    if reply.header("transfer-encoding") == Some("chunked") {
        body = unchunk(&body);
    }
    RawReply { body, ..reply }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end])
            .ok()
            .and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.expect("the size of a chunk");
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}
