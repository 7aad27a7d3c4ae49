//! The contract of [`LeaseTable`] as a test suite.
//!
//! [`lease_table_contract!`](crate::lease_table_contract) makes a separate test of each point of the
//! contract, named for what it shows, and [`suite`] runs all of them in one call. Each point gets a
//! [`TableFixture`] with a fresh, empty table, and panics if the table violates it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use kcl_core::lease::LeaseTable;
//! use kcl_core::lease::memory::MemoryLeaseTable;
//! use kcl_core::testing::lease_table::TableFixture;
//!
//! struct Fresh(MemoryLeaseTable);
//!
//! #[async_trait::async_trait]
//! impl TableFixture for Fresh {
//!     async fn handle(&self) -> Arc<dyn LeaseTable> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! async fn fresh() -> Fresh {
//!     Fresh(MemoryLeaseTable::new())
//! }
//!
//! // One test for each point:
//! kcl_core::lease_table_contract!(fresh);
//!
//! // Or all in one:
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(
//! kcl_core::testing::lease_table::suite(fresh)
//! # );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | file | points |
//! |---|---|
//! | `creation` | rows are only created by a creation, and only deleted under a condition |
//! | `tenancy`, `hand_over`, `progress` | each write of the protocol: every part of its condition, its effect, its repetition |
//! | `exactness` | values are read back exactly as they were stored |
//! | `reads` | consistency, pages, unknown rows and attributes |
//! | `malformed` | rows that cannot be read |
//! | `workers` | the rows of workers |
//! | `signal` | the change signal |
//! | `races` | many writers, one winner |
//!
//! [`LeaseTable`]: crate::lease::LeaseTable
#![expect(
    clippy::missing_panics_doc,
    reason = "a point that does not hold panics, as the module docs say"
)]

mod check;
mod creation;
mod exactness;
mod fixture;
mod hand_over;
mod malformed;
mod progress;
mod races;
mod reads;
mod rows;
mod signal;
mod suite;
mod tenancy;
mod workers;

#[cfg(test)]
mod memory_test;
#[cfg(test)]
mod suite_test;

pub use fixture::TableFixture;
pub use suite::suite;

/// The points, for the tests that [`lease_table_contract!`](crate::lease_table_contract) makes.
#[doc(hidden)]
pub mod points {
    pub use super::creation::*;
    pub use super::exactness::*;
    pub use super::hand_over::*;
    pub use super::malformed::*;
    pub use super::progress::*;
    pub use super::races::*;
    pub use super::reads::*;
    pub use super::signal::*;
    pub use super::tenancy::*;
    pub use super::workers::*;
}
