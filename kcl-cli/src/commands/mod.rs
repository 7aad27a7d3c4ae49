//! The commands of `kcl`, one file each.
//!
//! A file has three parts: the options, whose comments are the help; `run`, which asks
//! `kcl_core::admin` and decides the exit code; and the answer twice, as JSON and for people. Two
//! files serve several commands: `watching` watches a table, and `of_stream` finds the stream that
//! an application reads.
//!
//! The field names of the JSON documents are an interface: fields are added and never renamed
//! (`docs/cli.md` lists them). The text for people may change at any time.

pub(crate) mod backup;
pub(crate) mod check;
mod chosen;
pub(crate) mod cost;
pub(crate) mod drain;
mod draining;
pub(crate) mod generated;
pub(crate) mod lag;
mod lags;
pub(crate) mod leases;
#[cfg(feature = "local")]
pub(crate) mod local;
pub(crate) mod moves;
mod moving;
pub(crate) mod multilang;
mod of_stream;
pub(crate) mod pause;
mod record_line;
pub(crate) mod replay;
pub(crate) mod seek;
mod seeking;
pub(crate) mod serve;
pub(crate) mod shards;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod watch;
mod watching;
pub(crate) mod workers;
