//! The `SQLite` lease table: the contract, what it does with files, and what it survives.

#[path = "lease_table/contract.rs"]
mod contract;
#[path = "lease_table/files.rs"]
mod files;
#[path = "lease_table/load.rs"]
mod load;
#[path = "lease_table/processes.rs"]
mod processes;
