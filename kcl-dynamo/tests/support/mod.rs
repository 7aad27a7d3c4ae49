//! DynamoDB for tests: an emulator in this process behind the real SDK, with faults on demand and a
//! log of all calls.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]
#![allow(unreachable_pub, reason = "shared by test binaries")]

mod clock;
mod differential;
mod dynamo;
mod fixture;
mod fleet;
mod java;
mod timed;

pub use clock::TimerClock;
pub use differential::answers_as_the_table_in_memory;
pub use dynamo::{Call, Dynamo, Fault};
pub use fixture::Fresh;
pub use fleet::{FAILOVER, Fleet, Running};
pub use java::{Java, Kcl};
pub use timed::Timed;
