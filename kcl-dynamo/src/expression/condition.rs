use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::{Expect, Match};
use kcl_core::model::{Checkpoint, Token, WorkerId};

use crate::item::attribute::*;
use crate::item::{checkpoint_values, number, text};

use super::Parts;

/// There is no row.
pub(crate) fn absent(parts: &mut Parts) -> String {
    format!("attribute_not_exists({})", parts.name(LEASE_KEY))
}

/// What holds of no row and of no absence of one: a call with it shows that it is allowed, and
/// changes nothing.
pub(crate) fn never(parts: &mut Parts) -> String {
    let key = parts.name(LEASE_KEY);
    format!("attribute_exists({key}) AND attribute_not_exists({key})")
}

/// Each of these attributes is exactly this.
pub(crate) fn exactly(
    parts: &mut Parts,
    values: impl IntoIterator<Item = (&'static str, AttributeValue)>,
) -> String {
    let equal = |(attribute, value)| format!("{} = {}", parts.name(attribute), parts.value(value));
    values
        .into_iter()
        .map(equal)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The row exists, is a lease, and is as expected.
///
/// Only a lease has a counter, so that neither an absent row nor one of another kind ever fits.
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
    conditions.join(" AND ")
}

/// The lease is read as one without a token: it has none, or that of somebody who is not its owner
/// any more. Every write that expects this and not the counter names both owners.
fn no_token(parts: &mut Parts, expect: &Expect) -> String {
    let token = parts.name(TOKEN);
    let ((Match::Is(owner), _) | (Match::Absent, Match::Is(owner))) =
        (&expect.checkpoint_owner, &expect.owner)
    else {
        return format!("attribute_not_exists({token})");
    };
    let (holder, owner) = (parts.name(HOLDER), parts.value(text(owner.as_str())));
    // What is compared with a missing attribute is unequal to it.
    format!(
        "(attribute_not_exists({token}) OR (attribute_exists({holder}) AND {holder} <> {owner}))"
    )
}

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

fn stands_at(parts: &mut Parts, checkpoint: &Checkpoint) -> Vec<String> {
    let [at, sub] = checkpoint_values(checkpoint);
    let mut conditions = vec![format!("{} = {}", parts.name(CHECKPOINT), parts.value(at))];
    // A sentinel is one whatever stands beside it.
    if let Some(position) = checkpoint.position() {
        let attribute = parts.name(CHECKPOINT_SUB);
        let equal = format!("{attribute} = {}", parts.value(sub));
        // Where it is missing it is read as 0.
        conditions.push(match position.sub_sequence {
            0 => format!("({equal} OR attribute_not_exists({attribute}))"),
            _ => equal,
        });
    }
    conditions
}
