//! What the author of a lease table supplies: where a fresh table comes from, and how to get at its
//! rows behind its back.

use std::sync::Arc;

use async_trait::async_trait;

use crate::lease::{LeaseTable, RowKey};
use crate::model::LeaseKey;

/// A fresh, empty table for one point of the contract, and ways to change it from outside.
///
/// It owns what the table needs (a folder, a server), so that this is removed when the fixture is
/// dropped.
///
/// Only [`handle`](Self::handle) is required. The other methods change or read rows without the
/// table, as another program or an operator would. A backend that cannot have such rows keeps the
/// defaults, and the points that need them pass without checking anything. A backend that *can*
/// have them should implement all of these: a row that somebody edits by hand is where a table
/// loses data.
///
/// What each method is for a table in SQL whose leases are in `leases` and workers in `workers`:
///
/// | method | SQL |
/// |---|---|
/// | `handle` | a new connection to the same file or schema |
/// | `put_foreign` | `false`: the tables hold rows of one kind |
/// | `spoil` | `UPDATE leases SET checkpoint = 'x' WHERE shard = ?`; `counter = -1` in `workers` |
/// | `put_unknown_attribute` | `ALTER TABLE leases ADD COLUMN`, then an `UPDATE` of that column |
/// | `unknown_attribute` | a `SELECT` of that column |
///
/// # Examples
/// The smallest fixture: several handles to the same rows, which are gone when it is dropped.
///
/// ```
/// use std::sync::Arc;
///
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::lease::{Consistency, LeaseTable};
/// use kcl_core::testing::lease_table::TableFixture;
///
/// // Clones of a table in memory share its rows.
/// struct Fresh(MemoryLeaseTable);
///
/// #[async_trait::async_trait]
/// impl TableFixture for Fresh {
///     async fn handle(&self) -> Arc<dyn LeaseTable> {
///         Arc::new(self.0.clone())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let fixture = Fresh(MemoryLeaseTable::new());
/// let (one, other) = (fixture.handle().await, fixture.handle().await);
/// one.setup().await?;
/// assert!(other.scan(None, Consistency::Strong).await?.leases.is_empty());
/// # Ok::<(), kcl_core::lease::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait TableFixture: Send + Sync {
    /// Another handle to the same rows, as independent of the others as the backend allows: with a
    /// connection or a client of its own. Not set up yet.
    ///
    /// A point writes through one handle and reads through another. Handles that share a cache
    /// would hide that a write never reached the store.
    async fn handle(&self) -> Arc<dyn LeaseTable>;

    /// Writes a row with this key and kind that is neither a lease nor a worker of this framework,
    /// bypassing the table. `false` if the backend cannot have such rows; the points about them
    /// then hold. The default returns `false`.
    ///
    /// The KCL keeps such rows in the table of leases itself: its leader's lock is one. A table
    /// that deletes or rewrites them breaks the other program.
    async fn put_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let _ = (key, kind);
        false
    }

    /// Whether that row exists, unchanged.
    ///
    /// It is asked only after [`put_foreign`](Self::put_foreign) has returned `true`.
    async fn has_foreign(&self, key: &str, kind: Option<&str>) -> bool {
        let _ = (key, kind);
        false
    }

    /// Makes the checkpoint of a lease or the counter of a worker unreadable, bypassing the table.
    /// `false` if the backend cannot have such values; the points about malformed rows then hold.
    /// The default returns `false`.
    ///
    /// An operator who edits a checkpoint in a console is one typing error away from this.
    async fn spoil(&self, row: &RowKey) -> bool {
        let _ = row;
        false
    }

    /// Adds an attribute to a lease that the table does not know. `false` if the backend cannot
    /// have such attributes, which is the default.
    ///
    /// A Java KCL stores, for example, the throughput of a shard in the row of its lease. A table
    /// that writes whole rows instead of attributes loses it.
    async fn put_unknown_attribute(&self, key: &LeaseKey, value: &str) -> bool {
        let _ = (key, value);
        false
    }

    /// The value of that attribute, or `None` if it is missing.
    ///
    /// It is asked only after [`put_unknown_attribute`](Self::put_unknown_attribute) has returned
    /// `true`.
    async fn unknown_attribute(&self, key: &LeaseKey) -> Option<String> {
        let _ = key;
        None
    }
}
