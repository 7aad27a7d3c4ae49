use std::error::Error;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;

use super::client::{client, subscribing_client};
use super::measure::Figures;
use super::{BenchLoad, Reading, STREAM, pushed};

/// The loop that an application would write without a framework: one call or one subscription a
/// shard, nothing kept.
///
/// # Errors
/// When a call fails.
pub async fn bare(
    endpoint: &str,
    load: &BenchLoad,
) -> Result<Figures, Box<dyn Error + Send + Sync>> {
    let client = client(endpoint);
    let shards = client.list_shards().stream_name(STREAM).send().await?;
    let shards = shards
        .shards()
        .iter()
        .map(|shard| shard.shard_id().to_owned());
    let mut readers = tokio::task::JoinSet::new();
    match load.mode {
        Reading::Polling => {
            for shard in shards {
                readers.spawn(poll(client.clone(), shard, load.clone()));
            }
        }
        Reading::FanOut => {
            let (consumer, client) = (
                pushed::consumer(&client).await?,
                subscribing_client(endpoint),
            );
            for shard in shards {
                readers.spawn(pushed::read(
                    client.clone(),
                    consumer.clone(),
                    shard,
                    load.clone(),
                ));
            }
        }
    }
    let (mut records, mut sum) = (0, 0_u64);
    while let Some(read) = readers.join_next().await {
        let (of_shard, sum_of_shard) = read??;
        records += of_shard;
        sum = sum.wrapping_add(sum_of_shard);
    }
    Ok(Figures::of_this_process(records, sum)?)
}

async fn poll(
    client: Client,
    shard: String,
    load: BenchLoad,
) -> Result<(u64, u64), Box<dyn Error + Send + Sync>> {
    let opened = client
        .get_shard_iterator()
        .stream_name(STREAM)
        .shard_id(shard);
    let opened = opened
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?;
    let mut iterator = opened.shard_iterator;
    let (mut records, mut sum) = (0, 0_u64);
    while let Some(at) = iterator {
        let page = client
            .get_records()
            .shard_iterator(at)
            .limit(i32::try_from(load.limit)?)
            .send()
            .await?;
        records += page.records.len() as u64;
        for record in &page.records {
            sum = sum.wrapping_add(load.touched(record.data.as_ref()));
        }
        if records == load.kinesis_records_a_shard() {
            break;
        }
        iterator = page.next_shard_iterator;
    }
    Ok((records, sum))
}
