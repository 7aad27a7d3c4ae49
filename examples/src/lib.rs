//! Code that the example programs share, or that would distract from their point.
//!
//! The programs themselves are short: `consume.rs` and `quickstart.rs` show how a worker is built,
//! run and stopped. Their options, trace, progress bar and so on are here. The chaos fleet in the
//! package `tests` uses some of it too.

pub mod consume;
pub mod demo;
pub mod embedded;
pub mod exit;
pub mod logging;
pub mod process;
pub mod quickstart;
