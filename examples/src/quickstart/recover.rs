use std::error::Error;

use aws_sdk_kinesis::types::ShardIteratorType;

use crate::embedded::Embedded;

use super::ledger::Ledger;
use super::line::Line;
use super::producer::Put;

/// Finds out what is in the stream. If a run was killed while it put lines, only the stream itself
/// knows; it is then read, shard by shard.
///
/// # Errors
/// If the stream or the ledger cannot be read, or the stream lacks lines that it had accepted.
pub async fn recover(
    stream: &Embedded,
    ledger: &Ledger,
) -> Result<Put, Box<dyn Error + Send + Sync>> {
    let known = ledger.put()?;
    if !ledger.is_torn()? {
        return Ok(known);
    }
    let mut put = Put::new();
    // Parents come before their children, so the lines of a file are read in order.
    for shard in stream.shards().await? {
        read(stream, shard.shard_id(), &mut put).await?;
    }
    for (key, count) in &known {
        let (path, edition) = key;
        let held = put.get(key).map_or(0, |held| held.lines);
        if held < count.lines {
            let taken = count.lines;
            return Err(format!(
                "the stream had accepted {taken} lines of {path} (edition \
                {edition}) but contains {held}"
            )
            .into());
        }
    }
    ledger.end_put(&put)?;
    Ok(put)
}

async fn read(
    stream: &Embedded,
    shard: &str,
    put: &mut Put,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = stream.client();
    let from = client
        .get_shard_iterator()
        .stream_name(stream.name())
        .shard_id(shard);
    let mut next = from
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?
        .shard_iterator;
    while let Some(iterator) = next {
        let page = client.get_records().shard_iterator(iterator).send().await?;
        for record in page.records() {
            let line = Line::parse(record.data().as_ref());
            if let (Some(Line { edition, text, .. }), Some(path)) = (line, record.partition_key()) {
                put.entry((path.to_owned(), edition)).or_default().add(text);
            }
        }
        let is_at_tip = page.records().is_empty() && page.millis_behind_latest() == Some(0);
        next = page.next_shard_iterator.filter(|_| !is_at_tip);
    }
    Ok(())
}
