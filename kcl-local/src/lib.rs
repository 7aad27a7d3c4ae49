//! What a Kinesis consumer needs on one machine, with nothing to install.
//!
//! - [`lease_table`]: [`SqliteLeaseTable`], the leases and checkpoints of the applications of one host in one `SQLite` file.

pub mod lease_table;

pub use lease_table::SqliteLeaseTable;
