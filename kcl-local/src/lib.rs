//! What a Kinesis consumer needs to run on a single machine, with nothing to install.
//!
//! - [`lease_table`]: [`SqliteLeaseTable`], which stores the leases and checkpoints of the
//!   applications on one host in an `SQLite` file.
//! - `stream` (feature `stream`, and `stream-tls` for https): an embedded Kinesis-compatible stream
//!   for development and tests.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod lease_table;
mod runtime;
#[cfg(feature = "stream")]
pub mod stream;

pub use lease_table::SqliteLeaseTable;
