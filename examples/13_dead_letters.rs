//! Records that cannot be read go to a file of dead letters after three attempts, each before the
//! checkpoint passes it; then the records of the file are processed by the same code.
//!
//! ```text
//! cargo run --example 13_dead_letters
//! ```

use std::fs;
use std::time::Duration;

use examples::demo::Demo;
use kcl_core::handler::{JsonLines, RecordContext, Retries, by_key};
use kcl_core::model::Record;
use kcl_core::{BoxError, MemoryLeaseTable, RecordHandler, Worker};
use serde_json::Value;

/// Reads amounts. A later release reads more of them than this one.
struct Amounts {
    words: bool,
}

impl Amounts {
    fn read(&self, text: &str) -> Result<(), BoxError> {
        let amount = if self.words && text == "three" {
            3
        } else {
            text.parse::<u64>()?
        };
        println!("amount {amount}");
        Ok(())
    }
}

impl RecordHandler for Amounts {
    async fn handle(&self, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
        self.read(std::str::from_utf8(&record.data)?)
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = Demo::start("amounts", 1, 0).await?;
    for text in ["1", "2", "three", "4"] {
        demo.put("customer", text).await?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("amounts.dead.jsonl");
    let retries = Retries::attempts(3)
        .pause(Duration::from_millis(20), Duration::from_secs(1))
        .dead_letter(JsonLines::append(&file)?);
    let worker = Worker::builder()
        .stream("amounts")
        .source(demo.source()?)
        .application("dead-letters")
        .lease_table(MemoryLeaseTable::new())
        .until_caught_up()
        .processor(by_key(16, Amounts { words: false }).retries(retries))
        .build()?;
    worker.run().await?;
    for line in fs::read_to_string(&file)?.lines() {
        // A line that a process did not finish is no letter: that one was written again.
        let Ok(letter) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        println!(
            "dead: {}, after {} attempts",
            letter["error"], letter["attempts"]
        );
        let data = letter["data"].as_str().ok_or("a letter without data")?;
        // With the defect mended, what was set aside is read.
        Amounts { words: true }.read(&decode(data)?)?;
    }
    Ok(())
}

/// The text of a field in Base64.
fn decode(data: &str) -> Result<String, BoxError> {
    Ok(String::from_utf8(
        base64_simd::STANDARD.decode_to_vec(data)?,
    )?)
}
