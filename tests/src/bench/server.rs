use std::error::Error;
use std::io::Write;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ConsumerStatus, PutRecordsRequestEntry};
use kcl_core::model::HashKeyRange;
use kcl_local::stream::LocalStream;

use super::client::client;
use super::flow::flow;
use super::producer::LoadProducer;
use super::{BARE_CONSUMER, BenchLoad, Reading, STREAM, WORKER_CONSUMER};

/// Valid for 127.0.0.1; the clients are told to trust [`AUTHORITY`](super::process::AUTHORITY).
const CERTIFICATE: &[u8] = include_bytes!("../../../kcl-local/tests/stream/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../../kcl-local/tests/stream/tls/server.key.pem");

/// Serves a stream with the load until standard input ends. The first line of its output is the
/// endpoint. With a rate, the records are put one by one from then on, so many a second; else they
/// are all there before.
///
/// # Errors
/// When the server does not start or a record is not taken.
pub async fn serve(load: &BenchLoad, rate: Option<u32>) -> Result<(), Box<dyn Error>> {
    // The next client may subscribe as soon as the one before it has ended.
    let server = LocalStream::builder().resubscribe_after(std::time::Duration::ZERO);
    let server = if load.tls {
        server.tls(CERTIFICATE, KEY)
    } else {
        server
    };
    let server = server.start().await?;
    let client = client(server.endpoint());
    client
        .create_stream()
        .stream_name(STREAM)
        .shard_count(i32::try_from(load.shards)?)
        .send()
        .await?;
    let ranges = ranges(&client).await?;
    let producer = if load.records > 0 {
        Some(LoadProducer::new(load, &ranges)?)
    } else {
        None
    };
    if load.mode == Reading::FanOut {
        register(&client).await?;
    }
    match producer.map(|producer| (rate, producer)) {
        None => {
            say_where(&server)?;
            end_of_input().await?;
        }
        Some((None, producer)) => {
            fill(&client, producer).await?;
            say_where(&server)?;
            end_of_input().await?;
        }
        Some((Some(rate), producer)) => {
            say_where(&server)?;
            tokio::select! {
                biased;
                ended = end_of_input() => ended?,
                flowed = flow(&client, producer, rate) => {
                    flowed?;
                    end_of_input().await?;
                }
            }
        }
    }
    server.stop().await;
    Ok(())
}

fn say_where(server: &LocalStream) -> std::io::Result<()> {
    println!("{}", server.endpoint());
    std::io::stdout().flush()
}

/// The parent's death ends this process too.
async fn end_of_input() -> std::io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        let _ = tell.send(std::io::stdin().read_line(&mut String::new()));
    })?;
    told.await.map_or(Ok(()), |read| read.map(|_| ()))
}

/// 500 records and 5 MiB a call: the service's limits. The latter with some room.
const A_CALL: usize = 500;
const BYTES_A_CALL: usize = 4 * 1024 * 1024;

async fn fill(client: &Client, mut producer: LoadProducer) -> Result<(), Box<dyn Error>> {
    let (mut call, mut bytes) = (Vec::new(), 0);
    while let Some(record) = producer.next()? {
        if !call.is_empty() && (call.len() == A_CALL || bytes + record.data.len() > BYTES_A_CALL) {
            put(client, std::mem::take(&mut call)).await?;
            bytes = 0;
        }
        bytes += record.data.len();
        call.push(
            PutRecordsRequestEntry::builder()
                .data(Blob::new(record.data))
                .partition_key(record.partition_key)
                .set_explicit_hash_key(
                    record
                        .explicit_hash_key
                        .map(|hash_key| hash_key.to_string()),
                )
                .build()?,
        );
    }
    put(client, call).await
}

async fn put(client: &Client, records: Vec<PutRecordsRequestEntry>) -> Result<(), Box<dyn Error>> {
    if records.is_empty() {
        return Ok(());
    }
    let answer = client
        .put_records()
        .stream_name(STREAM)
        .set_records(Some(records))
        .send()
        .await?;
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
            let ranges = shards
                .shards()
                .iter()
                .filter_map(|shard| shard.hash_key_range());
            let ranges = ranges.map(|range| {
                HashKeyRange::parse(range.starting_hash_key(), range.ending_hash_key())
            });
            let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
            if !ranges.is_empty() {
                return Ok(ranges);
            }
        }
        tokio::task::yield_now().await;
    }
}

/// A consumer for each client, ACTIVE.
async fn register(client: &Client) -> Result<(), Box<dyn Error>> {
    let stream = client
        .describe_stream_summary()
        .stream_name(STREAM)
        .send()
        .await?;
    let stream = stream
        .stream_description_summary
        .ok_or("no description of the stream")?
        .stream_arn;
    for name in [BARE_CONSUMER, WORKER_CONSUMER] {
        client
            .register_stream_consumer()
            .stream_arn(&stream)
            .consumer_name(name)
            .send()
            .await?;
        loop {
            let described = client
                .describe_stream_consumer()
                .stream_arn(&stream)
                .consumer_name(name)
                .send()
                .await?;
            let status = described
                .consumer_description
                .map(|consumer| consumer.consumer_status);
            if status == Some(ConsumerStatus::Active) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
