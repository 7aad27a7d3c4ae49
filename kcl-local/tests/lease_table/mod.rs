//! The `SQLite` lease table: the contract, what it does with files, and what it survives.

mod contract;
mod files;
mod load;
mod processes;
mod rows;
