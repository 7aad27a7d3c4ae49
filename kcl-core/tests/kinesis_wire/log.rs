//! The log at its finest level, in a process of its own: it is of the whole process.

use std::io::Write;
use std::sync::{Arc, Mutex};

use aws_smithy_types::base64;
use kcl_core::model::ShardId;
use kcl_core::stream::{ShardFilter, StartAt, Stream as _};
use serde_json::json;

use crate::support::alone;

use super::wire::{Answer, Wire};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The content in every writing that a log may give it.
fn writings(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![secret.to_owned(), base64::encode(secret), hex]
}

#[tokio::test]
async fn no_log_or_error_shows_records_keys_or_iterators() {
    if !alone(concat!(
        module_path!(),
        "::no_log_or_error_shows_records_keys_or_iterators"
    )) {
        return;
    }
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();

    let record = json!({ "SequenceNumber": "7", "Data": base64::encode("canary-data"), "PartitionKey": "canary-key" });
    let page = json!({ "Records": [record], "NextShardIterator": "canary-next" });
    let cut = page.to_string().replace("\"}]", "");
    assert!(cut.len() < page.to_string().len());
    let wire = Wire::answering([
        Answer::ok(&json!({ "Shards": [] })),
        Answer::ok(&json!({ "ShardIterator": "canary-iterator" })),
        Answer::ok(&page),
        Answer::Http {
            status: 200,
            date: None,
            body: cut,
        },
        Answer::error(
            "ValidationException",
            "Value 'canary-next' at 'shardIterator'",
        ),
    ]);
    let stream = wire.stream("orders");
    stream.list_shards(&ShardFilter::All, None).await.unwrap();
    let cursor = stream
        .open(&ShardId::from("shardId-0"), &StartAt::TrimHorizon)
        .await
        .unwrap();
    let page = stream.read(&cursor, 10).await.unwrap();
    let cut_off = stream.read(&cursor, 10).await.unwrap_err();
    let refused = stream
        .read(page.next.as_ref().unwrap(), 10)
        .await
        .unwrap_err();

    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("ListShards"), "the log was caught");
    let texts = [
        logged,
        format!("{page:?} {cursor:?}"),
        format!("{cut_off:?} {cut_off}"),
        format!("{refused:?} {refused}"),
    ];
    for secret in [
        "canary-data",
        "canary-key",
        "canary-next",
        "canary-iterator",
    ]
    .into_iter()
    .flat_map(writings)
    {
        for text in &texts {
            assert!(!text.contains(&secret), "{secret} in {text}");
        }
    }
}
