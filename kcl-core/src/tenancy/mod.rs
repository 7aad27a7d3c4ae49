//! What this process does with the leases that it holds.
//!
//! ```text
//!   coordination  -- takes a lease -->  Writer (the only one to write to it)  -->  Settler (what an answer means)  -->  LeaseTable
//!                                          ^ orders
//!   shard consumer, Checkpointer  -->  Held (whether it is held, what is stored)
//! ```
//!
//! A tenancy is the time in which one worker holds one lease under one token. [`begun`] knows the
//! tokens of this process.

pub(crate) mod held;
pub(crate) mod issued_tokens;
pub(crate) mod table_client;
pub(crate) mod table_health;
pub(crate) mod writer;
