//! What the example programs share, and what is beside the point in them.
//!
//! The programs themselves are short: `consume.rs` and `quickstart.rs` show how a worker is built, run and stopped, `fleet.rs` how many
//! of them share the shards. Options, the trace, the progress bar and the like are here.

pub mod consume;
pub mod embedded;
pub mod exit;
pub mod fleet;
pub mod logging;
pub mod process;
pub mod quickstart;
pub mod signals;
