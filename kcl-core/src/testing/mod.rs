//! Tools for tests, behind the feature `testing`.
//!
//! [`lease_table`] is for authors of backends: the contract of a lease table as a test suite. The
//! rest is for this project's own tests and benchmarks, which need parts of the crate that users do
//! not; it is hidden, and may change in any release.

#[doc(hidden)]
pub mod fleet;
#[doc(hidden)]
pub mod internals;
pub mod lease_table;
