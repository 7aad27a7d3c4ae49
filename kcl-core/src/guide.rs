//! The pages of the manual, included from the folder `docs`. Each is a module, so that docs.rs shows
//! it, and its links and examples are checked with those of the code.

#[doc = include_str!("../docs/settings.md")]
pub mod settings {}

#[doc = include_str!("../docs/handlers.md")]
pub mod handlers {}

#[doc = include_str!("../docs/fleet.md")]
pub mod fleet {}

#[doc = include_str!("../docs/permissions.md")]
pub mod permissions {}

#[doc = include_str!("../docs/operations.md")]
pub mod operations {}

#[doc = include_str!("../docs/promises.md")]
pub mod promises {}

#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}

// The page's code needs `kcl-local`, which depends on this crate, so the workspace's tests run it
// instead.
#[cfg_attr(not(doctest), doc = include_str!("../docs/local-stream.md"))]
pub mod local_stream {}

#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("../docs/reliability.md")]
pub mod reliability {}
