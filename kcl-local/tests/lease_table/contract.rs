//! The contract, through connections of their own on one file.

use std::sync::Arc;

use async_trait::async_trait;
use kcl_core::lease::{LeaseTable, RowKey};
use kcl_core::model::LeaseKey;
use kcl_core::testing::lease_table::TableFixture;
use kcl_local::SqliteLeaseTable;
use rusqlite::Connection;
use tempfile::TempDir;

struct Fresh(TempDir);

impl Fresh {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("leases.sqlite")
    }

    fn connection(&self) -> Connection {
        Connection::open(self.path()).expect("a connection of another program")
    }
}

#[async_trait]
impl TableFixture for Fresh {
    async fn handle(&self) -> Arc<dyn LeaseTable> {
        Arc::new(
            SqliteLeaseTable::open(self.path(), "application")
                .await
                .expect("open"),
        )
    }

    async fn spoil(&self, row: &RowKey) -> bool {
        let changed = match row {
            RowKey::Lease(key) => self.connection().execute(
                "UPDATE leases SET checkpoint = 'x' WHERE shard = ?",
                [key.shard.as_str()],
            ),
            RowKey::Worker(worker) => self.connection().execute(
                "UPDATE workers SET counter = -1 WHERE worker = ?",
                [worker.as_str()],
            ),
            _ => return false,
        };
        assert_eq!(changed.expect("an edit"), 1);
        true
    }

    async fn put_unknown_attribute(&self, key: &LeaseKey, value: &str) -> bool {
        // As a later minor version of the schema would have it.
        let connection = self.connection();
        connection
            .execute_batch("ALTER TABLE leases ADD COLUMN later TEXT; PRAGMA user_version = 101")
            .expect("a new column");
        let changed = connection.execute(
            "UPDATE leases SET later = ? WHERE shard = ?",
            (value, key.shard.as_str()),
        );
        assert_eq!(changed.expect("the new column"), 1);
        true
    }

    async fn unknown_attribute(&self, key: &LeaseKey) -> Option<String> {
        let sql = "SELECT later FROM leases WHERE shard = ?";
        self.connection()
            .query_row(sql, [key.shard.as_str()], |row| row.get(0))
            .expect("the new column")
    }
}

#[expect(clippy::unused_async, reason = "what the contract asks for")]
async fn fresh() -> Fresh {
    Fresh(tempfile::tempdir().expect("a folder"))
}

kcl_core::lease_table_contract!(fresh);
