//! Dead letters in another stream.

use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon;
use kcl_core::handler::{KinesisLetters, RecordContext, Retries, by_key};
use kcl_core::model::Record;
use kcl_core::{BoxError, KinesisStream, MemoryLeaseTable, RecordHandler, Worker};
use kcl_local::stream::LocalStream;

use super::support::{create, id, iterator, put, read, soon, texts};

struct Numbers;

impl RecordHandler for Numbers {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        std::str::from_utf8(&record.data)?.parse::<u32>()?;
        Ok(())
    }
}

#[tokio::test]
async fn a_dead_letter_is_a_record_of_another_stream() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "numbers", 1).await;
    create(&client, "dead", 1).await;
    for text in ["1", "two", "3"] {
        put(&client, "numbers", "customer", text.as_bytes()).await;
    }
    let letters = KinesisLetters::new(&client, "dead");
    let retries = Retries::attempts(2)
        .pause(Duration::from_millis(1), Duration::from_millis(2))
        .dead_letter(letters);
    let worker = Worker::builder()
        .stream("numbers")
        .source(KinesisStream::new(&client, "numbers".parse().unwrap()))
        .application("letters")
        .lease_table(MemoryLeaseTable::new())
        .processor(by_key(4, Numbers).retries(retries))
        .until_caught_up()
        .build()
        .unwrap();
    worker.run().await.unwrap();
    let page = read(
        &client,
        &iterator(&client, "dead", &id(0), TrimHorizon).await,
    )
    .await;
    assert_eq!(page.records.len(), 1);
    let record = &page.records[0];
    assert_eq!(record.partition_key.as_deref(), Some("customer"));
    let letter: serde_json::Value = serde_json::from_str(&texts(&page)[0]).unwrap();
    assert_eq!(
        (&letter["data"], &letter["attempts"], &letter["why"]),
        (&"dHdv".into(), &2.into(), &"attempts_exhausted".into())
    );
}

/// The checkpoint passes no record whose letter the stream has not taken.
#[tokio::test]
async fn a_letter_that_no_stream_takes_is_not_passed() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "numbers", 1).await;
    put(&client, "numbers", "customer", b"two").await;
    for (dead, said) in [
        ("absent", "the dead letter was not taken"),
        ("numbers", "of the stream numbers that is read"),
    ] {
        let letters = KinesisLetters::new(&client, dead);
        let table = MemoryLeaseTable::new();
        let worker = Worker::builder()
            .stream("numbers")
            .source(KinesisStream::new(&client, "numbers".parse().unwrap()))
            .application("letters")
            .lease_table(table.clone())
            .processor(by_key(4, Numbers).retries(Retries::attempts(1).dead_letter(letters)))
            .build()
            .unwrap();
        let mut events = worker.events();
        let refused = async move {
            while let Some(event) = events.next().await {
                if event.to_string().contains(said) {
                    return;
                }
            }
        };
        let ended = soon(worker.run_until(refused, Duration::from_secs(5)));
        ended.await.unwrap();
        for shard in worker.status().shards.values() {
            assert_eq!(shard.records, 0);
        }
    }
}
