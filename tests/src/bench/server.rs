use std::error::Error;
use std::io::Write;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_core::model::HashKeyRange;
use kcl_local::stream::LocalStream;

use super::client::client;
use super::producer::Producer;
use super::{Load, STREAM};

/// Serves a stream with the load in it until standard input ends. The first line of its output is the endpoint.
///
/// # Errors
/// When the server does not start or a record is not taken.
pub async fn serve(load: &Load) -> Result<(), Box<dyn Error>> {
    let server = LocalStream::start().await?;
    fill(server.endpoint(), load).await?;
    println!("{}", server.endpoint());
    std::io::stdout().flush()?;
    // The parent's death ends this process too.
    let mut end = String::new();
    std::io::stdin().read_line(&mut end)?;
    server.stop().await;
    Ok(())
}

/// 500 records and 5 MiB a call: the service's limits. The latter with some room.
const A_CALL: usize = 500;
const BYTES_A_CALL: usize = 4 * 1024 * 1024;

async fn fill(endpoint: &str, load: &Load) -> Result<(), Box<dyn Error>> {
    let client = client(endpoint);
    client.create_stream().stream_name(STREAM).shard_count(i32::try_from(load.shards)?).send().await?;
    let mut producer = Producer::new(load, &ranges(&client).await?)?;
    let (mut call, mut bytes) = (Vec::new(), 0);
    while let Some(record) = producer.next()? {
        if !call.is_empty() && (call.len() == A_CALL || bytes + record.data.len() > BYTES_A_CALL) {
            put(&client, std::mem::take(&mut call)).await?;
            bytes = 0;
        }
        bytes += record.data.len();
        call.push(
            PutRecordsRequestEntry::builder()
                .data(Blob::new(record.data))
                .partition_key(record.partition_key)
                .set_explicit_hash_key(record.explicit_hash_key.map(|hash_key| hash_key.to_string()))
                .build()?,
        );
    }
    put(&client, call).await
}

async fn put(client: &Client, records: Vec<PutRecordsRequestEntry>) -> Result<(), Box<dyn Error>> {
    if records.is_empty() {
        return Ok(());
    }
    let answer = client.put_records().stream_name(STREAM).set_records(Some(records)).send().await?;
    match answer.failed_record_count() {
        Some(failed) if failed > 0 => Err(format!("{failed} records were not taken").into()),
        _ => Ok(()),
    }
}

/// The hash keys of each shard.
async fn ranges(client: &Client) -> Result<Vec<HashKeyRange>, Box<dyn Error>> {
    loop {
        let shards = client.list_shards().stream_name(STREAM).send().await;
        if let Ok(shards) = shards {
            let ranges = shards.shards().iter().filter_map(|shard| shard.hash_key_range());
            let ranges = ranges.map(|range| HashKeyRange::parse(range.starting_hash_key(), range.ending_hash_key()));
            let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
            if !ranges.is_empty() {
                return Ok(ranges);
            }
        }
        tokio::task::yield_now().await;
    }
}
