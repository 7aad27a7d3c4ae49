use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::{LeaseTable, RowKey};
use kcl_core::model::LeaseKey;
use kcl_core::testing::lease_table::TableFixture;
use kcl_dynamo::{DynamoLeaseTable, OpenOptions};

/// A table of its own at some endpoint.
pub struct Fresh<Make> {
    pub table: String,
    /// Makes a client of its own.
    pub client: Make,
}

impl<Make: Fn() -> Client + Send + Sync> Fresh<Make> {
    pub fn open(&self) -> DynamoLeaseTable {
        // Small pages: a look takes several. The contract is not about time, and a real server may
        // need some to begin with.
        let options = OpenOptions::new()
            .page_rows(NonZeroU16::new(40).unwrap())
            .call_limit(Duration::from_secs(60));
        options
            .open_with_client(&(self.client)(), &self.table)
            .unwrap()
    }
}

fn foreign(key: &str, kind: Option<&str>) -> HashMap<String, AttributeValue> {
    let kind = kind.map(|kind| ("entityType".to_owned(), AttributeValue::S(kind.to_owned())));
    [("leaseKey".to_owned(), AttributeValue::S(key.to_owned()))]
        .into_iter()
        .chain(kind)
        .collect()
}

#[async_trait]
impl<Make: Fn() -> Client + Send + Sync> TableFixture for Fresh<Make> {
    async fn handle(&self) -> Arc<dyn LeaseTable> {
        Arc::new(self.open())
    }

    async fn put_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let put = (self.client)()
            .put_item()
            .table_name(&self.table)
            .set_item(Some(foreign(key, kind)));
        // The first point of a table makes it.
        self.open().setup().await.unwrap();
        put.send().await.unwrap();
        true
    }

    async fn has_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let get = (self.client)()
            .get_item()
            .table_name(&self.table)
            .key("leaseKey", AttributeValue::S(key.to_owned()));
        get.consistent_read(true).send().await.unwrap().item == Some(foreign(key, kind))
    }

    async fn spoil(&self, row: &RowKey) -> bool {
        let (key, attribute) = match row {
            RowKey::Lease(key) => (key.to_string(), "checkpoint"),
            RowKey::Worker(worker) => (worker.to_string(), "rsCounter"),
            _ => return false,
        };
        let call = (self.client)()
            .update_item()
            .table_name(&self.table)
            .key("leaseKey", AttributeValue::S(key));
        let call = call
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", attribute);
        call.expression_attribute_values(":v", AttributeValue::S("x".to_owned()))
            .send()
            .await
            .unwrap();
        true
    }

    async fn put_unknown_attribute(&self, key: &LeaseKey, value: &str) -> bool {
        let call = (self.client)()
            .update_item()
            .table_name(&self.table)
            .key("leaseKey", AttributeValue::S(key.to_string()));
        let call = call
            .update_expression("SET later = :v")
            .expression_attribute_values(":v", AttributeValue::S(value.to_owned()));
        call.send().await.unwrap();
        true
    }

    async fn unknown_attribute(&self, key: &LeaseKey) -> Option<String> {
        let call = (self.client)()
            .get_item()
            .table_name(&self.table)
            .key("leaseKey", AttributeValue::S(key.to_string()));
        let item = call.consistent_read(true).send().await.unwrap().item?;
        item.get("later").map(|value| value.as_s().unwrap().clone())
    }
}
