use std::error::Error;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream};

use super::{BARE_CONSUMER, BenchLoad, STREAM};

/// The ARN of the bare loop's consumer.
pub(super) async fn consumer(client: &Client) -> Result<String, Box<dyn Error + Send + Sync>> {
    let stream = client
        .describe_stream_summary()
        .stream_name(STREAM)
        .send()
        .await?;
    let stream = stream
        .stream_description_summary
        .ok_or("no description of the stream")?
        .stream_arn;
    let described = client
        .describe_stream_consumer()
        .stream_arn(stream)
        .consumer_name(BARE_CONSUMER)
        .send()
        .await?;
    Ok(described
        .consumer_description
        .ok_or("no description of the consumer")?
        .consumer_arn)
}

/// Subscribes to a shard, again whenever the subscription has ended, until so many records have
/// come. Returns how many did, and the sum over their bytes.
pub(super) async fn read(
    client: Client,
    consumer: String,
    shard: String,
    load: BenchLoad,
) -> Result<(u64, u64), Box<dyn Error + Send + Sync>> {
    let wanted = load.kinesis_records_a_shard();
    let mut at = StartingPosition::builder()
        .r#type(ShardIteratorType::TrimHorizon)
        .build()?;
    let (mut records, mut sum) = (0, 0_u64);
    loop {
        let subscribed = client
            .subscribe_to_shard()
            .consumer_arn(&consumer)
            .shard_id(&shard)
            .starting_position(at.clone());
        let mut events = subscribed.send().await?.event_stream;
        while let Some(event) = events.recv().await? {
            let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else {
                continue;
            };
            records += event.records.len() as u64;
            for record in &event.records {
                sum = sum.wrapping_add(load.touched(record.data.as_ref()));
            }
            if records == wanted || event.continuation_sequence_number.is_empty() {
                return Ok((records, sum));
            }
            let after = StartingPosition::builder().r#type(ShardIteratorType::AfterSequenceNumber);
            at = after
                .sequence_number(event.continuation_sequence_number)
                .build()?;
        }
    }
}
