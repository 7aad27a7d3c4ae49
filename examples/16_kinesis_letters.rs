//! Dead letters in another Kinesis stream, and their replay: once the bug is fixed, the same
//! handler receives the records in them, from a worker that reads that stream.
//!
//! `SqsLetters` of the crate `kcl-sqs` puts the same letters into an SQS queue.
//!
//! ```text
//! cargo run --example 16_kinesis_letters
//! ```

use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{DecodedHandler, KinesisLetters, RecordContext, Retries, by_key, json};
use kcl_core::model::{RawRecord, Record};
use kcl_core::{BoxError, MemoryLeaseTable, RecordHandler};
use serde::Deserialize;

/// Adds amounts up. With `words`, as in a later release, it can read more of them.
struct Amounts {
    words: bool,
}

impl RecordHandler for Amounts {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        let amount = match std::str::from_utf8(&record.data)? {
            "three" if self.words => 3,
            text => text.parse::<u64>()?,
        };
        println!("{} pays {amount}", record.partition_key);
        Ok(())
    }
}

/// What is needed of a letter.
#[derive(Deserialize)]
struct Letter {
    sequence_number: String,
    partition_key: String,
    error: String,
    data: String,
}

/// Gives the records in letters to the handler that had them first.
struct Replay(Amounts);

impl DecodedHandler for Replay {
    type Value = Letter;

    async fn handle(&self, letter: Letter, _: &Record, at: &RecordContext) -> Result<(), BoxError> {
        println!("dead: {}", letter.error);
        let data = base64_simd::STANDARD.decode_to_vec(letter.data)?;
        let number = letter.sequence_number.parse()?;
        let record = Record::from(RawRecord::new(number, &*letter.partition_key, data));
        self.0.handle(&record, at).await
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("amounts", 1, 0).await?;
    let dead = Demo::start("amounts-dead", 1, 0).await?;
    for text in ["1", "three", "4"] {
        demo.put("customer-7", text).await?;
    }
    let retries = Retries::attempts(3)
        .pause(Duration::from_millis(20), Duration::from_secs(1))
        .dead_letter(KinesisLetters::new(dead.client(), "amounts-dead"));
    let amounts = by_key(16, Amounts { words: false }).retries(retries);
    let replay = by_key(16, json(Replay(Amounts { words: true })));
    let worker = demo.builder("amounts")?.processor(amounts);
    let worker = worker.lease_table(MemoryLeaseTable::new());
    worker.until_caught_up().build()?.run().await?;
    let worker = dead.builder("replay")?.processor(replay);
    let worker = worker.lease_table(MemoryLeaseTable::new());
    worker.until_caught_up().build()?.run().await?;
    Ok(())
}
