//! The contract suite that your own lease table has to pass. Also two decisions of the protocol,
//! [`Timing`] and [`settle`], for tests that compare a model of the protocol with them.

pub use crate::decide::expiry::Timing;
pub use crate::decide::settle::{Settled, settle};

#[doc(hidden)]
pub mod fleet;
pub mod lease_table;
