//! Fleets of real processes on one SQLite file: what becomes of the shards when workers come, go,
//! die and freeze.
//!
//! The processes are those of the program `fleet`. Each test waits for states, ends its fleet, and
//! judges what every worker was given and what every worker asked of the lease table.

mod death;
mod freeze;
mod identity;
mod moves;
mod program;
mod scene;
