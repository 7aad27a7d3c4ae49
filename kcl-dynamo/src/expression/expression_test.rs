use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use kcl_core::lease::{Expect, Write};
use kcl_core::model::{
    Checkpoint, HashKeyRange, Lease, LeaseKey, Pending, Position, SequenceNumber,
};

use super::*;

fn at(sequence: u128, sub: u64) -> Checkpoint {
    Position::new(SequenceNumber::from_u128(sequence), sub).into()
}

fn held() -> Lease {
    let mut row = Lease::new(LeaseKey::single("s"), at(10, 1)).owned_by("a".into(), "t".into());
    row.counter = 41;
    row
}

fn value(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("'{text}'"),
        AttributeValue::N(number) => number.clone(),
        AttributeValue::B(bytes) => format!("{:?}", bytes.as_ref()),
        AttributeValue::Ss(set) => format!("{set:?}"),
        other => format!("{other:?}"),
    }
}

/// An expression with its placeholders filled in: what DynamoDB sees.
fn filled(parts: &Parts, text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    // In a single pass: a value that was filled in may look like a placeholder itself.
    while let Some(begin) = rest.find(['#', ':']) {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest[begin + 1..]
            .find(|c| !is_part(c))
            .map_or(rest.len(), |length| begin + 1 + length);
        let name = &rest[begin..end];
        filled.push_str(&rest[..begin]);
        match parts.names.get(name) {
            Some(attribute) => filled.push_str(attribute),
            None => filled.push_str(&value(&parts.values[name])),
        }
        rest = &rest[end..];
    }
    filled + rest
}

fn condition(expect: &Expect) -> String {
    let mut parts = Parts::default();
    let text = expected(&mut parts, expect);
    filled(&parts, &text)
}

fn change(write: &Write, key: &LeaseKey) -> String {
    let mut parts = Parts::default();
    let text = edited(&mut parts, key, &write.expect, &write.edits())
        .text()
        .unwrap();
    filled(&parts, &text)
}

#[test]
fn each_write_of_the_protocol_is_one_condition_and_one_change() {
    let held = held();
    let rows = [
        (
            Write::take(&held, "b".into(), "u".into()),
            "leaseCounter = 41",
            "SET leaseCounter = leaseCounter + 1, leaseOwner = 'b', rsToken = 'u', rsHolder = 'b', ownerSwitchesSinceCheckpoint = \
             if_not_exists(ownerSwitchesSinceCheckpoint, 0) + 1 REMOVE checkpointOwner",
        ),
        (
            Write::claim(&held, "a".into(), "u".into()),
            "leaseCounter = 41 AND leaseOwner = 'a' AND attribute_not_exists(checkpointOwner)",
            "SET leaseCounter = leaseCounter + 1, rsToken = 'u', rsHolder = 'a'",
        ),
        (
            Write::renew(&held),
            "leaseCounter = 41 AND rsToken = 't'",
            "SET leaseCounter = leaseCounter + 1",
        ),
        (
            Write::checkpoint(&held, at(11, 0)),
            "leaseCounter = 41 AND rsToken = 't' AND checkpoint = '10' AND \
             checkpointSubSequenceNumber = 1",
            "SET leaseCounter = leaseCounter + 1, ownerSwitchesSinceCheckpoint = 0, checkpoint = '11', \
             checkpointSubSequenceNumber = 0 REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState",
        ),
        (
            Write::prepare(
                &held,
                Pending {
                    at: at(12, 3),
                    state: Some(Bytes::from_static(&[7])),
                },
            ),
            "leaseCounter = 41 AND rsToken = 't' AND checkpoint = '10' AND \
             checkpointSubSequenceNumber = 1",
            "SET leaseCounter = leaseCounter + 1, pendingCheckpoint = '12', pendingCheckpointSubSequenceNumber = 3, \
             pendingCheckpointState = [7]",
        ),
        (
            Write::request(&held, "b".into(), "a".into()),
            "attribute_exists(leaseCounter) AND rsToken = 't' AND leaseOwner = 'a' AND attribute_not_exists(checkpointOwner) AND \
             checkpoint <> 'SHARD_END'",
            "SET leaseOwner = 'b', checkpointOwner = 'a', rsHolder = 'a'",
        ),
        (
            Write::withdraw(&held, "b".into(), "a".into()),
            "attribute_exists(leaseCounter) AND rsToken = 't' AND leaseOwner = 'b' AND \
             checkpointOwner = 'a'",
            "SET leaseOwner = 'a', rsHolder = 'a' REMOVE checkpointOwner",
        ),
        (
            Write::pass_on(&held, "a".into(), "b".into(), Some(at(11, 0))),
            "leaseCounter = 41 AND rsToken = 't' AND leaseOwner = 'b' AND checkpointOwner = 'a' AND checkpoint = '10' AND \
             checkpointSubSequenceNumber = 1",
            "SET leaseCounter = leaseCounter + 1, ownerSwitchesSinceCheckpoint = 0, checkpoint = '11', \
             checkpointSubSequenceNumber = 0 REMOVE checkpointOwner, rsToken, rsHolder, pendingCheckpoint, \
             pendingCheckpointSubSequenceNumber, pendingCheckpointState",
        ),
        (
            Write::refuse(&held, "a".into(), "b".into()),
            "leaseCounter = 41 AND rsToken = 't' AND leaseOwner = 'b' AND checkpointOwner = 'a'",
            "SET leaseCounter = leaseCounter + 1, leaseOwner = 'a', rsHolder = 'a' REMOVE \
             checkpointOwner",
        ),
        (
            Write::release(&held, None),
            "leaseCounter = 41 AND rsToken = 't' AND checkpoint = '10' AND \
             checkpointSubSequenceNumber = 1",
            "SET leaseCounter = leaseCounter + 1 REMOVE leaseOwner, checkpointOwner, rsToken, \
             rsHolder",
        ),
        (
            Write::end(&held, vec!["d".into(), "c".into(), "d".into()]),
            "leaseCounter = 41 AND rsToken = 't' AND checkpoint = '10' AND \
             checkpointSubSequenceNumber = 1",
            "SET leaseCounter = leaseCounter + 1, ownerSwitchesSinceCheckpoint = 0, checkpoint = 'SHARD_END', \
             checkpointSubSequenceNumber = 0, childShardIds = [\"c\", \"d\"] REMOVE leaseOwner, checkpointOwner, rsToken, \
             rsHolder, pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState",
        ),
        (
            Write::hash_range(HashKeyRange::new(1, 2).unwrap()),
            "attribute_exists(leaseCounter)",
            "SET startingHashKey = '1', endingHashKey = '2'",
        ),
    ];
    for (write, expected_condition, expected_change) in rows {
        assert_eq!(condition(&write.expect), expected_condition, "{write:?}");
        assert_eq!(change(&write, &held.key), expected_change, "{write:?}");
    }
}

/// A row without a token or a sub-sequence number is expected as such.
#[test]
fn absent_tokens_and_sub_sequence_numbers_are_expected() {
    let mut row = held();
    row.token = None;
    row.checkpoint = at(10, 0);
    assert_eq!(
        condition(&Write::release(&row, None).expect),
        "leaseCounter = 41 AND attribute_not_exists(rsToken) AND checkpoint = '10' AND (checkpointSubSequenceNumber = 0 OR \
         attribute_not_exists(checkpointSubSequenceNumber))"
    );
    row.checkpoint = Checkpoint::ShardEnd;
    assert_eq!(
        condition(&Write::delete(&row)),
        "leaseCounter = 41 AND checkpoint = 'SHARD_END'"
    );
}

/// A request for a lease without a token removes the token that a KCL has left there.
#[test]
fn a_request_removes_a_token_that_a_kcl_has_left_there() {
    let mut row = held();
    row.token = None;
    for (write, owner) in [
        (
            Write::request(&row, "b".into(), "j".into()),
            "leaseOwner = 'j' AND attribute_not_exists(checkpointOwner)",
        ),
        (
            Write::withdraw(&row, "b".into(), "j".into()),
            "leaseOwner = 'b' AND checkpointOwner = 'j'",
        ),
    ] {
        let wanted = format!(
            "attribute_exists(leaseCounter) AND (attribute_not_exists(rsToken) OR (attribute_exists(rsHolder) AND rsHolder <> 'j')) \
             AND {owner}"
        );
        assert!(
            condition(&write.expect).starts_with(&wanted),
            "{}",
            condition(&write.expect)
        );
        assert!(
            change(&write, &row.key).ends_with("rsToken, rsHolder"),
            "{}",
            change(&write, &row.key)
        );
    }
}

/// The checkpoint of one of several streams names stream and shard.
#[test]
fn a_checkpoint_of_several_streams_names_stream_and_shard() {
    let held = held();
    let key = LeaseKey {
        stream: Some("1:orders:2".into()),
        shard: "s".into(),
    };
    assert!(
        change(&Write::checkpoint(&held, at(11, 0)), &key)
            .contains("streamName = '1:orders:2', shardId = 's'")
    );
}

#[test]
fn no_attribute_is_named_without_a_placeholder() {
    let mut parts = Parts::default();
    let end = Write::end(&held(), vec!["c".into()]);
    let text = edited(&mut parts, &held().key, &end.expect, &end.edits())
        .text()
        .unwrap();
    let without = text
        .split(|c: char| !(c.is_alphanumeric() || "#:_".contains(c)))
        .filter(|word| !word.is_empty());
    let bare: Vec<&str> = without
        .filter(|word| !word.starts_with(['#', ':']))
        .collect();
    assert_eq!(bare, ["SET", "REMOVE"]);
}
