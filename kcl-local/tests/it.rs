//! The tests from outside, in one program: it is linked once.

mod lease_table;
#[cfg(feature = "stream")]
mod stream;
