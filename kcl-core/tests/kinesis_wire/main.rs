//! `KinesisStream` on the wire: what it sends, and what it makes of what comes back.
#![cfg(feature = "kinesis")]

mod calls;
mod consumers;
mod ends;
mod failures;
mod log;
mod setup;
mod wire;
