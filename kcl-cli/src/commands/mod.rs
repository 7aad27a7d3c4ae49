//! What `kcl` does, a file a command.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod cost;
pub(crate) mod generated;
pub(crate) mod lag;
pub(crate) mod leases;
#[cfg(feature = "local")]
pub(crate) mod local;
mod of_stream;
pub(crate) mod shards;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod watch;
mod watching;
pub(crate) mod workers;
