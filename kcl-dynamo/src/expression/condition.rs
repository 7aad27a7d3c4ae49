//! Conditions: what the row has to look like for a write to be made.

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::{Expect, Match};
use kcl_core::model::{Checkpoint, Token, WorkerId};

use crate::item::attribute::*;
use crate::item::{checkpoint_values, number, text};

use super::Parts;

/// The condition that there is no row.
///
/// The key is the one attribute that every row has.
pub(crate) fn absent(parts: &mut Parts) -> String {
    format!("attribute_not_exists({})", parts.name(LEASE_KEY))
}

/// A condition that holds neither for a row nor for a missing one: a call with it shows whether it
/// is allowed, and changes nothing.
///
/// `setup` uses it to find missing permissions before they are needed: DynamoDB checks the
/// permission first, and only then the condition.
pub(crate) fn never(parts: &mut Parts) -> String {
    let key = parts.name(LEASE_KEY);
    format!("attribute_exists({key}) AND attribute_not_exists({key})")
}

/// The condition that each of these attributes has exactly this value.
///
/// It is the condition for rows of workers and of the change signal, which are replaced only as
/// they were seen. A missing attribute is equal to nothing, so a missing row never matches.
pub(crate) fn exactly(
    parts: &mut Parts,
    values: impl IntoIterator<Item = (&'static str, Option<AttributeValue>)>,
) -> String {
    let equal = |(attribute, value)| match value {
        Some(value) => format!("{} = {}", parts.name(attribute), parts.value(value)),
        None => format!("attribute_not_exists({})", parts.name(attribute)),
    };
    values
        .into_iter()
        .map(equal)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The condition that the row exists, is a lease, and is as expected.
///
/// Only a lease has a counter, so a missing row or one of another kind never matches.
pub(crate) fn expected(parts: &mut Parts, expect: &Expect) -> String {
    let counter = parts.name(LEASE_COUNTER);
    let mut conditions = vec![match expect.counter {
        Some(expected) => format!("{counter} = {}", parts.value(number(expected))),
        None => format!("attribute_exists({counter})"),
    }];
    conditions.extend(match &expect.token {
        Match::Absent => Some(no_token(parts, expect)),
        token => matches(parts, TOKEN, token, Token::as_str),
    });
    conditions.extend(matches(parts, LEASE_OWNER, &expect.owner, WorkerId::as_str));
    conditions.extend(matches(
        parts,
        CHECKPOINT_OWNER,
        &expect.checkpoint_owner,
        WorkerId::as_str,
    ));
    if let Some(checkpoint) = &expect.checkpoint {
        conditions.extend(stands_at(parts, checkpoint));
    }
    if expect.not_ended {
        let [end, _] = checkpoint_values(&Checkpoint::ShardEnd);
        conditions.push(format!(
            "{} <> {}",
            parts.name(CHECKPOINT),
            parts.value(end)
        ));
    }
    conditions.extend(match &expect.assigned {
        Match::Any => None,
        Match::Is(to) => Some(format!(
            "{} = {}",
            parts.name(ASSIGNED_TO),
            parts.value(text(to.to_string()))
        )),
        Match::Absent => Some(format!("attribute_not_exists({})", parts.name(ASSIGNED_TO))),
    });
    conditions.join(" AND ")
}

/// The condition that the lease is read as one without a token: it has none, or that of a worker
/// that is no longer its owner. Every write that expects this, but not the counter, names both
/// owners.
fn no_token(parts: &mut Parts, expect: &Expect) -> String {
    let token = parts.name(TOKEN);
    let ((Match::Is(owner), _) | (Match::Absent, Match::Is(owner))) =
        (&expect.checkpoint_owner, &expect.owner)
    else {
        return format!("attribute_not_exists({token})");
    };
    let (holder, owner) = (parts.name(HOLDER), parts.value(text(owner.as_str())));
    // A comparison with a missing attribute is always unequal.
    format!(
        "(attribute_not_exists({token}) OR (attribute_exists({holder}) AND {holder} <> {owner}))"
    )
}

/// The condition for one attribute, or none if any value will do. Texts are compared byte by byte.
fn matches<T>(
    parts: &mut Parts,
    attribute: &str,
    expected: &Match<T>,
    as_str: impl Fn(&T) -> &str,
) -> Option<String> {
    match expected {
        Match::Any => None,
        Match::Is(value) => Some(format!(
            "{} = {}",
            parts.name(attribute),
            parts.value(text(as_str(value)))
        )),
        Match::Absent => Some(format!("attribute_not_exists({})", parts.name(attribute))),
    }
}

/// The condition that the lease has this checkpoint. Sequence numbers are stored as decimal text
/// without leading zeros, so equal numbers are equal texts.
fn stands_at(parts: &mut Parts, checkpoint: &Checkpoint) -> Vec<String> {
    let [at, sub] = checkpoint_values(checkpoint);
    let mut conditions = vec![format!("{} = {}", parts.name(CHECKPOINT), parts.value(at))];
    // For a sentinel, the sub-sequence number does not matter.
    if let Some(position) = checkpoint.position() {
        let attribute = parts.name(CHECKPOINT_SUB);
        let equal = format!("{attribute} = {}", parts.value(sub));
        // A missing one is read as 0.
        conditions.push(match position.sub_sequence {
            0 => format!("({equal} OR attribute_not_exists({attribute}))"),
            _ => equal,
        });
    }
    conditions
}
