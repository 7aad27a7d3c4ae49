//! Records that cannot be parsed are written to a dead-letter file after three attempts, before the
//! checkpoint passes them. Afterwards, the same code processes the records of that file.
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

/// Parses amounts. With `words`, as in a later release, it can parse more of them.
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
        // An incomplete line is not a letter: a process died while writing it, and that letter was
        // written again.
        let Ok(letter) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (error, attempts) = (&letter["error"], &letter["attempts"]);
        println!("dead: {error}, after {attempts} attempts");
        let data = letter["data"].as_str().ok_or("a letter without data")?;
        // With the bug fixed, the dead letter can be parsed.
        Amounts { words: true }.read(&decode(data)?)?;
    }
    Ok(())
}

/// Decodes a Base64 field to text.
fn decode(data: &str) -> Result<String, BoxError> {
    let bytes = base64_simd::STANDARD.decode_to_vec(data)?;
    Ok(String::from_utf8(bytes)?)
}
