//! The stream in memory, as a reader sees it.

mod fan_out;
mod stream;
#[path = "../support/mod.rs"]
mod support;
