//! Sharing a table with Java workers of the same application.
//!
//! ```text
//!   the items of a scan -> Evidence -> judge -> Coexistence: which rows may be written besides leases, and whether leases may be taken
//! ```
//!
//! | what the table shows | coexistence | what follows |
//! |---|---|---|
//! | only leases of this framework, or of a KCL 3.5 in its default mode with no running worker | [`Coexistence::Exclusive`] | rows of workers and the change signal are written |
//! | a lease without `entityType` (created by a KCL before 3.5), the additional tables of a KCL before 3.5, or `Migration3.0` at `CLIENT_VERSION_UPGRADE_FROM_2X` or `CLIENT_VERSION_2X` | [`Coexistence::LeasesOnly`] | only leases are written: a KCL before 3.5 fails on any other row, and one that may still migrate to 3.x stays at 2.x while an owner has no row of metrics |
//! | `Migration3.0` at `CLIENT_VERSION_3X` or `CLIENT_VERSION_3X_WITH_ROLLBACK` with another worker's row of metrics that is younger than 60 s, or a row `Leader` that changes | [`Coexistence::KclLeads`] | at the start nothing is written; while running, no lease is taken, and this crate's rows of workers are removed with the next heartbeat |
//!
//! In [`Coexistence::LeasesOnly`], workers of this framework see each other only through leases,
//! and find changes by scans every 2 s instead of by the signal.

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
pub(crate) use probe::{KclRow, Probe};
pub(crate) use stale_workers::StaleWorkers;
pub(crate) use throughput::Throughputs;
pub(crate) use watch::Watch;
