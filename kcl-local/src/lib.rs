//! What a Kinesis consumer needs to run on a single machine, with nothing to install.
//!
//! - [`lease_table`]: [`SqliteLeaseTable`], which stores the leases and checkpoints of the
//!   applications on one host in an `SQLite` file.
//! - `stream` (feature `stream`, and `stream-tls` for https): an embedded Kinesis-compatible stream
//!   for development and tests.
//!
//! The table is for production on one host: a fleet of processes shares a file. The stream is a
//! tool: it behaves like Kinesis towards a consumer, and is neither fast nor durable enough to
//! replace it.
//!
//! # Examples
//! A lease table for the application `word-count`, in a file that several processes may open:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use kcl_core::lease::LeaseTable;
//! use kcl_local::SqliteLeaseTable;
//!
//! let table = SqliteLeaseTable::open("leases.sqlite", "word-count").await?;
//! table.setup().await?;
//! assert_eq!(table.applications().await?, Vec::<String>::new());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod lease_table;
mod runtime;
#[cfg(feature = "stream")]
pub mod stream;

pub use lease_table::SqliteLeaseTable;
