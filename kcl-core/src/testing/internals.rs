//! What only this project's own tools need: the model of the protocol, the simulator, the fuzzer and
//! the benchmarks. It may change in any release.
//!
//! They are exported here instead of being public at their own places, so that the public surface
//! of the crate is what users and authors of backends need.

pub use crate::deaggregate::{Deaggregator, UserRecords};
pub use crate::decide::expiry::Timing;
pub use crate::decide::settle::{Settled, settle};
