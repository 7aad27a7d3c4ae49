//! The table in memory keeps the contract.

use std::sync::Arc;

use async_trait::async_trait;

use crate::lease::memory::MemoryLeaseTable;
use crate::lease::{LeaseTable, MalformedRow, RowKey};

use super::TableFixture;

struct Fresh(MemoryLeaseTable);

#[async_trait]
impl TableFixture for Fresh {
    async fn handle(&self) -> Arc<dyn LeaseTable> {
        Arc::new(self.0.clone())
    }

    async fn spoil(&self, row: &RowKey) -> bool {
        self.0.spoil(MalformedRow::new(
            row.clone(),
            "checkpoint",
            Some("x"),
            "something else",
        ));
        true
    }
}

async fn fresh() -> Fresh {
    Fresh(MemoryLeaseTable::new())
}

crate::lease_table_contract!(fresh);

#[tokio::test]
async fn the_whole_suite_runs_in_one_call() {
    super::suite(fresh).await;
}
