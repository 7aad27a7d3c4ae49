//! The contract suite that your own lease table has to pass.

#[doc(hidden)]
pub mod fleet;
pub mod internals;
pub mod lease_table;
