//! The example programs as a user runs them: real processes, their exit codes, and what they print.
//!
//! Cargo builds the examples of a workspace with its tests (`cargo test --workspace`). With `-p
//! tests` alone they have to be built before: `cargo build -p examples --examples`.

mod consume;
mod consume_errors;
mod consume_fan_out;
mod numbered;
mod program;
mod quickstart;
mod scene;
mod trace;
