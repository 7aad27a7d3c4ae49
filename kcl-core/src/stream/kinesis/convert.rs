//! From the SDK's types to the ones of this crate, and back for what a call is given.
//!
//! What the service promises and an answer lacks is an error only where a reader would go wrong
//! without it:
//!
//! | what is missing or odd | what is made of it |
//! |---|---|
//! | a record's sequence number | an error: the record has no place in its shard |
//! | a listed shard's hash keys | an error: whether they are read could not be told |
//! | a record's key, or its arrival time | an empty key; no time |
//! | the description of one child shard | no child is known; the listing tells them |
//! | a consumer's status that has no name here | `Creating`: it is waited for |

use std::time::Duration;

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    self, EncryptionType, ShardFilterType, ShardIteratorType, StreamDescriptionSummary,
};

use crate::model::{
    ChildShard, Encryption, HashKeyRange, RawRecord, SequenceNumber, Shard, ShardId, Timestamp,
};
use crate::stream::{
    Consumer, ConsumerArn, ConsumerStatus, Error, ShardFilter, StartAt, StreamDescription,
};

use super::classify::KinesisOperation;
use super::failure::malformed;

/// The record as we know it. Its data is the buffer that the SDK made.
pub(super) fn raw_record(
    operation: KinesisOperation,
    record: types::Record,
) -> Result<RawRecord, Error> {
    let sequence = sequence_number(operation, &record.sequence_number)?;
    let encryption = match record.encryption_type {
        Some(EncryptionType::Kms) => Encryption::Kms,
        _ => Encryption::None,
    };
    // It is no error where one is missing: an empty key has a hash key too, and nobody else would
    // deliver the record.
    // The service gives every record its key.
    let key = record.partition_key.unwrap_or_default();
    let mut raw = RawRecord::new(sequence, key, record.data.into_bytes()).encrypted(encryption);
    raw.arrived_at = record.approximate_arrival_timestamp.and_then(timestamp);
    Ok(raw)
}

/// The records as we know them, in a buffer of just the size: collecting would keep the SDK's,
/// which has grown by doubling.
pub(super) fn raw_records(
    operation: KinesisOperation,
    records: Vec<types::Record>,
) -> Result<Vec<RawRecord>, Error> {
    let mut raw = Vec::with_capacity(records.len());
    for record in records {
        // One bad record refuses the page: without it the page would look whole, and the checkpoint
        // would pass the record.
        raw.push(raw_record(operation, record)?);
    }
    Ok(raw)
}

/// The shards that follow at the end of one. Nothing when one of them is not described well: the
/// list of shards tells them too, and to know none is better than to know some.
pub(super) fn children(shards: Vec<types::ChildShard>) -> Vec<ChildShard> {
    let child = |shard: types::ChildShard| {
        let parents = shard.parent_shards.into_iter().map(ShardId::from).collect();
        Some(ChildShard::new(
            shard.shard_id,
            parents,
            hash_range(shard.hash_key_range.as_ref())?,
        ))
    };
    shards
        .into_iter()
        .map(child)
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// The shard as it is listed. One without hash keys is an error: whether its keys are read by
/// others could not be told.
///
/// It is closed if its last sequence number is known: the service gives an open shard none.
pub(super) fn shard(shard: types::Shard) -> Result<Shard, Error> {
    let Some(range) = hash_range(shard.hash_key_range.as_ref()) else {
        let message = format!("{} is listed without its hash keys", shard.shard_id);
        return Err(malformed(KinesisOperation::ListShards, message));
    };
    // A split names one parent. A merge names two, and the second is what the service calls
    // adjacent.
    let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id]
        .into_iter()
        .flatten();
    let mut known = Shard::new(shard.shard_id, range).with_parents(parents.map(ShardId::from));
    if let Some(sequences) = shard.sequence_number_range {
        known.starting_sequence = Some(sequence_number(
            KinesisOperation::ListShards,
            &sequences.starting_sequence_number,
        )?);
        // Only whether there is one: the reader learns from the shard itself where it ends.
        known.closed = sequences.ending_sequence_number.is_some();
    }
    Ok(known)
}

/// The stream as it is described. The time of its creation tells it from one of the same name that
/// was deleted, so it must be there.
pub(super) fn description(summary: StreamDescriptionSummary) -> Result<StreamDescription, Error> {
    let bad = |what| {
        malformed(
            KinesisOperation::DescribeStreamSummary,
            format!("the stream is described without its {what}"),
        )
    };
    let created_at =
        timestamp(summary.stream_creation_timestamp).ok_or_else(|| bad("time of creation"))?;
    let hours = u64::try_from(summary.retention_period_hours).map_err(|_| bad("retention"))?;
    Ok(StreamDescription::new(
        summary.stream_arn,
        created_at,
        Duration::from_hours(hours),
    ))
}

/// The consumer as it is described. A status that is not known yet is taken for one that has to be
/// waited out.
pub(super) fn consumer(consumer: &types::ConsumerDescription) -> Result<Consumer, Error> {
    let operation = KinesisOperation::DescribeStreamConsumer;
    known_consumer(
        operation,
        &consumer.consumer_arn,
        &consumer.consumer_name,
        &consumer.consumer_status,
        consumer.consumer_creation_timestamp,
    )
}

/// The consumer as it was registered.
pub(super) fn new_consumer(consumer: &types::Consumer) -> Result<Consumer, Error> {
    let operation = KinesisOperation::RegisterStreamConsumer;
    known_consumer(
        operation,
        &consumer.consumer_arn,
        &consumer.consumer_name,
        &consumer.consumer_status,
        consumer.consumer_creation_timestamp,
    )
}

/// What both descriptions of a consumer have in common.
fn known_consumer(
    operation: KinesisOperation,
    arn: &str,
    name: &str,
    status: &types::ConsumerStatus,
    created_at: DateTime,
) -> Result<Consumer, Error> {
    let status = match status {
        types::ConsumerStatus::Active => ConsumerStatus::Active,
        types::ConsumerStatus::Deleting => ConsumerStatus::Deleting,
        // Also what the SDK says for one that the answer lacks.
        _ => ConsumerStatus::Creating,
    };
    let bad = |what| {
        malformed(
            operation,
            format!("the consumer is described without its {what}"),
        )
    };
    // What is missing in an answer is empty in the SDK.
    if arn.is_empty() || name.is_empty() {
        return Err(bad("ARN and name"));
    }
    let created_at = timestamp(created_at).ok_or_else(|| bad("time of creation"))?;
    Ok(Consumer::new(
        ConsumerArn::new(arn),
        name,
        status,
        created_at,
    ))
}

/// Where a subscription begins.
pub(super) fn starting_position(at: &StartAt) -> Option<types::StartingPosition> {
    let position = |kind| types::StartingPosition::builder().r#type(kind);
    let position = match at {
        StartAt::TrimHorizon => position(ShardIteratorType::TrimHorizon),
        StartAt::Timestamp(time) => {
            position(ShardIteratorType::AtTimestamp).timestamp(date_time(*time))
        }
        StartAt::Sequence(sequence) => {
            position(ShardIteratorType::AtSequenceNumber).sequence_number(sequence.to_string())
        }
        StartAt::AfterSequence(sequence) => {
            position(ShardIteratorType::AfterSequenceNumber).sequence_number(sequence.to_string())
        }
    };
    // Its type is the only field that it needs.
    position.build().ok()
}

/// The service's filter; nothing for all shards, which is what it lists unasked.
pub(super) fn shard_filter(filter: &ShardFilter) -> Option<types::ShardFilter> {
    let (kind, at) = match filter {
        ShardFilter::All => return None,
        ShardFilter::AtLatest => (ShardFilterType::AtLatest, None),
        ShardFilter::AtTrimHorizon => (ShardFilterType::AtTrimHorizon, None),
        ShardFilter::AtTimestamp(at) => (ShardFilterType::AtTimestamp, Some(date_time(*at))),
    };
    // Its type is the only field that it needs.
    types::ShardFilter::builder()
        .r#type(kind)
        .set_timestamp(at)
        .build()
        .ok()
}

/// A time for the service, to the millisecond.
pub(super) fn date_time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

/// To the nearest millisecond: times come as seconds in floating point, and 0.123 may be a little
/// less than 123 ms.
fn timestamp(at: DateTime) -> Option<Timestamp> {
    let millis = (at.as_nanos() + 500_000).div_euclid(1_000_000);
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// Both bounds, if they are numbers in order.
fn hash_range(range: Option<&types::HashKeyRange>) -> Option<HashKeyRange> {
    let range = range?;
    HashKeyRange::parse(&range.starting_hash_key, &range.ending_hash_key).ok()
}

/// A number that the service promises. Without it a record has no place in its shard.
fn sequence_number(operation: KinesisOperation, text: &str) -> Result<SequenceNumber, Error> {
    text.parse().map_err(|error| {
        malformed(operation, "the answer holds an invalid sequence number").caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::Blob;
    use bytes::Bytes;

    use super::*;
    use crate::stream::ErrorKind;

    #[test]
    fn a_record_keeps_the_buffer_that_the_sdk_made() {
        let decoded = vec![7; 1000];
        let buffer = decoded.as_ptr();
        let record = types::Record::builder()
            .sequence_number("1")
            .partition_key("k")
            .data(Blob::new(decoded))
            .build()
            .unwrap();
        let raw = raw_record(KinesisOperation::GetRecords, record).unwrap();
        assert_eq!(raw.data.as_ptr(), buffer);
        assert_eq!(raw.data, Bytes::from(vec![7; 1000]));
    }

    #[test]
    fn a_sequence_number_that_is_none_is_fatal_and_says_so() {
        let record = types::Record::builder()
            .sequence_number("LATEST")
            .partition_key("k")
            .data(Blob::new([]))
            .build()
            .unwrap();
        let error = raw_record(KinesisOperation::GetRecords, record).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fatal);
        let cause = std::error::Error::source(&error).unwrap();
        assert!(
            cause
                .to_string()
                .contains("invalid sequence number `LATEST`"),
            "{cause}"
        );
    }
}
