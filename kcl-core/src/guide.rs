//! The pages of the manual, included from the folder `docs`. Each is a module, so that the API's
//! documentation shows it, and its Rust examples are compiled with those of the code.
//!
//! Links from page to page are written for the folder `docs`, are not checked, and lead nowhere here:
//! read the pages in the repository, or choose the module of the same name. (`.ci/tree.py` checks that
//! the tests and the paths from the repository's root exist that the pages name.) Three pages are no
//! modules, because they are about the program `kcl` and not about this crate: `docs/cli.md`,
//! `docs/page.md` and `docs/multilang.md`.

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
