//! What `kcl` does, a file a command.

pub(crate) mod leases;
pub(crate) mod status;
mod watching;
pub(crate) mod workers;
