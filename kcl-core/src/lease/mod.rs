//! The lease table: rows, and the writes that the protocol knows.
//!
//! ```text
//!   LeaseTable (rows)  ->  decide (what concerns me)  ->  tenancy (one writer a lease)  ->  shard consumer
//! ```
//!
//! [`LeaseTable`] is a compare-and-set contract; its docs are the contract in prose and
//! `kcl_core::testing::lease_table` (feature `testing`) is the same contract as a suite that runs.
//! [`Write`] names every write that the protocol knows. [`memory::MemoryLeaseTable`] is the table
//! of one process.
//!
//! Beside the leases a table holds:
//!
//! - **the rows of workers** ([`WorkerRow`]), their heartbeat: they show a worker that has no lease
//!   yet, that it lives, and that it is about to leave;
//! - **the change signal** ([`ChangeSignal`]), where the store has room for one: a value that every
//!   announcement changes, with the last [`Changed`] as hints, so that others read what has changed
//!   and not the whole table.
//!
//! A row that somebody has made unreadable is a [`MalformedRow`]: it is told of and left alone, and
//! hides no other.

mod change;
mod change_signal;
mod edit;
mod error;
pub(crate) mod malformed;
pub mod memory;
mod row;
mod table;
mod write;

#[doc(no_inline)]
pub use crate::BoxError;
pub use change::{Change, Expect, Match};
pub use change_signal::{ChangeSignal, Changed};
pub use edit::{CounterEdit, Edit, Edits, SwitchesEdit};
pub use error::Error;
pub(crate) use error::with_causes;
pub use malformed::{MalformedRow, RowKey};
pub use row::WorkerRow;
pub use table::{Consistency, ForeignWorkers, LeaseTable, PageToken, ScanPage};
pub use write::Write;
