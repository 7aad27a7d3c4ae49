//! The lease table: its rows, and the writes of the lease protocol.
//!
//! ```text
//!   LeaseTable (rows)  ->  decide (what to do)  ->  tenancy (one writer per lease)  ->  shard consumer
//! ```
//!
//! [`LeaseTable`] is a compare-and-set contract. Its docs are the contract in prose, and
//! `kcl_core::testing::lease_table` (feature `testing`) is the same contract as a test suite.
//! [`Write`] lists every write of the protocol. [`memory::MemoryLeaseTable`] is a table within one
//! process.
//!
//! Besides the leases, a table holds:
//!
//! - **the rows of workers** ([`WorkerRow`]), which are their heartbeats: they show that a worker
//!   is alive even if it holds no lease yet, and that a worker is about to leave;
//! - **the change signal** ([`ChangeSignal`]), if the store supports one: a value that every
//!   announcement changes, with the latest [`Changed`] entries as hints, so that other workers read
//!   only what has changed instead of the whole table.
//!
//! A row that was edited from outside so that it cannot be read is a [`MalformedRow`]. It is
//! reported and left alone, and the other rows are read as usual.

mod change;
mod change_signal;
mod edit;
mod error;
mod held_lag;
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
pub use held_lag::{HeldLag, ListedLag, Standstill};
pub use malformed::{MalformedRow, RowKey};
pub use row::{KeepAlive, WorkerRow};
pub use table::{Consistency, ForeignWorkers, LeaseTable, PageToken, ScanPage};
pub use write::Write;
