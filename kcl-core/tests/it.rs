//! The tests from outside, in one program: it is linked once.

#[cfg(feature = "kinesis")]
mod fan_out_wire;
#[cfg(feature = "kinesis")]
mod kinesis_live;
#[cfg(feature = "kinesis")]
mod kinesis_wire;
mod memory;
mod support;
mod worker;
