//! Whether an existing table can be used, and whether it may be.

use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription};
use kcl_core::lease::Error;

use crate::call::{Calls, Refused};
use crate::expression::{Parts, never};
use crate::item::attribute::{LEASE_KEY, SIGNAL_KEY};
use crate::item::{Item, text};

/// Checks that the table has the KCL's key and no other.
///
/// A table with a sort key would accept two rows of one lease.
///
/// # Errors
/// `Fatal`, with the key that was found and the one that is expected.
pub(super) fn check_key(name: &str, table: &TableDescription) -> Result<(), Error> {
    let type_of = |attribute: &str| {
        let definition = table
            .attribute_definitions()
            .iter()
            .find(|definition| definition.attribute_name() == attribute);
        definition.map_or("?", |definition| definition.attribute_type().as_str())
    };
    let found: Vec<String> = table
        .key_schema()
        .iter()
        .map(|element| {
            let attribute = element.attribute_name();
            format!(
                "`{attribute}` ({}, {})",
                element.key_type(),
                type_of(attribute)
            )
        })
        .collect();
    let right = format!(
        "`{LEASE_KEY}` ({}, {})",
        KeyType::Hash,
        ScalarAttributeType::S
    );
    if found == [right.as_str()] {
        return Ok(());
    }
    let message = format!(
        "the table `{name}` has the key {}: expected {right} as the only key",
        found.join(" and ")
    );
    Err(Error::Fatal {
        message,
        source: None,
    })
}

/// Checks that the credentials may read and write rows, as far as that can be seen without a
/// change: each write has a condition that never holds.
///
/// A delete is needed only after the first shard has ended, hours from now, but a missing
/// permission should be reported immediately.
///
/// # Errors
/// `Denied` with the missing permission, or `Throttled` if DynamoDB could not be reached.
pub(crate) async fn check_rights(calls: &Calls) -> Result<(), Error> {
    let key = || text(SIGNAL_KEY);
    calls.get(key(), false).await?;
    let condition = || {
        let mut parts = Parts::default();
        let never = never(&mut parts);
        (never, parts)
    };
    let (never, parts) = condition();
    allowed(
        calls
            .put(Item::from([(LEASE_KEY.to_owned(), key())]), never, parts)
            .await,
    )?;
    let (never, parts) = condition();
    allowed(calls.update(key(), None, Some(never), parts).await)?;
    let (never, parts) = condition();
    allowed(calls.delete(key(), never, parts).await)
}

/// A condition that did not hold is the answer that was hoped for: the call was permitted. A lost
/// answer has changed nothing either, so it is not reported as unknown.
fn allowed<T>(answer: Result<T, Refused>) -> Result<(), Error> {
    match answer {
        Ok(_) | Err(Refused::Condition(_)) => Ok(()),
        Err(Refused::Failed(error)) if error.is_transient() => Err(Error::Throttled {
            source: Box::new(error),
        }),
        Err(Refused::Failed(error)) => Err(error),
    }
}
