//! Living beside Java workers of the same application.
//!
//! ```text
//!   the items of a scan -> Evidence -> judge -> Coexistence: what we may write beside leases, and whether we may take any
//! ```
//!
//! | what the table shows | coexistence | what follows |
//! |---|---|---|
//! | leases of ours, or of a KCL 3.5 in its default mode of which no worker is at work | [`Coexistence::Exclusive`] | rows of workers, the change signal |
//! | a lease without `entityType` (a KCL before 3.5 made it), the tables that a KCL before 3.5 kept beside this one, or `Migration3.0` at `CLIENT_VERSION_UPGRADE_FROM_2X` or `CLIENT_VERSION_2X` | [`Coexistence::LeasesOnly`] | leases alone: a KCL before 3.5 fails on any other row, and one that may still change to 3.x stays at 2.x as long as an owner has no row of metrics |
//! | `Migration3.0` at `CLIENT_VERSION_3X` or `CLIENT_VERSION_3X_WITH_ROLLBACK` with a row of worker metrics of somebody else that is younger than 60 s, or a row `Leader` that changes | [`Coexistence::KclLeads`] | nothing is written at the start; while running, no lease is taken and our rows of workers go with the next heartbeat |
//!
//! In [`Coexistence::LeasesOnly`] workers of ours see of each other only what leases show, and
//! changes are found by scans each 2 s, not by the signal.

mod coexistence;
mod evidence;
mod legacy;
mod probe;
mod stale_workers;
mod throughput;
mod watch;

pub use coexistence::{Coexistence, KclIsLeading};
pub(crate) use coexistence::{is_in_doubt, judge};
pub(crate) use evidence::Evidence;
pub(crate) use legacy::legacy_versions;
pub(crate) use probe::Probe;
pub(crate) use stale_workers::StaleWorkers;
pub(crate) use throughput::Throughputs;
pub(crate) use watch::Watch;
