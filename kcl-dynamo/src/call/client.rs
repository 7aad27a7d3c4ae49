//! The five calls that read and write rows, each made exactly once.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use kcl_core::lease::Error;

use crate::expression::Parts;
use crate::item::Item;
use crate::item::attribute::LEASE_KEY;

use super::failure::{RefusedItem, refused_item, say};
use super::{Action, Verdict};

/// The calls to one table: each is made once, within a time limit.
///
/// All writes ask for the row that did not meet the condition
/// (`ReturnValuesOnConditionCheckFailure: ALL_OLD`). A worker that loses a race learns from the
/// refusal itself who has won, without another read, which could show a later state.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    /// The SDK's client without retries and with the call limit. `setup` uses it for its calls too.
    pub(crate) client: Client,
    /// The name of the table.
    pub(crate) table: String,
}

/// Why a conditional write failed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The condition does not hold for this row, or (`None`) there is no row.
    Condition(Option<Item>),
    /// Anything else.
    Failed(Error),
}

/// A page of a scan: at most 1 MB of items, or fewer if a number of rows is set.
#[derive(Debug)]
pub(crate) struct Page {
    /// Items of all kinds, in DynamoDB's order, which is that of a hash.
    pub(crate) items: Vec<Item>,
    /// The key after which the next page begins, or `None` after the last one. A page may be empty
    /// and still have a next one.
    pub(crate) next: Option<Item>,
}

impl Calls {
    /// Uses this client, but without its own retries and with this call limit.
    ///
    /// Other time limits of the client, such as that for connecting, are kept. The limit applies to
    /// the attempt and to the operation, because with one attempt they are the same.
    pub(crate) fn new(client: &Client, table: &str, call_limit: Duration) -> Self {
        let own = client
            .config()
            .timeout_config()
            .map(TimeoutConfig::to_builder)
            .unwrap_or_default();
        let limits = own
            .operation_attempt_timeout(call_limit)
            .operation_timeout(call_limit)
            .build();
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(limits)
            .build();
        Self {
            client: Client::from_conf(config),
            table: table.to_owned(),
        }
    }

    /// Reads one item. A consistent read costs twice as much as an eventual one.
    pub(crate) async fn get(
        &self,
        key: AttributeValue,
        consistent: bool,
    ) -> Result<Option<Item>, Error> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(LEASE_KEY, key)
            .consistent_read(consistent);
        let answer = call
            .send()
            .await
            .map_err(|error| say(Action::GetItem, &self.table, &error).1)?;
        Ok(answer.item)
    }

    /// Reads one page of all items, from this key on.
    pub(crate) async fn scan(
        &self,
        start: Option<Item>,
        consistent: bool,
        rows: Option<i32>,
    ) -> Result<Page, Error> {
        let call = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(consistent);
        let call = call.set_exclusive_start_key(start).set_limit(rows);
        let answer = call
            .send()
            .await
            .map_err(|error| say(Action::Scan, &self.table, &error).1)?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Page {
            items: answer.items.unwrap_or_default(),
            next,
        })
    }

    /// Writes a whole item under a condition: only for rows that do not exist yet, because it would
    /// remove the attributes that other programs have added.
    pub(crate) async fn put(
        &self,
        item: Item,
        condition: String,
        parts: Parts,
    ) -> Result<(), Refused> {
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item));
        let call = call
            .condition_expression(condition)
            .set_expression_attribute_names(Some(parts.names.clone()));
        let call = call.set_expression_attribute_values(parts.some_values());
        let sent = call
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| self.refused(Action::PutItem, &error))
    }

    /// Changes the named attributes of an item, and returns it as it is afterwards.
    ///
    /// Without a condition DynamoDB would create a missing row; every caller but the change
    /// signal's has one that needs an attribute of the row.
    pub(crate) async fn update(
        &self,
        key: AttributeValue,
        update: Option<String>,
        condition: Option<String>,
        parts: Parts,
    ) -> Result<Item, Refused> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(LEASE_KEY, key)
            .set_update_expression(update);
        let call = call
            .set_condition_expression(condition)
            .set_expression_attribute_names(Some(parts.names.clone()));
        let call = call
            .set_expression_attribute_values(parts.some_values())
            .return_values(ReturnValue::AllNew);
        let sent = call
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let answer = sent.map_err(|error| self.refused(Action::UpdateItem, &error))?;
        Ok(answer.attributes.unwrap_or_else(HashMap::new))
    }

    /// Deletes an item under a condition.
    pub(crate) async fn delete(
        &self,
        key: AttributeValue,
        condition: String,
        parts: Parts,
    ) -> Result<(), Refused> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(LEASE_KEY, key);
        let call = call
            .condition_expression(condition)
            .set_expression_attribute_names(Some(parts.names.clone()));
        let call = call.set_expression_attribute_values(parts.some_values());
        let sent = call
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| self.refused(Action::DeleteItem, &error))
    }

    /// Turns a failed write into the row that won, or into the error of the lease table.
    fn refused<E>(&self, action: Action, error: &aws_sdk_dynamodb::error::SdkError<E>) -> Refused
    where
        E: RefusedItem
            + aws_sdk_dynamodb::error::ProvideErrorMetadata
            + std::error::Error
            + 'static,
    {
        match say(action, &self.table, error) {
            (Verdict::Conflict, _) => Refused::Condition(refused_item(error).cloned()),
            (_, error) => Refused::Failed(error),
        }
    }
}
