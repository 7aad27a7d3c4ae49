//! The parts of `consume`: its options, its trace, and what it counts.

mod leases;
mod options;
mod seen;
mod trace;
