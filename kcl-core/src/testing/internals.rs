//! What only this project's own tools need: the model of the protocol, the simulator, the fuzzer and
//! the benchmarks. It may change in any release.

pub use crate::deaggregate::{Deaggregator, UserRecords};
pub use crate::decide::expiry::Timing;
pub use crate::decide::settle::{Settled, settle};
