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
//! | `operators` | pause, resume, assign and seek |
//! | `exactness` | values are read back exactly as they were stored |
//! | `reads` | consistency, pages, unknown rows and attributes |
//! | `malformed` | rows that cannot be read |
//! | `workers` | the rows of workers |
//! | `signal` | the change signal |
//! | `races` | many writers, one winner |
//!
//! The numbers are those of the contract in the docs of [`LeaseTable`]:
//!
//! | point of the contract | checked by |
//! |---|---|
//! | 1, every write is conditional and atomic | `creation`, `tenancy`, `hand_over`, `progress`, `workers`; atomic: `races` |
//! | 2, no update creates a row | every point about a write, by a write to a missing row |
//! | 3, every write returns the row | the same; `each_write_builds_on_the_row_that_the_last_one_returned` |
//! | 4, an unknown outcome is reported as unknown | not here, see below |
//! | 5, `get` is consistent | `reads` |
//! | 6, unknown attributes and rows are kept | `reads`, with a fixture that can write them |
//! | 7, a checkpoint is stored exactly | `exactness` |
//! | 8, every call ends | not here, see below |
//! | 9, a malformed row does not affect the others | `malformed`, with a fixture that can spoil a row |
//! | 10, reads write nothing | `reads`: an empty table and foreign rows stay as they are |
//!
//! What the points have in common is in `rows`, the rows with which they begin, and in `check`: most
//! points about a write only name the write, the row before and the row after, and `check_write`
//! derives from the condition of the write everything that must not be accepted.
//!
//! **What the suite cannot show.** It is a client of a table that works. It does not cut connections,
//! so it cannot show that a write with a lost answer is reported as
//! [`Unknown`](crate::lease::Error::Unknown) and never as a conflict (point 4 of the contract), nor
//! that every call ends (point 8). Test both at the backend itself: a proxy that swallows an answer
//! is enough.
//!
//! **What to do about a failure.** The message names the point and shows the row that was found and
//! the one that was expected. The docs of the point say what a fleet would do wrong with such a
//! table. None of the points is optional: a worker relies on all of them.
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
mod operators;
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
///
/// They are public for the macro alone. A test of a backend uses the macro or [`suite`].
#[doc(hidden)]
pub mod points {
    pub use super::creation::*;
    pub use super::exactness::*;
    pub use super::hand_over::*;
    pub use super::malformed::*;
    pub use super::operators::*;
    pub use super::progress::*;
    pub use super::races::*;
    pub use super::reads::*;
    pub use super::signal::*;
    pub use super::tenancy::*;
    pub use super::workers::*;
}
