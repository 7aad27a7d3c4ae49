//! The rows with which the points begin.
//!
//! Every row has a value in each of its attributes, because a table that forgets to store one of
//! them, or removes one that a write does not name, must not go unnoticed. The values are as large
//! and as odd as the service and the KCL produce them.
//!
//! | row | owner | checkpoint owner | token | means |
//! |---|---|---|---|---|
//! | [`held`] | A | - | A's | A holds the lease |
//! | [`asked_for`] | B | A | A's | A holds it, and B has requested it |
//! | [`passed_on`] | B | - | - | A has handed it over, and B has not claimed it yet |
//! | [`free`] | - | - | - | no worker holds it |

use bytes::Bytes;

use crate::model::{
    Assignee, Checkpoint, Facts, HashKeyRange, Lease, LeaseKey, Pending, Position, SequenceNumber,
    ShardId, Throughput, Timestamp, Token, WorkerId,
};

/// The key of a lease in an application that reads one stream.
pub(super) fn key(shard: &str) -> LeaseKey {
    LeaseKey::single(shard)
}

/// The worker that holds the rows below.
pub(super) fn owner() -> WorkerId {
    "worker-a".into()
}

/// The worker that wants them.
pub(super) fn other() -> WorkerId {
    "worker-b".into()
}

/// A token of a tenancy. Workers draw them at random; here they are readable.
pub(super) fn token(text: &str) -> Token {
    text.into()
}

/// Shard ids, in the order given: parents and children are sets, but a store may keep an order.
pub(super) fn shards(names: &[&str]) -> Vec<ShardId> {
    names.iter().map(|name| ShardId::from(*name)).collect()
}

/// A position with 56 digits, as many as the service uses today. `place` orders them.
pub(super) fn at(place: u64, sub_sequence: u64) -> Checkpoint {
    let digits = format!("4964{place:052}");
    position(&digits, sub_sequence)
}

/// A position with any digits, for values that do not fit into a machine integer.
pub(super) fn position(digits: &str, sub_sequence: u64) -> Checkpoint {
    // The suite's own text, so it is valid; otherwise, zero would make the comparison that follows
    // fail.
    let sequence = digits.parse().unwrap_or(SequenceNumber::from_u128(0));
    Position::new(sequence, sub_sequence).into()
}

/// A held lease with a value in every attribute: attributes that a write does not name have to
/// stay.
pub(super) fn held() -> Lease {
    Lease {
        counter: 41,
        owner_switches: 3,
        pending: Some(Pending {
            at: at(20, 2),
            state: Some(Bytes::from_static(b"state")),
        }),
        parents: shards(&["shardId-000000000001", "shardId-000000000002"]),
        children: shards(&["shardId-000000000008", "shardId-000000000009"]),
        hash_range: Some(HashKeyRange::WHOLE),
        paused_at: Some(Timestamp::from_millis(1_690_000_000_321)),
        assigned_to: Some(Assignee::new(other(), token("process-1"))),
        throughput: Some(Throughput {
            bytes: 1_234_567,
            records: 89,
        }),
        facts: Facts {
            start_at: Some(Timestamp::from_millis(1_700_000_000_123)),
            began_at: Some(Timestamp::from_millis(1_650_000_000_789)),
            stream_arn: Some("arn:aws:kinesis:eu-west-1:123456789012:stream/orders".into()),
            stream_created_at: Some(Timestamp::from_millis(1_600_000_000_456)),
        },
        ..Lease::new(key("shardId-000000000003"), at(10, 1)).owned_by(owner(), token("token-1"))
    }
}

/// Its facts after a checkpoint: the shard is no longer opened at the time at which it began.
pub(super) fn passed() -> Facts {
    Facts {
        start_at: None,
        ..held().facts
    }
}

/// The same lease after `other` has requested it.
pub(super) fn asked_for() -> Lease {
    Lease {
        owner: Some(other()),
        checkpoint_owner: Some(owner()),
        ..held()
    }
}

/// The same lease after it was handed over to `other`, which has not claimed it.
pub(super) fn passed_on() -> Lease {
    Lease {
        owner: Some(other()),
        token: None,
        ..held()
    }
}

/// The same lease, free.
pub(super) fn free() -> Lease {
    Lease {
        owner: None,
        token: None,
        ..held()
    }
}
