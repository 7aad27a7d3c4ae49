//! What is tested and measured over several crates and with real processes.

pub mod bench;
pub mod fleet;
pub mod model;
pub mod sim;

#[doc = include_str!("../../docs/reliability.md")]
pub mod reliability {}

/// The test that the page shows passes.
#[cfg(doctest)]
#[doc = include_str!("../../docs/local-stream.md")]
struct LocalStreamPage;

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
