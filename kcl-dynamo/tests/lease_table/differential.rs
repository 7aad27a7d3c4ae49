//! Random operations: the table in DynamoDB and the one in memory, which the simulator works with,
//! answer alike.

use std::sync::Arc;

use crate::support::{Dynamo, Fresh, answers_as_the_table_in_memory};

#[tokio::test]
async fn random_operations_are_answered_as_by_the_table_in_memory() {
    for seed in 0..30 {
        let dynamo = Dynamo::new();
        let fresh = Fresh {
            table: "application".to_owned(),
            client: move || dynamo.client(),
        };
        answers_as_the_table_in_memory(Arc::new(fresh.open()), seed, 60).await;
    }
}
