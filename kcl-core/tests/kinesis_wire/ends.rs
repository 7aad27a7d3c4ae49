//! A worker and answers that say nothing.
#![expect(clippy::disallowed_methods, reason = "a worker in a task of its own")]

use aws_smithy_types::base64;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{BoxError, LeaseTable as _};
use kcl_core::model::LeaseKey;
use kcl_core::processor::{ProcessRecordsInput, ShardEndedInput, ShardRef};
use kcl_core::worker::Event;
use kcl_core::{Failure, RecordProcessor, Worker};
use serde_json::json;
use tokio::sync::mpsc;

use super::wire::{Answer, Wire};

struct Teller(mpsc::UnboundedSender<String>);

impl RecordProcessor for Teller {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            let _ = self
                .0
                .send(String::from_utf8_lossy(&record.data).into_owned());
        }
        Ok(())
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        let _ = self.0.send("the end".to_owned());
        Ok(())
    }
}

/// The next place is missing; the answer is read over, and the shard opened again where it was.
#[tokio::test]
async fn an_answer_that_is_an_empty_object_ends_no_shard() {
    let summary = json!({ "StreamDescriptionSummary": {
        "StreamName": "orders", "StreamARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1_600_000_000.0, "EnhancedMonitoring": [], "OpenShardCount": 1,
    }});
    let shards = json!({ "Shards": [{
        "ShardId": "shardId-000000000000",
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string() },
        "SequenceNumberRange": { "StartingSequenceNumber": "1" },
    }]});
    let page = |sequence: &str, data: &[u8]| {
        let record = json!({ "SequenceNumber": sequence, "PartitionKey": "k", "Data": base64::encode(data) });
        Answer::ok(
            &json!({ "Records": [record], "NextShardIterator": "next", "MillisBehindLatest": 0 }),
        )
    };
    let iterator = || Answer::ok(&json!({ "ShardIterator": "an-iterator" }));
    let wire = Wire::answering([
        Answer::ok(&summary),
        Answer::ok(&shards),
        iterator(),
        page("7", b"first"),
        Answer::ok(&json!({})),
        Answer::ok(&shards),
        iterator(),
        page("9", b"second"),
        Answer::Silence,
    ]);
    let (tell, mut told) = mpsc::unbounded_channel();
    let table = MemoryLeaseTable::new();
    let worker = Worker::builder()
        .stream("orders")
        .application("app")
        .source(wire.stream("orders"))
        .lease_table(table.clone());
    let worker = worker
        .processor(move |_: &ShardRef| Teller(tell.clone()))
        .build()
        .unwrap();
    let (mut events, running) = (worker.events(), worker.clone());
    let run = tokio::spawn(async move { running.run().await });
    assert_eq!(told.recv().await.as_deref(), Some("first"));
    assert_eq!(told.recv().await.as_deref(), Some("second"));
    let refused = loop {
        if let Event::EndRefused { times, .. } = events.next().await.unwrap() {
            break times;
        }
    };
    assert_eq!(refused, 1);
    run.abort();
    let lease = table
        .get(&LeaseKey::single("shardId-000000000000"))
        .await
        .unwrap()
        .unwrap();
    assert!(!lease.checkpoint.is_shard_end(), "{lease:?}");
    let sent = wire.sent();
    let opened: Vec<_> = sent
        .iter()
        .filter(|sent| sent.operation == "GetShardIterator")
        .map(|sent| &sent.body)
        .collect();
    assert_eq!(
        (
            &opened[1]["ShardIteratorType"],
            &opened[1]["StartingSequenceNumber"]
        ),
        (&json!("AT_SEQUENCE_NUMBER"), &json!("7"))
    );
}
