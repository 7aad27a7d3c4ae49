use std::sync::Arc;

use async_trait::async_trait;

use crate::lease::{LeaseTable, RowKey};
use crate::model::LeaseKey;

/// A fresh, empty table for one point of the contract, and ways to change it from outside.
///
/// It owns what the table needs (a folder, a server), so that this is removed when the fixture is
/// dropped.
#[async_trait]
pub trait TableFixture: Send + Sync {
    /// Another handle to the same rows, as independent of the others as the backend allows, with
    /// another connection or client for example. Not set up yet.
    async fn handle(&self) -> Arc<dyn LeaseTable>;

    /// Writes a row with this key and kind that is neither a lease nor a worker of this framework,
    /// bypassing the table. `false` if the backend cannot have such rows; the points about them
    /// then hold. The default returns `false`.
    async fn put_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let _ = (key, kind);
        false
    }

    /// Whether that row exists, unchanged.
    async fn has_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let _ = (key, kind);
        false
    }

    /// Makes the checkpoint of a lease or the counter of a worker unreadable, bypassing the table.
    /// `false` if the backend cannot have such values; the points about malformed rows then hold.
    /// The default returns `false`.
    async fn spoil(&self, row: &RowKey) -> bool {
        let _ = row;
        false
    }

    /// Adds an attribute to a lease that the table does not know. `false` if the backend cannot
    /// have such attributes, which is the default.
    async fn put_unknown_attribute(&self, key: &LeaseKey, value: &str) -> bool {
        let _ = (key, value);
        false
    }

    /// The value of that attribute, or `None` if it is missing.
    async fn unknown_attribute(&self, key: &LeaseKey) -> Option<String> {
        let _ = key;
        None
    }
}
