//! The embedded stream in CBOR, as the AWS SDK for Java speaks it by default: times are tag 1 with
//! milliseconds.

use super::support::{create, id, post, put, split};
use ciborium::Value;
use kcl_local::stream::LocalStream;

const CBOR: &str = "application/x-amz-cbor-1.1";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn map(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(
        members
            .into_iter()
            .map(|(name, value)| (text(name), value))
            .collect(),
    )
}

fn millis(at: i64) -> Value {
    Value::Tag(1, Box::new(Value::from(at)))
}

fn read(body: &[u8]) -> Value {
    ciborium::from_reader(body).expect("CBOR")
}

fn member<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, name| {
        if let (Ok(index), Some(items)) = (name.parse::<usize>(), value.as_array()) {
            return &items[index];
        }
        let members = value
            .as_map()
            .unwrap_or_else(|| panic!("{value:?} is no map"));
        let found = members.iter().find(|(key, _)| key.as_text() == Some(name));
        &found.unwrap_or_else(|| panic!("no {name} in {value:?}")).1
    })
}

async fn call(stream: &LocalStream, operation: &str, request: Value) -> Value {
    let mut body = Vec::new();
    ciborium::into_writer(&request, &mut body).expect("writes");
    let reply = post(stream, operation, CBOR, &body).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some(CBOR)),
        "{operation}: {reply:?}"
    );
    assert!(reply.header("date").is_some());
    if reply.body.is_empty() {
        Value::Null
    } else {
        read(&reply.body)
    }
}

fn as_millis(value: &Value) -> i64 {
    let (tag, inner) = value
        .as_tag()
        .unwrap_or_else(|| panic!("{value:?} has no tag"));
    assert_eq!(tag, 1);
    i64::try_from(inner.as_integer().expect("whole milliseconds")).expect("in range")
}

/// 2020 to 2100, in milliseconds: seconds or microseconds are far outside.
fn is_now(at: i64) -> bool {
    (1_577_836_800_000..4_102_444_800_000).contains(&at)
}

#[tokio::test]
async fn records_are_put_and_read_as_byte_strings_with_tagged_times() {
    let stream = LocalStream::start().await.expect("starts");
    create(&stream.client(), "s", 1).await;
    let data = Value::Bytes(vec![0, 255, 7]);
    let entry = map([("Data", data.clone()), ("PartitionKey", text("k"))]);
    let reply = call(
        &stream,
        "PutRecords",
        map([
            ("StreamName", text("s")),
            ("Records", Value::Array(vec![entry])),
        ]),
    )
    .await;
    assert_eq!(member(&reply, &["FailedRecordCount"]), &Value::from(0));
    let one = [
        ("StreamName", text("s")),
        ("Data", data.clone()),
        ("PartitionKey", text("k")),
    ];
    call(&stream, "PutRecord", map(one)).await;

    let request = [
        ("StreamName", text("s")),
        ("ShardId", text(&id(0))),
        ("ShardIteratorType", text("TRIM_HORIZON")),
    ];
    let iterator = call(&stream, "GetShardIterator", map(request)).await;
    let page = call(
        &stream,
        "GetRecords",
        map([(
            "ShardIterator",
            member(&iterator, &["ShardIterator"]).clone(),
        )]),
    )
    .await;
    assert_eq!(
        member(&page, &["Records"]).as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(member(&page, &["Records", "1", "Data"]), &data);
    assert_eq!(
        member(&page, &["Records", "1", "SequenceNumber"])
            .as_text()
            .map(str::len),
        Some(56)
    );
    let arrival = as_millis(member(
        &page,
        &["Records", "1", "ApproximateArrivalTimestamp"],
    ));
    assert!(is_now(arrival));
    assert_eq!(member(&page, &["MillisBehindLatest"]), &Value::from(0));

    // A time as the SDK for Java sends it: at the second record's arrival, and a second before
    // both.
    for (at, least) in [(arrival, 1), (arrival - 1_000, 2)] {
        let request = [
            ("StreamName", text("s")),
            ("ShardId", text(&id(0))),
            ("ShardIteratorType", text("AT_TIMESTAMP")),
            ("Timestamp", millis(at)),
        ];
        let iterator = call(&stream, "GetShardIterator", map(request)).await;
        let page = call(
            &stream,
            "GetRecords",
            map([(
                "ShardIterator",
                member(&iterator, &["ShardIterator"]).clone(),
            )]),
        )
        .await;
        assert!(member(&page, &["Records"]).as_array().map(Vec::len) >= Some(least));
    }
}

#[tokio::test]
async fn the_end_of_a_shard_is_told() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    split(&client, "s", &id(0)).await;
    let request = [
        ("StreamName", text("s")),
        ("ShardId", text(&id(0))),
        ("ShardIteratorType", text("TRIM_HORIZON")),
    ];
    let iterator = call(&stream, "GetShardIterator", map(request)).await;
    let end = call(
        &stream,
        "GetRecords",
        map([(
            "ShardIterator",
            member(&iterator, &["ShardIterator"]).clone(),
        )]),
    )
    .await;
    assert_eq!(member(&end, &["NextShardIterator"]), &Value::Null);
    assert_eq!(
        member(&end, &["ChildShards", "0", "ShardId"]),
        &text(&id(1))
    );
    assert_eq!(
        member(&end, &["ChildShards", "0", "ParentShards", "0"]),
        &text(&id(0))
    );

    let filter = map([
        ("Type", text("AT_TIMESTAMP")),
        ("Timestamp", millis(1_600_000_000_000)),
    ]);
    let listed = call(
        &stream,
        "ListShards",
        map([("StreamName", text("s")), ("ShardFilter", filter)]),
    )
    .await;
    let shards = member(&listed, &["Shards"]).as_array().expect("a list");
    assert_eq!(
        shards.len(),
        1,
        "before the split there was one: {shards:?}"
    );
}

#[tokio::test]
async fn the_emulators_replies_have_tagged_times_too() {
    let stream = LocalStream::start().await.expect("starts");
    create(&stream.client(), "s", 1).await;
    let named = || map([("StreamName", text("s"))]);
    let summary = call(&stream, "DescribeStreamSummary", named()).await;
    let description = ["StreamDescriptionSummary", "StreamCreationTimestamp"];
    assert!(is_now(as_millis(member(&summary, &description))));
    let described = call(&stream, "DescribeStream", named()).await;
    assert!(is_now(as_millis(member(
        &described,
        &["StreamDescription", "StreamCreationTimestamp"]
    ))));
    let arn = member(&summary, &["StreamDescriptionSummary", "StreamARN"]).clone();
    let consumer = call(
        &stream,
        "RegisterStreamConsumer",
        map([("StreamARN", arn.clone()), ("ConsumerName", text("c"))]),
    )
    .await;
    assert!(is_now(as_millis(member(
        &consumer,
        &["Consumer", "ConsumerCreationTimestamp"]
    ))));
    let consumers = call(&stream, "ListStreamConsumers", map([("StreamARN", arn)])).await;
    assert!(is_now(as_millis(member(
        &consumers,
        &["Consumers", "0", "ConsumerCreationTimestamp"]
    ))));
}

#[tokio::test]
async fn errors_are_in_cbor() {
    let stream = LocalStream::start().await.expect("starts");
    for operation in ["DescribeStreamSummary", "ListShards"] {
        let mut body = Vec::new();
        ciborium::into_writer(&map([("StreamName", text("none"))]), &mut body).expect("writes");
        let reply = post(&stream, operation, CBOR, &body).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (400, Some(CBOR))
        );
        assert_eq!(
            reply.header("x-amzn-errortype"),
            Some("ResourceNotFoundException")
        );
        assert_eq!(
            member(&read(&reply.body), &["__type"]),
            &text("ResourceNotFoundException")
        );
    }
}

#[tokio::test]
async fn a_fan_out_session_speaks_cbor() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    put(&client, "s", "k", b"payload").await;
    split(&client, "s", &id(0)).await;
    let summary = client
        .describe_stream_summary()
        .stream_name("s")
        .send()
        .await
        .expect("describes");
    let arn = summary
        .stream_description_summary
        .expect("a summary")
        .stream_arn;
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("c")
        .send()
        .await
        .expect("registers");
    let consumer = consumer.consumer.expect("a consumer").consumer_arn;
    let start = map([("Type", text("TRIM_HORIZON"))]);
    let request = map([
        ("ConsumerARN", text(&consumer)),
        ("ShardId", text(&id(0))),
        ("StartingPosition", start),
    ]);
    let mut body = Vec::new();
    ciborium::into_writer(&request, &mut body).expect("writes");
    // The shard is closed: the session ends by itself, and the reply with it.
    let reply = super::support::until(|| async {
        let reply = post(&stream, "SubscribeToShard", CBOR, &body).await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert_eq!(
        reply.header("content-type"),
        Some("application/vnd.amazon.eventstream")
    );
    let payloads = payloads(&reply.body);
    assert_eq!(payloads.len(), 3, "reply, records, end");
    assert_eq!(payloads[0], map([]));
    assert_eq!(
        member(&payloads[1], &["Records", "0", "Data"]),
        &Value::Bytes(b"payload".to_vec())
    );
    assert!(is_now(as_millis(member(
        &payloads[1],
        &["Records", "0", "ApproximateArrivalTimestamp"]
    ))));
    assert_eq!(
        member(&payloads[2], &["ContinuationSequenceNumber"]),
        &Value::Null
    );
    assert_eq!(
        member(&payloads[2], &["ChildShards"])
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

/// The payloads of an event stream.
fn payloads(mut frames: &[u8]) -> Vec<Value> {
    let mut payloads = Vec::new();
    let length = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize;
    while !frames.is_empty() {
        let (total, headers) = (length(&frames[..4]), length(&frames[4..8]));
        payloads.push(read(&frames[12 + headers..total - 4]));
        frames = &frames[total..];
    }
    payloads
}
