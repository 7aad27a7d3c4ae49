//! A dead letter for tests.

use super::{Discarded, Letter};
use crate::model::{LeaseKey, RawRecord, Record, SequenceNumber, ShardId, ShardRef, Timestamp};

pub(super) fn shard() -> ShardRef {
    let shard = ShardId::new("shardId-000000000000");
    ShardRef::new(
        "orders".parse().unwrap(),
        LeaseKey::single(shard.clone()),
        shard,
    )
}

pub(super) fn record(number: u128, key: &str, data: &[u8]) -> Record {
    Record::from(
        RawRecord::new(SequenceNumber::from_u128(number), key, data.to_vec())
            .arrived_at(Timestamp::from_millis(0)),
    )
}

pub(super) fn letter<'a>(shard: &'a ShardRef, record: &'a Record, error: &'a str) -> Letter<'a> {
    Letter {
        shard,
        record,
        why: Discarded::AttemptsExhausted,
        attempts: 5,
        error: Some(error),
    }
}
