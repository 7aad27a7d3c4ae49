//! Local.

#[cfg(feature = "stream")]
pub mod stream;
