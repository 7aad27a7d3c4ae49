//! The same checks against AWS Kinesis itself, for owners of an account: docs/performance.md says
//! how to run them. They read, and change nothing.
#![expect(clippy::disallowed_methods, reason = "waits in the service's time")]

use std::time::Duration;

use aws_config::BehaviorVersion;
use kcl_core::aws_sdk_kinesis::Client;
use kcl_core::model::{RawRecord, ShardId};
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::{
    ConsumerArn, Cursor, Error, FanOut as _, ShardFilter, StartAt, Stream as _,
};

/// The most pages that are read of a shard, by each way of reading.
const PAGES: usize = 20;

/// A shard allows five calls a second.
const PAUSE: Duration = Duration::from_millis(250);

/// A page in CBOR takes less than this while it is received, one in JSON more.
const IN_CBOR: f64 = 3.0;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see docs/performance.md"))
}

/// The three ways of reading pages, with what the environment says.
async fn ways() -> [(&'static str, KinesisStream); 3] {
    let name = variable("KCL_LIVE_STREAM");
    let name = || name.parse().unwrap();
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let direct = async || KinesisStream::from_config(&config, name()).await.unwrap();
    [
        ("CBOR", direct().await),
        ("JSON", direct().await.without_cbor()),
        ("the SDK", KinesisStream::new(&Client::new(&config), name())),
    ]
}

async fn shards(stream: &KinesisStream) -> Vec<ShardId> {
    let page = stream.list_shards(&ShardFilter::All, None).await.unwrap();
    page.shards.into_iter().map(|shard| shard.id).collect()
}

/// The records of the first pages of a shard.
async fn read(stream: &KinesisStream, shard: &ShardId, most: usize) -> Vec<RawRecord> {
    let mut cursor = Some(stream.open(shard, &StartAt::TrimHorizon).await.unwrap());
    let mut records = Vec::new();
    for _ in 0..PAGES {
        let Some(at) = cursor.take().filter(|_| records.len() < most) else {
            break;
        };
        tokio::time::sleep(PAUSE).await;
        let page = stream.read(&at, 1_000).await.unwrap();
        records.extend(page.records);
        cursor = page.next;
    }
    records.truncate(most);
    records
}

/// Each way of reading gives the same records, with the same keys, times and payloads, and the
/// service answers CBOR with CBOR.
#[tokio::test]
#[ignore = "reads a stream of an AWS account: KCL_LIVE_STREAM"]
async fn the_service_gives_the_same_records_in_each_way() {
    let [(_, cbor), others @ ..] = ways().await;
    let shards = shards(&cbor).await;
    let mut compared = 0;
    for shard in &shards {
        let records = read(&cbor, shard, 5_000).await;
        for (name, other) in &others {
            // More may have come since: what was there is compared.
            let again = read(other, shard, records.len()).await;
            let many = again.len().min(records.len());
            assert_eq!(again[..many], records[..many], "{shard} by {name}");
            assert!(
                many > 0 || records.is_empty(),
                "{shard} by {name}: no records"
            );
        }
        println!("{shard}: {} records, the same in each way", records.len());
        compared += records.len();
    }
    assert!(compared > 0, "put some records into the stream first");
    assert!(
        cbor.memory_while_reading() < IN_CBOR,
        "the service did not answer in CBOR"
    );
}

/// A refusal is the same to whoever reads, in each way.
#[tokio::test]
#[ignore = "reads a stream of an AWS account: KCL_LIVE_STREAM"]
async fn the_service_refuses_in_the_same_way_in_each() {
    let ways = ways().await;
    let shard = shards(&ways[0].1).await.swap_remove(0);
    let mut told: Option<(_, _)> = None;
    for (name, stream) in &ways {
        // A page first, as a worker has one: before it, the SDK has the last word.
        read(stream, &shard, 1).await;
        let wrong = Cursor::new(shard.clone(), "AAAA");
        let Error { kind, code, .. } = stream.read(&wrong, 1).await.unwrap_err();
        println!("{name}: {kind:?}, {code:?}");
        let first = told.get_or_insert_with(|| (kind, code.clone()));
        assert_eq!((kind, code), *first, "{name}");
    }
}

/// A subscription gives what polling gives.
#[tokio::test]
#[ignore = "subscribes with a consumer of an AWS account: KCL_LIVE_STREAM, KCL_LIVE_CONSUMER"]
async fn the_service_pushes_what_it_gives_when_asked() {
    let [(_, stream), ..] = ways().await;
    let consumer = ConsumerArn::new(variable("KCL_LIVE_CONSUMER"));
    for shard in shards(&stream).await {
        let at = StartAt::TrimHorizon;
        let mut subscription = stream.subscribe(&consumer, &shard, &at).await.unwrap();
        let mut pushed = Vec::new();
        while let Some(event) = subscription.next().await.unwrap() {
            pushed.extend(event.records);
            if event.millis_behind_latest == Some(0) || pushed.len() > 5_000 {
                break;
            }
        }
        let asked = read(&stream, &shard, pushed.len()).await;
        let many = asked.len();
        assert_eq!(asked, pushed[..many], "{shard}");
        println!("{shard}: {} records pushed, {many} compared", pushed.len());
    }
}
