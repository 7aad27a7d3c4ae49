//! A service with a stream, as far as a worker asks for it before it subscribes, and workers that
//! ask.
#![expect(clippy::disallowed_methods, reason = "a worker in a task of its own")]

use std::net::SocketAddr;

use kcl_core::Worker;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::stream::kinesis::http::Http2Client;
use kcl_core::worker::{Builder, FanOutConfig, Mode, RunError, ShutdownReport};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::client::{STREAM, config, stream_with};
use super::served::{Asked, Reply};

/// Answers what is asked of the stream with so many shards and of its consumer. What asks for
/// something else is left.
pub(crate) fn describe(
    asked: &Asked,
    reply: Reply,
    shards: usize,
    name_of: impl Fn(usize) -> String,
) -> Option<Reply> {
    let about = match asked.operation.as_str() {
        "DescribeStreamSummary" => json!({ "StreamDescriptionSummary": {
            "StreamName": "orders", "StreamARN": STREAM, "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1_700_000_000, "EnhancedMonitoring": [], "OpenShardCount": shards,
        } }),
        "ListShards" => {
            json!({ "Shards": (0..shards).map(|shard| listed(shard, shards, &name_of(shard))).collect::<Vec<_>>() })
        }
        "DescribeStreamConsumer" => json!({ "ConsumerDescription": {
            "ConsumerName": "orders-app", "ConsumerARN": format!("{STREAM}/consumer/orders-app:1700000000"),
            "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": 1_700_000_000, "StreamARN": STREAM,
        } }),
        _ => return Some(reply),
    };
    reply.value(&about);
    None
}

fn listed(shard: usize, shards: usize, name: &str) -> Value {
    let width = u128::MAX / shards as u128;
    let end = if shard + 1 == shards {
        u128::MAX
    } else {
        (shard as u128 + 1) * width - 1
    };
    json!({
        "ShardId": name,
        "HashKeyRange": { "StartingHashKey": (shard as u128 * width).to_string(), "EndingHashKey": end.to_string() },
        "SequenceNumberRange": { "StartingSequenceNumber": "1" },
    })
}

/// A worker of the application `orders-app` that reads by fan-out, but for its processor.
pub(crate) fn worker(at: SocketAddr, client: Http2Client) -> Builder {
    Worker::builder()
        .stream(STREAM)
        .source(stream_with(
            config(&format!("http://{at}")).http_client(client),
        ))
        .application("orders-app")
        .lease_table(MemoryLeaseTable::new())
        .mode(Mode::FanOut(FanOutConfig::managed()))
}

pub(crate) fn start(worker: &Worker) -> JoinHandle<Result<ShutdownReport, RunError>> {
    let worker = worker.clone();
    tokio::spawn(async move { worker.run().await })
}
