//! The contract suites: what a lease table of your own has to pass.

pub mod lease_table;
