use std::error::Error;
use std::io::Write;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_local::stream::LocalStream;

use super::client::client;
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

/// 500 records a call and 5 MiB: the service's limits.
const A_CALL: usize = 500;

async fn fill(endpoint: &str, load: &Load) -> Result<(), Box<dyn Error>> {
    let client = client(endpoint);
    client.create_stream().stream_name(STREAM).shard_count(i32::try_from(load.shards)?).send().await?;
    let ranges = ranges(&client).await?;
    let mut content: Vec<u8> = (0..load.size).map(|n| b'a' + (n % 26) as u8).collect();
    let mut put = 0;
    while put < load.records {
        let a_call = A_CALL.min(4 * 1024 * 1024 / load.size.max(1)).max(1) as u64;
        let records: Result<Vec<_>, _> = (put..load.records.min(put + a_call))
            .map(|n| {
                let digits = format!("{n:012}");
                let head = digits.len().min(content.len());
                content[..head].copy_from_slice(&digits.as_bytes()[..head]);
                // Spread evenly: every shard has the same work.
                let hash = &ranges[usize::try_from(n).unwrap_or(0) % ranges.len()];
                PutRecordsRequestEntry::builder()
                    .data(Blob::new(content.clone()))
                    .partition_key(format!("key-{}", n % 1000))
                    .explicit_hash_key(hash)
                    .build()
            })
            .collect();
        let records = records?;
        put += records.len() as u64;
        let answer = client.put_records().stream_name(STREAM).set_records(Some(records)).send().await?;
        if let Some(failed) = answer.failed_record_count().filter(|failed| *failed > 0) {
            return Err(format!("{failed} records were not taken").into());
        }
    }
    Ok(())
}

/// The first hash key of each shard.
async fn ranges(client: &aws_sdk_kinesis::Client) -> Result<Vec<String>, Box<dyn Error>> {
    loop {
        let shards = client.list_shards().stream_name(STREAM).send().await;
        if let Ok(shards) = shards {
            let ranges = shards.shards().iter().filter_map(|shard| shard.hash_key_range());
            let starts: Vec<_> = ranges.map(|range| range.starting_hash_key().to_owned()).collect();
            if !starts.is_empty() {
                return Ok(starts);
            }
        }
        tokio::task::yield_now().await;
    }
}
