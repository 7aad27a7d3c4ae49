//! What the example programs share, and what is beside the point in them.
//!
//! The programs themselves are short: `consume.rs` and `quickstart.rs` show how a worker is built,
//! run and stopped. Options, the trace, the progress bar and the like are here. The chaos fleet of
//! the package `tests` uses some of it too.

pub mod consume;
pub mod demo;
pub mod embedded;
pub mod exit;
pub mod logging;
pub mod process;
pub mod quickstart;
