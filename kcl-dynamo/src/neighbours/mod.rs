//! Living beside Java workers of the same application.
//!
//! ```text
//!   the items of a scan -> Evidence -> judge -> Standing: what we may write beside leases, and whether we may take any
//! ```
//!
//! | what the table shows | standing | what follows |
//! |---|---|---|
//! | leases of ours, or of a KCL 3.5 in its default mode of which no worker is at work | [`Standing::Alone`] | rows of workers, the change signal |
//! | a lease without `entityType` (a KCL before 3.5 made it), the tables that a KCL before 3.5 kept beside this one, or `Migration3.0` at `CLIENT_VERSION_UPGRADE_FROM_2X` or `CLIENT_VERSION_2X` | [`Standing::Quiet`] | leases alone: a KCL before 3.5 fails on any other row, and one that may still change to 3.x stays at 2.x as long as an owner has no row of metrics |
//! | `Migration3.0` at `CLIENT_VERSION_3X` or `CLIENT_VERSION_3X_WITH_ROLLBACK` with a row of worker metrics of somebody else that is younger than 60 s, or a row `Leader` that changes | [`Standing::Led`] | nothing is written at the start; while running, no lease is taken and our rows of workers go |
//!
//! In [`Standing::Quiet`] workers of ours see of each other only what leases show, and changes are found by looking each 2 s, not by
//! the signal.

mod evidence;
mod ghosts;
mod legacy;
mod probe;
mod standing;
mod throughput;
mod watch;

pub(crate) use evidence::Evidence;
pub(crate) use ghosts::Ghosts;
pub(crate) use legacy::legacy_versions;
pub(crate) use probe::Probe;
pub use standing::{KclIsLeading, Standing};
pub(crate) use standing::{is_in_doubt, judge};
pub(crate) use throughput::Throughputs;
pub(crate) use watch::Watch;
