//! The tests from outside, in one program: it is linked once.

mod fleet;
mod lease_table;
mod support;
