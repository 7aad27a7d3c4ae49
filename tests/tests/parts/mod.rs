//! The parts of the example programs and of the fleet, each by itself: no process is started.
//!
//! The folders are those of `examples/src/` and `tests/src/`. The tests are not in those crates
//! because each crate with unit tests is one more program to link after a change of the core.

mod consume;
mod embedded;
mod exit;
mod fleet;
mod process;
mod quickstart;
