//! What is fuzzed: each target is a function that takes any bytes and panics when a promise does
//! not hold for them.
//!
//! Targets know the published formats through decoders of others, so that "it did not crash" is the
//! least of what they ask. `bash .ci/fuzz` runs them with libFuzzer, guided by coverage; `cargo
//! test` in this folder runs their corpus and random bytes.

mod deaggregator;
mod oracle;

pub use deaggregator::deaggregator;
pub use oracle::seal;
