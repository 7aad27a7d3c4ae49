//! Creating a missing table, and waiting until it can be used.
//!
//! Several workers start at the same time and find no table. Each of them tries to create it, one
//! succeeds, and all of them wait for the same table.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    ScalarAttributeType, TableDescription, TableStatus, Tag,
};
use kcl_core::BoxError;
use kcl_core::Clock;
use kcl_core::lease::Error;

use crate::call::{Action, Calls, say};
use crate::item::attribute::LEASE_KEY;

use super::{NewTable, check};

/// The first pause before a table is described again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two descriptions: DynamoDB limits them per account.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long to wait for a new table, which takes seconds. After this, the caller may run `setup`
/// again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the table exists, is active and has the right key, and creates it if it is missing
/// and may be created. Several workers may do this at the same time.
///
/// Cancel safe: it can be called again, and finds the table as far as it has got.
///
/// # Errors
/// `Fatal` if the table is missing and must not be created, has another key or is being deleted;
/// `Denied` without permissions; `Throttled` if it is not ready after [`PATIENCE`].
pub(crate) async fn ready_table(
    calls: &Calls,
    create: Option<&NewTable>,
    clock: &dyn Clock,
) -> Result<(), Error> {
    let until = clock.now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    let mut made = false;
    loop {
        let not_yet: BoxError = match describe(calls).await? {
            Some(table) => {
                check::check_key(&calls.table, &table)?;
                match table.table_status() {
                    Some(TableStatus::Active | TableStatus::Updating)
                        if recovers(calls, create).await? =>
                    {
                        return Ok(());
                    }
                    Some(TableStatus::Active | TableStatus::Updating) => {
                        "its point-in-time recovery cannot be turned on yet".into()
                    }
                    Some(TableStatus::Creating) | None => "it is still being created".into(),
                    Some(status) => return Err(unusable(calls, status)),
                }
            }
            // It may take a moment until a new table can be described.
            None if made => "it was created but cannot be described yet".into(),
            None => match create {
                None => return Err(missing(calls)),
                Some(new) => {
                    make(calls, new).await?;
                    made = true;
                    continue;
                }
            },
        };
        if clock.now() + pause >= until {
            let said = format!(
                "the table `{}` is not ready after {PATIENCE:?}: {not_yet}",
                calls.table
            );
            return Err(Error::Throttled {
                source: said.into(),
            });
        }
        clock.sleep_until(clock.now() + pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The error for a missing table that must not be created. A wrong region is the usual reason.
fn missing(calls: &Calls) -> Error {
    let message = format!(
        "there is no table `{}` in this account and region, and the options say not to create it: \
         create it with the key `{LEASE_KEY}` (HASH, S), or allow it with `OpenOptions::create`",
        calls.table
    );
    Error::Fatal {
        message,
        source: None,
    }
}

/// The error for a table that is being deleted or archived, or that has lost its key in KMS.
fn unusable(calls: &Calls, status: &TableStatus) -> Error {
    let message = format!(
        "the table `{}` is {status}: expected ACTIVE, UPDATING or CREATING",
        calls.table
    );
    Error::Fatal {
        message,
        source: None,
    }
}

/// The table's description, or `None` if it does not exist.
async fn describe(calls: &Calls) -> Result<Option<TableDescription>, Error> {
    match calls
        .client
        .describe_table()
        .table_name(&calls.table)
        .send()
        .await
    {
        Ok(answer) => Ok(answer.table),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(say(Action::DescribeTable, &calls.table, &error).1),
    }
}

/// Creates the table. It is no error if another worker was first or the outcome is unknown: the
/// table is described next.
async fn make(calls: &Calls, new: &NewTable) -> Result<(), Error> {
    // Every required field is set, so building these cannot fail.
    let schema = KeySchemaElement::builder()
        .attribute_name(LEASE_KEY)
        .key_type(KeyType::Hash)
        .build();
    let definition = AttributeDefinition::builder()
        .attribute_name(LEASE_KEY)
        .attribute_type(ScalarAttributeType::S)
        .build();
    let tags: Result<Vec<Tag>, _> = new
        .tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    let (schema, definition, tags) = match (schema, definition, tags) {
        (Ok(schema), Ok(definition), Ok(tags)) => (schema, definition, tags),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            return Err(Error::Fatal {
                message: error.to_string(),
                source: Some(Box::new(error)),
            });
        }
    };
    let call = calls
        .client
        .create_table()
        .table_name(&calls.table)
        .key_schema(schema)
        .attribute_definitions(definition);
    let call = call
        .billing_mode(BillingMode::PayPerRequest)
        .set_tags((!tags.is_empty()).then_some(tags));
    let call = call.set_deletion_protection_enabled(new.deletion_protection.then_some(true));
    match call.send().await {
        Ok(_) => {
            tracing::info!(table = calls.table, "the lease table was created");
            Ok(())
        }
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
        Err(error) => match say(Action::CreateTable, &calls.table, &error).1 {
            error if error.is_transient() => Err(Error::Throttled {
                source: Box::new(error),
            }),
            error => Err(error),
        },
    }
}

/// Turns on point-in-time recovery if it is wanted, and returns whether it is as wanted. It may
/// take a moment until it can be turned on for a new table.
async fn recovers(calls: &Calls, create: Option<&NewTable>) -> Result<bool, Error> {
    if !create.is_some_and(|new| new.point_in_time_recovery) {
        return Ok(true);
    }
    let on = match PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
    {
        Ok(on) => on,
        Err(error) => {
            return Err(Error::Fatal {
                message: error.to_string(),
                source: Some(Box::new(error)),
            });
        }
    };
    let call = calls
        .client
        .update_continuous_backups()
        .table_name(&calls.table)
        .point_in_time_recovery_specification(on);
    match call.send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ContinuousBackupsUnavailableException") => Ok(false),
        Err(error) => match say(Action::UpdateContinuousBackups, &calls.table, &error).1 {
            error if error.is_transient() => Err(Error::Throttled {
                source: Box::new(error),
            }),
            error => Err(error),
        },
    }
}
