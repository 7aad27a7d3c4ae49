//! The contract suites: what a lease table of your own has to pass. And the rules that a model of
//! the protocol is held against.

pub use crate::decide::expiry::Timing;
pub use crate::decide::settle::{Settled, settle};

#[doc(hidden)]
pub mod fleet;
pub mod lease_table;
