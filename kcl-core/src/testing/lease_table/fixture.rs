use std::sync::Arc;

use async_trait::async_trait;

use crate::lease::{LeaseTable, RowKey};
use crate::model::LeaseKey;

/// One fresh, empty table for one point of the contract, and what a test can do to it from outside.
///
/// What it needs to keep (a folder, a server) it owns, so that it goes when the fixture is dropped.
#[async_trait]
pub trait TableFixture: Send + Sync {
    /// One more handle on the same rows, as independent of the others as the backend allows:
    /// another connection, another client. Not set up yet.
    async fn handle(&self) -> Arc<dyn LeaseTable>;

    /// Puts a row of this key and kind that is neither a lease nor a worker of ours, past the
    /// table's own interface. `false` when the backend has no room for one; the points about such
    /// rows then hold.
    async fn put_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let _ = (key, kind);
        false
    }

    /// Whether that row is there, as it was put.
    async fn has_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let _ = (key, kind);
        false
    }

    /// Makes the checkpoint of a lease or the counter of a worker something that cannot be read,
    /// past the table's own interface. `false` when the backend has no room for it; the points
    /// about such rows then hold.
    async fn spoil(&self, row: &RowKey) -> bool {
        let _ = row;
        false
    }

    /// Gives a lease an attribute that the table knows nothing of. `false` when the backend has no
    /// room for one.
    async fn put_unknown_attribute(&self, key: &LeaseKey, value: &str) -> bool {
        let _ = (key, value);
        false
    }

    /// The value of that attribute.
    async fn unknown_attribute(&self, key: &LeaseKey) -> Option<String> {
        let _ = key;
        None
    }
}
