//! The contract of [`LeaseTable`] as a suite that runs.
//!
//! Each function below is one point of the contract; it is given a [`TableFixture`], a fresh and
//! empty table, and panics when the table breaks the point.
//! [`lease_table_contract!`](crate::lease_table_contract) makes a test of each, and [`suite`] runs
//! all of them in one call.
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
//! // A test a point:
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
//! | `creation` | rows come into being by creation alone, and end by a delete on condition |
//! | `tenancy`, `hand_over`, `progress` | each write of the protocol: its condition part by part, its effect, its repetition |
//! | `exactness` | what is stored comes back as it was |
//! | `reads` | consistency, pages, what the table does not know |
//! | `malformed` | rows that cannot be read |
//! | `workers` | the rows of workers |
//! | `signal` | the change signal |
//! | `races` | many writers, one winner |
//!
//! [`LeaseTable`]: crate::lease::LeaseTable
#![expect(
    clippy::missing_panics_doc,
    reason = "a point that does not hold panics: the header says so once"
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

pub use creation::*;
pub use exactness::*;
pub use fixture::TableFixture;
pub use hand_over::*;
pub use malformed::*;
pub use progress::*;
pub use races::*;
pub use reads::*;
pub use signal::*;
pub use suite::suite;
pub use tenancy::*;
pub use workers::*;
