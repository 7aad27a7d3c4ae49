//! What is tested and measured over several crates and with real processes.

pub mod bench;
