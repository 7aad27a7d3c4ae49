//! The stream in memory, as a reader sees it.

mod fan_out;
mod shards;
mod stream;
