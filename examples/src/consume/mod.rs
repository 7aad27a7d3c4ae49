//! The parts of the program `consume`: its options, its processor, its trace and its summary.

mod leases;
mod options;
mod processor;
mod quiet;
mod seen;
mod summary;
mod trace;
mod watch;

pub use leases::LeaseTableAt;
pub use options::{ConsumeOptions, ReadBy};
pub use processor::Processor;
pub use quiet::Quiet;
pub use seen::{Seen, ShardSeen};
pub use summary::Summary;
pub use trace::{Trace, TraceError, Traced};
pub use watch::Watch;
