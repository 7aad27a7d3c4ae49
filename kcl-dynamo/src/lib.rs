//! The DynamoDB lease table of the `kcl-core` consumer framework: the crate that it will be in.
//!
//! This version holds nothing yet. The leases of one host are kept by the SQLite table of `kcl-local`; those of a test or a simulation
//! by the table in memory of `kcl-core`. A table of your own implements `kcl_core::lease::LeaseTable` and is tried with the contract in
//! `kcl_core::testing`.
