use std::error::Error;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::{Clock, SystemClock};
use tokio::task::JoinSet;

use super::STREAM;
use super::producer::LoadProducer;

/// Puts that have no answer yet, at most: a slow answer does not slow the flow.
const IN_FLIGHT: usize = 64;

/// Puts the records one by one, so many a second.
pub(super) async fn flow(
    client: &Client,
    mut producer: LoadProducer,
    rate: u32,
) -> Result<(), Box<dyn Error>> {
    let between = Duration::from_secs(1) / rate.max(1);
    let mut due = SystemClock.now();
    let mut puts = JoinSet::new();
    while let Some(record) = producer.next()? {
        SystemClock.sleep_until(due).await;
        due = due + between;
        let put = client
            .put_record()
            .stream_name(STREAM)
            .data(Blob::new(record.data))
            .partition_key(record.partition_key);
        let put = put.set_explicit_hash_key(
            record
                .explicit_hash_key
                .map(|hash_key| hash_key.to_string()),
        );
        puts.spawn(put.send());
        while puts.len() >= IN_FLIGHT {
            if let Some(put) = puts.join_next().await {
                put??;
            }
        }
        while let Some(put) = puts.try_join_next() {
            put??;
        }
    }
    while let Some(put) = puts.join_next().await {
        put??;
    }
    Ok(())
}
