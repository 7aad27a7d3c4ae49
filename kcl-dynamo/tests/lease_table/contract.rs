//! The contract, through clients of their own on one table.

use crate::support::{Dynamo, Fresh};

#[expect(clippy::unused_async, reason = "what the contract asks for")]
async fn fresh() -> Fresh<impl Fn() -> aws_sdk_dynamodb::Client + Send + Sync> {
    let dynamo = Dynamo::new();
    Fresh {
        table: "application".to_owned(),
        client: move || dynamo.client(),
    }
}

kcl_core::lease_table_contract!(fresh);
